// SPDX-License-Identifier: MIT
/*
 * The kinds of memory, best first, and which of them is used.
 *
 * The choice is made once, by what is there at all: /dev/unmapped that can't be
 * opened, a kernel without memfd_secret(2).  What is there but has run out, or is
 * limited, is an error to the caller and never a reason to take something weaker.
 *
 * None is inherited by a child (MADV_DONTFORK) or in a core dump.
 */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib.h"
#include "uapi/linux/unmapped.h"

#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447
#endif

#define DEVICE	  "/dev/unmapped"
#define MAX_NAMES 8

static int advise(void *at, size_t bytes)
{
	if (madvise(at, bytes, MADV_DONTDUMP) || madvise(at, bytes, MADV_DONTFORK))
		return failed(-ENOMEM, "madvise: %s", strerror(errno));
	return 0;
}

/* Map a file that nobody else has; it goes when it is unmapped. */
static int map_file(int fd, void *at, size_t bytes, int flags)
{
	void *p = mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | flags,
		       fd, 0);
	int err = errno;

	close(fd);
	if (p != MAP_FAILED)
		return advise(at, bytes);
	if (err == EAGAIN)
		return failed_limit(bytes);
	return failed(-ENOMEM, "mmap of %zu kB of %s: %s", bytes / 1024,
		      lib.backend->name, strerror(err));
}

/* --- /dev/unmapped --------------------------------------------------------- */

/*
 * It stays open, for a process that gives up the right to open it.  Many close
 * all descriptors that they don't know of, and the number may then be another
 * file's, so it is looked at before each use.
 */
static int device = -1;
/* What the program said; it holds in its children, too. */
static bool wipe;
static dev_t device_number;

static int open_device(void)
{
	struct stat st;
	int fd = READ_ONCE(device);

	if (fd >= 0 && !fstat(fd, &st) && S_ISCHR(st.st_mode) &&
	    st.st_rdev == device_number)
		return fd;
	fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) || !S_ISCHR(st.st_mode)) {
		close(fd);
		return -ENODEV;
	}
	device_number = st.st_rdev;
	WRITE_ONCE(device, fd);
	return fd;
}

static const char *device_missing(void)
{
	int fd = open_device();

	return fd < 0 ? strerror(-fd) : NULL;
}

static int device_fd(size_t bytes)
{
	struct unmapped_create c = {
		.argsz = sizeof(c),
		.bytes = bytes,
		.node = UNMAPPED_ANY_NODE,
		.flags = wipe ? UNMAPPED_CREATE_WIPE_ON_HIBERNATE : 0,
	};
	int fd = open_device();

	if (fd < 0)
		return failed(fd, "open " DEVICE ": %s", strerror(-fd));
	fd = ioctl(fd, UNMAPPED_IOC_CREATE, &c);
	if (fd >= 0)
		return fd;
	if (errno == EAGAIN) {
		failed_limit(bytes);
		return -EAGAIN;
	}
	return failed(-errno, DEVICE ": %zu kB: %s", bytes / 1024, strerror(errno));
}

static int device_map(void *at, size_t bytes)
{
	int fd = device_fd(bytes);

	if (fd < 0)
		return -ENOMEM;
	return map_file(fd, at, bytes, MAP_POPULATE);
}

/* --- memfd_secret(2) -------------------------------------------------------- */

static const char *secretmem_missing(void)
{
	long fd = syscall(SYS_memfd_secret, O_CLOEXEC);

	if (fd < 0)
		return errno == ENOSYS ? "the kernel has it not, or not enabled "
					 "(secretmem.enable=1)"
				       : strerror(errno);
	close((int)fd);
	return NULL;
}

static int secretmem_fd(size_t bytes)
{
	int err, fd = (int)syscall(SYS_memfd_secret, O_CLOEXEC);

	if (fd < 0)
		return failed(-errno, "memfd_secret: %s", strerror(errno));
	if (ftruncate(fd, (off_t)bytes)) {
		err = errno;
		close(fd);
		return failed(-err, "memfd_secret: %zu kB: %s", bytes / 1024,
			      strerror(err));
	}
	return fd;
}

static int secretmem_map(void *at, size_t bytes)
{
	int fd = secretmem_fd(bytes);

	return fd < 0 ? -ENOMEM : map_file(fd, at, bytes, 0);
}

/* --- anonymous memory ------------------------------------------------------- */

static int plain_map(void *at, size_t bytes)
{
	if (mmap(at, bytes, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		return failed(-ENOMEM, "mmap of %zu kB: %s", bytes / 1024,
			      strerror(errno));
	/* A few pages are used at a time, and guards split them anyway. */
	madvise(at, bytes, MADV_NOHUGEPAGE);
	return advise(at, bytes);
}

static int locked_map(void *at, size_t bytes)
{
	int err = plain_map(at, bytes);

	if (err)
		return err;
	/* Valgrind does not know mlock2(2), and says so; glibc makes EINVAL of it. */
	if (!lib.watched && !mlock2(at, bytes, MLOCK_ONFAULT))
		return 0;
	if ((lib.watched || errno == EINVAL) && !mlock(at, bytes))
		return 0;
	if (errno == ENOMEM || errno == EPERM || errno == EAGAIN)
		return failed_limit(bytes);
	return failed(-ENOMEM, "mlock2 of %zu kB: %s", bytes / 1024, strerror(errno));
}

static const char *always_there(void)
{
	return NULL;
}

/* --- the choice --------------------------------------------------------------- */

static const struct backend backends[] = {
	{ .name = "device",
	  .missing = device_missing,
	  .map = device_map,
	  .fd = device_fd,
	  .populated = true },
	{ .name = "secretmem",
	  .missing = secretmem_missing,
	  .map = secretmem_map,
	  .fd = secretmem_fd,
	  .keep = true },
	{ .name = "locked", .missing = always_there, .map = locked_map },
	{ .name = "plain", .missing = always_there, .map = plain_map },
};

/* What the program said; it holds in its children, too. */
static char selected[64] = "device,secretmem,locked";

static const struct backend *find(const char *name, size_t length)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(backends); i++)
		if (strlen(backends[i].name) == length &&
		    !memcmp(backends[i].name, name, length))
			return &backends[i];
	return NULL;
}

/* Names separated by commas.  Return: how many, or -EINVAL. */
static int parse(const char *names, const struct backend **found)
{
	size_t length;
	int nr = 0;

	for (;; names += length + 1) {
		length = strcspn(names, ",");
		if (nr == MAX_NAMES || !(found[nr++] = find(names, length)))
			return failed(-EINVAL,
				      "backend '%.*s' is not device, secretmem, locked "
				      "or plain",
				      (int)length, names);
		if (!names[length])
			return nr;
	}
}

int backend_init(void)
{
	const char *names = secure_getenv("UNMAPPED_BACKEND");
	const char *debug = secure_getenv("UNMAPPED_DEBUG");
	const struct backend *wanted[MAX_NAMES];
	const char *why;
	size_t used = 0;
	int i, n, nr;

	nr = parse(names && *names ? names : selected, wanted);
	if (nr < 0)
		return nr;
	for (i = 0; i < nr && !lib.backend; i++) {
		why = wanted[i]->missing();
		if (!why) {
			lib.backend = wanted[i];
			break;
		}
		n = snprintf(lib.missing + used, sizeof(lib.missing) - used, "%s: %s\n",
			     wanted[i]->name, why);
		used = min(used + (size_t)n, sizeof(lib.missing) - 1);
	}
	if (debug && *debug && strcmp(debug, "0"))
		say("%sunmapped: %s is used\n", lib.missing,
		    lib.backend ? lib.backend->name : "no backend");
	if (lib.backend)
		return 0;
	return failed(-ENODEV, "no backend: %.*s", (int)strcspn(lib.missing, "\n"),
		      lib.missing);
}

EXPORT int unmapped_select(const char *names)
{
	const struct backend *wanted[MAX_NAMES];
	int i, nr = parse(names, wanted), err = 0;

	if (nr < 0)
		return -1;
	pthread_mutex_lock(&lib.starting);
	if (lib.ready) {
		err = -EBUSY;
		for (i = 0; i < nr; i++)
			if (wanted[i] == lib.backend)
				err = 0;
	} else if (strlen(names) >= sizeof(selected)) {
		err = -EINVAL;
	} else {
		strcpy(selected, names);
	}
	pthread_mutex_unlock(&lib.starting);
	if (err)
		failed(err,
		       err == -EBUSY ? "a backend is in use, and it is not %s"
				     : "too many backends: %s",
		       names);
	return err ? -1 : 0;
}

EXPORT const char *unmapped_backend(const char **missing)
{
	enum entry e = ENTER();

	if (missing)
		*missing = lib.missing;
	if (e == ENTRY_FAILED)
		return NULL;
	LEAVE(e);
	return lib.backend->name;
}

/* --- hibernation -------------------------------------------------------------- */

/*
 * All objects are wiped with nobody getting at any in between: the kernel makes
 * whoever touches one wait until the last is done.  So one page tells of all, in
 * which there is a word that is never 0: how often it was found to be, and 1.
 */
int wipes_init(void)
{
	int err;

	lib.sentinel = NULL;
	lib.wipes = 0;
	if (!wipe || lib.backend->map != device_map)
		return 0;
	err = device_map(lib.base, PAGE_SIZE);
	if (err)
		return err;
	lib.sentinel = (unsigned long *)lib.base;
	*lib.sentinel = 1;
	return 0;
}

unsigned long wipes(void)
{
	unsigned long n;

	if (!lib.sentinel)
		return 0;
	n = smp_load_acquire(lib.sentinel);
	if (likely(n))
		return n - 1;
	/* Nobody may see the word before the number that is in it counts. */
	pthread_mutex_lock(&lib.starting);
	while (!(n = READ_ONCE(*lib.sentinel)))
		smp_store_release(lib.sentinel, ++lib.wipes + 1);
	pthread_mutex_unlock(&lib.starting);
	return n - 1;
}

EXPORT int unmapped_wipe_on_hibernate(void)
{
	int err = 0;

	pthread_mutex_lock(&lib.starting);
	if (lib.ready && !wipe)
		err = failed(
			-EBUSY,
			"too late to choose what hibernation does: memory is in use");
	else
		wipe = true;
	pthread_mutex_unlock(&lib.starting);
	return err ? -1 : 0;
}

EXPORT unsigned long unmapped_wipes(void)
{
	enum entry e = ENTER();
	unsigned long n;

	if (e == ENTRY_FAILED)
		return 0;
	n = wipes();
	LEAVE(e);
	return n;
}

/* --- files ---------------------------------------------------------------------- */

EXPORT int unmapped_fd(size_t bytes)
{
	enum entry e = ENTER();
	int fd;

	if (e == ENTRY_FAILED)
		return -1;
	bytes = (bytes + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
	if (!bytes || bytes > PTRDIFF_MAX)
		fd = failed(-EINVAL, "a file of 0 bytes, or of more than there are");
	else if (!lib.backend->fd)
		fd = failed(-EOPNOTSUPP, "'%s' memory has no file to pass",
			    lib.backend->name);
	else
		fd = lib.backend->fd(bytes);
	LEAVE(e);
	if (fd >= 0)
		return fd;
	errno = -fd;
	return -1;
}
