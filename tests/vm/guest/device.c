// SPDX-License-Identifier: MIT
/*
 * device - /dev/unmapped keeps the contract of <linux/unmapped.h>: what an
 * object is, and an errno of its own for each wrong input.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int dev;

static struct unmapped_create good(void)
{
	return (struct unmapped_create){
		.argsz = sizeof(struct unmapped_create),
		.bytes = PAGE,
		.node = UNMAPPED_ANY_NODE,
	};
}

/* CREATE with these fields gives @want; a descriptor is closed at once. */
static void expect(const char *what, int want, struct unmapped_create arg)
{
	long fd = ioctl(dev, UNMAPPED_IOC_CREATE, &arg);

	ok_errno(fd, want, "CREATE, %s", what);
	if (fd >= 0)
		close(fd);
}

#define EXPECT(what, want, ...) \
	do { \
		struct unmapped_create c = good(); \
		__VA_ARGS__; \
		expect(what, want, c); \
	} while (0)

static void bad_ioctls(void)
{
	struct {
		struct unmapped_create c;
		uint64_t more[5];
	} big = { .c = good() };
	struct unmapped_create *page;
	uint8_t *edge;
	long ret;

	big.c.argsz = sizeof(big);
	ok_errno(ioctl(dev, _IO(UNMAPPED_IOC_MAGIC, 2), &big), ENOTTY, "ioctl number 2");
	ok_errno(ioctl(dev, _IO(UNMAPPED_IOC_MAGIC, 255), &big), ENOTTY,
		 "ioctl number 255");
	ok_errno(ioctl(dev, _IO(UNMAPPED_IOC_MAGIC ^ 1, 0), &big), ENOTTY,
		 "ioctl of another driver");
	ok_errno(ioctl(dev, _IOW(UNMAPPED_IOC_MAGIC, 0, struct unmapped_create), &big),
		 ENOTTY, "ioctl number 0 with a size and a direction");
	ok_errno(ioctl(dev, 0, NULL), ENOTTY, "ioctl 0");

	ok_errno(ioctl(dev, UNMAPPED_IOC_CREATE, NULL), EFAULT, "CREATE, NULL");
	edge = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		    -1, 0);
	if (edge == MAP_FAILED || munmap(edge + PAGE, PAGE))
		die("two pages, one of them absent");
	memcpy(edge + PAGE - 8, &big, 8);
	ok_errno(ioctl(dev, UNMAPPED_IOC_CREATE, edge + PAGE - 8), EFAULT,
		 "CREATE, readable for 8 bytes only");
	memcpy(edge + PAGE - sizeof(big.c), &big.c, sizeof(big.c));
	ok_errno(ioctl(dev, UNMAPPED_IOC_CREATE, edge + PAGE - sizeof(big.c)), EFAULT,
		 "CREATE, the part past the end can't be read");

	EXPECT("good", 0, (void)c);
	EXPECT("argsz 0", EINVAL, c.argsz = 0);
	EXPECT("argsz 4", EINVAL, c.argsz = 4);
	EXPECT("argsz one byte short", EINVAL, c.argsz--);
	ret = ioctl(dev, UNMAPPED_IOC_CREATE, &big);
	ok_errno(ret, 0, "CREATE, larger argsz, the rest zero");
	if (ret >= 0)
		close(ret);
	big.more[4] = 1UL << 63;
	ok_errno(ioctl(dev, UNMAPPED_IOC_CREATE, &big), E2BIG,
		 "CREATE, larger argsz, last byte not zero");
	big.more[4] = 0;
	big.more[0] = 1;
	ok_errno(ioctl(dev, UNMAPPED_IOC_CREATE, &big), E2BIG,
		 "CREATE, larger argsz, first byte not zero");
	page = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		    -1, 0);
	if (page == MAP_FAILED)
		die("two pages");
	*page = good();
	page->argsz = PAGE;
	ret = ioctl(dev, UNMAPPED_IOC_CREATE, page);
	ok_errno(ret, 0, "CREATE, argsz a page, the rest zero");
	if (ret >= 0)
		close(ret);
	page->argsz = PAGE + 1;
	ok_errno(ioctl(dev, UNMAPPED_IOC_CREATE, page), E2BIG,
		 "CREATE, argsz over a page, the rest zero");
	page->argsz = UINT32_MAX;
	ok_errno(ioctl(dev, UNMAPPED_IOC_CREATE, page), E2BIG,
		 "CREATE, the largest argsz");
	munmap(page, 2 * PAGE);
	EXPECT("flag 4", EOPNOTSUPP, c.flags = 1U << 4);
	EXPECT("flag 31", EOPNOTSUPP, c.flags = 1U << 31);
	EXPECT("a known and an unknown flag", EOPNOTSUPP,
	       c.flags = UNMAPPED_CREATE_THISNODE | 1U << 7);
	EXPECT("reserved", EBADMSG, c.reserved = 1);
	EXPECT("0 bytes", EINVAL, c.bytes = 0);
	EXPECT("1 byte", EINVAL, c.bytes = 1);
	EXPECT("a page and a byte", EINVAL, c.bytes = PAGE + 1);
	EXPECT("one page too large", EFBIG, c.bytes = UNMAPPED_MAX_BYTES + PAGE);
	EXPECT("largest multiple of a page", EFBIG, c.bytes = -PAGE);
	EXPECT("largest object", 0, c.bytes = UNMAPPED_MAX_BYTES);
	EXPECT("node -2", ENODEV, c.node = -2);
	EXPECT("smallest node", ENODEV, c.node = INT_MIN);
	EXPECT("node 2, which is not online", ENODEV, c.node = 2);
	EXPECT("node 1023", ENODEV, c.node = 1023);
	EXPECT("node 1024", ENODEV, c.node = 1024);
	EXPECT("largest node", ENODEV, c.node = INT_MAX);
	EXPECT("node 0", 0, c.node = 0);

	/* Of two mistakes the one listed first is told. */
	EXPECT("short argsz before flag", EINVAL, c.argsz = 8, c.flags = 1U << 9);
	big.c.flags = 1U << 9;
	ok_errno(ioctl(dev, UNMAPPED_IOC_CREATE, &big), E2BIG,
		 "CREATE, unknown bytes before flag");
	EXPECT("flag before reserved", EOPNOTSUPP, c.flags = 1U << 9, c.reserved = 1);
	EXPECT("reserved before bytes", EBADMSG, c.reserved = 1, c.bytes = 1);
	EXPECT("bytes before node", EINVAL, c.bytes = 1, c.node = -2);
	EXPECT("too large before node", EFBIG, c.bytes = UNMAPPED_MAX_BYTES + PAGE,
	       c.node = -2);
	munmap(edge, PAGE);
}

static void status(void)
{
	struct {
		struct unmapped_status s;
		uint64_t more[4];
	} big;
	uint32_t flags = UNMAPPED_CREATE_THISNODE | UNMAPPED_CREATE_WIPE_ON_HIBERNATE;
	int fd = um_create(8 * PAGE, flags, 0), own = um_open();
	struct unmapped_status s = { .argsz = sizeof(s) };
	uint8_t *p = fd < 0 ? NULL : map_shared(fd, 8 * PAGE);

	if (!p || own < 0)
		die("objects");
	touch(p, 3 * PAGE);
	ok_errno(ioctl(fd, UNMAPPED_IOC_STATUS, &s), 0, "STATUS");
	ok(s.argsz == sizeof(s) && s.flags == flags && s.bytes == 8 * PAGE &&
		   s.held == 3 * PAGE && s.wipes == 0,
	   "of an object made by CREATE: flags, bytes, held, wipes");
	s.argsz = sizeof(s);
	ok_errno(ioctl(own, UNMAPPED_IOC_STATUS, &s), 0, "STATUS of one made by open");
	ok(s.flags == 0 && s.bytes == 0 && s.held == 0, "that nobody has mapped");
	memset(&big, 0xff, sizeof(big));
	big.s.argsz = sizeof(big);
	ok_errno(ioctl(fd, UNMAPPED_IOC_STATUS, &big), 0, "STATUS, larger argsz");
	ok(big.s.argsz == sizeof(s) && big.s.held == 3 * PAGE &&
		   is_zero(big.more, sizeof(big.more)),
	   "what is not known is zero");
	s.argsz = sizeof(s) - 1;
	ok_errno(ioctl(fd, UNMAPPED_IOC_STATUS, &s), EINVAL, "STATUS, argsz short");
	s.argsz = 4097;
	ok_errno(ioctl(fd, UNMAPPED_IOC_STATUS, &s), E2BIG, "STATUS, argsz over a page");
	ok_errno(ioctl(fd, UNMAPPED_IOC_STATUS, NULL), EFAULT, "STATUS, NULL");
	ok_errno(ioctl(fd, UNMAPPED_IOC_CREATE, &s), ENOTTY, "CREATE on an object");
	munmap(p, 8 * PAGE);
	close(fd);
	close(own);
}

static void no_descriptors(void)
{
	struct rlimit old, few;

	getrlimit(RLIMIT_NOFILE, &old);
	few = old;
	few.rlim_cur = dev + 1;
	setrlimit(RLIMIT_NOFILE, &few);
	EXPECT("no descriptor left", EMFILE, (void)c);
	setrlimit(RLIMIT_NOFILE, &old);
	EXPECT("descriptors again", 0, (void)c);
}

static long try_map(size_t bytes, int prot, int flags, int fd, off_t offset)
{
	void *p = mmap(NULL, bytes, prot, flags, fd, offset);

	if (p == MAP_FAILED)
		return -1;
	munmap(p, bytes);
	return 0;
}

static void bad_mappings(void)
{
	const int rw = PROT_READ | PROT_WRITE;
	int open_fd = um_open(), fixed = um_create(4 * PAGE, 0, -1), k, ro;
	uint8_t byte;

	for (k = 0; k < 2; k++) {
		int fd = k ? fixed : open_fd;
		const char *kind = k ? "fixed" : "open";

		if (fd < 0)
			die("%s object", kind);
		ok_errno(try_map(PAGE, rw, MAP_SHARED, fd, 0), 0, "%s: shared mapping",
			 kind);
		ok_errno(try_map(PAGE, PROT_READ, MAP_SHARED, fd, 0), 0,
			 "%s: read-only mapping", kind);
		ok_errno(try_map(PAGE, rw, MAP_PRIVATE, fd, 0), EINVAL,
			 "%s: private mapping", kind);
		ok_errno(try_map(PAGE, PROT_READ, MAP_PRIVATE, fd, 0), EINVAL,
			 "%s: private read-only mapping", kind);
		ok_errno(try_map(PAGE, rw | PROT_EXEC, MAP_SHARED, fd, 0), EPERM,
			 "%s: executable mapping", kind);
		ok_errno(try_map(PAGE, rw, MAP_SHARED, fd, UNMAPPED_MAX_BYTES), EOVERFLOW,
			 "%s: offset past the largest object", kind);
		ok_errno(try_map(2 * PAGE, rw, MAP_SHARED, fd, UNMAPPED_MAX_BYTES - PAGE),
			 EOVERFLOW, "%s: end past the largest object", kind);
		ok_errno(try_map(PAGE, rw, MAP_SHARED, fd, 123), EINVAL,
			 "%s: offset within a page", kind);
		ok_errno(try_map(0, rw, MAP_SHARED, fd, 0), EINVAL, "%s: empty mapping",
			 kind);
		ok(read(fd, &byte, 1) < 0, "%s: read() is refused", kind);
		ok(write(fd, "x", 1) < 0, "%s: write() is refused", kind);
	}
	ok_errno(try_map(4 * PAGE, rw, MAP_SHARED, fixed, 0), 0, "fixed: all of it");
	ok_errno(try_map(5 * PAGE, rw, MAP_SHARED, fixed, 0), ENXIO,
		 "fixed: a page too many");
	ok_errno(try_map(PAGE, rw, MAP_SHARED, fixed, 4 * PAGE), ENXIO,
		 "fixed: just past the end");
	ok_errno(try_map(2 * PAGE, rw, MAP_SHARED, fixed, 3 * PAGE), ENXIO,
		 "fixed: across the end");
	ok_errno(try_map(PAGE, rw, MAP_SHARED, fixed, 3 * PAGE), 0, "fixed: last page");
	ok_errno(try_map(PAGE, rw, MAP_SHARED, open_fd, UNMAPPED_MAX_BYTES - PAGE), 0,
		 "open: last possible page");
	ro = open(DEVICE, O_RDONLY | O_CLOEXEC);
	if (ro < 0)
		die("open for reading");
	ok_errno(try_map(PAGE, rw, MAP_SHARED, ro, 0), EACCES,
		 "opened for reading: writable mapping");
	close(ro);
	close(open_fd);
	close(fixed);
}

static void semantics(void)
{
	const size_t n = 16 * PAGE;
	uint8_t *a, *b, *c, *moved;
	int fd = um_open(), other = um_open(), i, bad;
	struct stat st;

	a = map_shared(fd, n);
	b = map_shared(fd, n);
	c = map_shared(other, n);
	if (!a || !b || !c)
		die("mappings");
	ok(is_zero(a, n), "zero at first touch");
	memset(a, 0x5c, n);
	ok(!memcmp(a, b, n), "two mappings of one open file: same data");
	ok(is_zero(c, n), "another open: an object of its own");
	b[n - 1] = 7;
	ok(a[n - 1] == 7, "and changes are seen");
	munmap(b, n);
	b = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 3 * PAGE);
	a[3 * PAGE] = 99;
	ok(b != MAP_FAILED && b[0] == 99, "a mapping at an offset");
	munmap(b, PAGE);
	b = map_shared(fd, 4 * n);
	ok(b && b[3 * PAGE] == 99 && is_zero(b + n, 3 * n),
	   "the object grows with a longer mapping");
	munmap(b, 4 * n);

	munmap(a + 5 * PAGE, PAGE);
	ok(raises(a + 5 * PAGE, false, SIGSEGV), "partial unmap");
	ok(a[4 * PAGE] == 0x5c && a[6 * PAGE] == 0x5c, "its neighbours keep their data");
	b = mmap(a + 5 * PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
		 5 * PAGE);
	ok(b == a + 5 * PAGE && b[0] == 0x5c && b[PAGE - 1] == 0x5c,
	   "mapped again, the data is there");

	moved = mremap(a, n, n, MREMAP_MAYMOVE | MREMAP_FIXED,
		       mmap(NULL, n, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	if (moved == MAP_FAILED) {
		/* Two mappings in one range can't be moved in one step. */
		ok(errno == EFAULT, "mremap of two mappings: EFAULT");
		moved = mremap(a, 5 * PAGE, 5 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
			       mmap(NULL, n, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
				    0));
	}
	ok(moved != MAP_FAILED && moved[0] == 0x5c && moved[PAGE] == 0x5c,
	   "moved with mremap, the data is there");
	if (moved == MAP_FAILED)
		die("mremap");
	munmap(a + 5 * PAGE, n - 5 * PAGE);
	a = moved;
	ok(!mprotect(a, PAGE, PROT_READ) && raises(a, true, SIGSEGV) && a[0] == 0x5c,
	   "mprotect to read-only");
	ok(!mprotect(a, PAGE, PROT_NONE) && raises(a, false, SIGSEGV),
	   "mprotect to none");
	ok(!mprotect(a, PAGE, PROT_READ | PROT_WRITE) && a[0] == 0x5c, "mprotect back");
	ok_errno(mprotect(a, PAGE, PROT_READ | PROT_EXEC), EACCES,
		 "mprotect to executable");
	for (i = 0, bad = 0; i < 2; i++) {
		static const int advice[] = { MADV_DONTNEED, MADV_REMOVE };

		/* Refused or without effect: both are fine. */
		madvise(a, 2 * PAGE, advice[i]);
		bad += a[0] != 0x5c || a[PAGE] != 0x5c;
	}
	ok(!bad, "madvise does not lose data");

	ok(fcntl(fd, F_GETFD) == FD_CLOEXEC, "O_CLOEXEC at open");
	ok(!fstat(fd, &st) && S_ISCHR(st.st_mode), "a character device");
	close(fd);
	a[17] = 3;
	ok(a[0] == 0x5c && a[17] == 3, "the mapping outlives the descriptor");
	munmap(a, n);
	close(other);
	ok(is_zero(c, n), "so does that of the other");
	munmap(c, n);
}

static void fixed_objects(void)
{
	int fd = um_create(2 * PAGE, 0, UNMAPPED_ANY_NODE), dup_fd;
	uint8_t *p, *q;

	if (fd < 0)
		die("CREATE");
	ok(fcntl(fd, F_GETFD) == FD_CLOEXEC, "CREATE sets O_CLOEXEC");
	ok((fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDWR, "and O_RDWR");
	p = map_shared(fd, 2 * PAGE);
	if (!p)
		die("mmap");
	ok(is_zero(p, 2 * PAGE), "fixed: zero at first touch");
	memset(p, 0x33, 2 * PAGE);
	q = mremap(p, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE);
	if (q == MAP_FAILED) {
		ok(errno == EFAULT || errno == EINVAL || errno == ENXIO,
		   "fixed: mremap past the end is refused");
	} else {
		p = q;
		ok(raises(p + 2 * PAGE, false, SIGBUS) &&
			   raises(p + 3 * PAGE, true, SIGBUS),
		   "fixed: past the end SIGBUS");
	}
	dup_fd = dup(fd);
	munmap(p, 2 * PAGE);
	close(fd);
	p = map_shared(dup_fd, 2 * PAGE);
	ok(p && p[PAGE + 5] == 0x33, "data stays while a descriptor is open");
	munmap(p, 2 * PAGE);
	close(dup_fd);

	fd = um_create(PAGE, UNMAPPED_CREATE_THISNODE, 0);
	p = fd < 0 ? NULL : map_shared(fd, PAGE);
	ok(p && (*p = 1), "CREATE_THISNODE on node 0");
	close(fd);
	munmap(p, PAGE);
}

static void clean_reuse(void)
{
	const size_t n = 6 * MIB;
	int round, dirty = 0;

	for (round = 0; round < 3; round++) {
		int fd = um_open();
		uint8_t *p = fd < 0 ? NULL : map_shared(fd, n);

		if (!p)
			die("object");
		dirty += !is_zero(p, n);
		memset(p, 0xff, n);
		close(fd);
		munmap(p, n);
	}
	ok(!dirty, "memory used again is zero");
	ok(um_stat("pages_free") > 0, "control: it was in the cache meanwhile");
}

static int no_zero_create(void *unused)
{
	(void)unused;
	if (setgid(1000) || setuid(1000))
		return 2;
	if (um_create(PAGE, UNMAPPED_CREATE_NO_ZERO, UNMAPPED_ANY_NODE) >= 0)
		return 3;
	return errno == EPERM ? 0 : 4;
}

/* Fill an object and let go of it.  Return: whether it was zero; ns of the latter. */
static bool use_object(size_t bytes, uint32_t flags, uint64_t *ns)
{
	int fd = um_create(bytes, flags, UNMAPPED_ANY_NODE);
	uint8_t *p = fd < 0 ? NULL : map_shared(fd, bytes);
	uint64_t start;
	bool zero;

	if (!p)
		die("object of %zu bytes", bytes);
	zero = is_zero(p, bytes);
	memset(p, 0xff, bytes);
	munmap(p, bytes);
	start = now_ns();
	close(fd);
	start = now_ns() - start;
	if (ns && start < *ns)
		*ns = start;
	return zero;
}

static void no_zero(void)
{
	const uint32_t flag = UNMAPPED_CREATE_NO_ZERO;
	const size_t n = 32 * MIB;
	uint64_t with = -1, without = -1;
	int i, fd = um_create(PAGE, flag, UNMAPPED_ANY_NODE);
	struct unmapped_status s = { .argsz = sizeof(s) };
	size_t all;
	long taken;

	ok(fd >= 0 && !ioctl(fd, UNMAPPED_IOC_STATUS, &s) && s.flags == flag,
	   "CREATE_NO_ZERO, and STATUS says so");
	close(fd);
	chmod(DEVICE, 0666);
	i = in_child(no_zero_create, NULL);
	ok(i == 0, "without CAP_SYS_ADMIN: EPERM (%d)", i);
	chmod(DEVICE, 0600);

	if (um_shrink())
		die("shrink");
	use_object(n, flag, NULL);
	/* All that is free, so that none of it is passed over. */
	all = um_stat("pages_free") * PAGE;
	taken = um_stat("blocks_taken");
	ok(use_object(all, flag, NULL), "what one leaves is not seen by another");
	use_object(all, flag, NULL);
	ok(use_object(all, 0, NULL), "nor by an ordinary object");
	ok(use_object(all, flag, NULL), "what an ordinary one leaves neither");
	ok(all >= n && um_stat("blocks_taken") == taken,
	   "control: all of them had the same %zu MiB", all / MIB);
	use_object(5 * PAGE, flag, NULL);
	ok(use_object(all, flag, NULL), "nor single pages");

	for (i = 0; i < 5; i++) {
		use_object(n, flag, &with);
		use_object(n, 0, &without);
	}
	ok(with < without / 2, "to close takes less: %lu us, and %lu without the flag",
	   with / 1000, without / 1000);
}

static void processes(void)
{
	int fd = um_open(), pair[2], got, status;
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	char byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	uint8_t *p = map_shared(fd, PAGE), *q;
	pid_t pid;

	if (!p)
		die("object");
	p[0] = 1;
	fflush(NULL);
	pid = fork();
	if (!pid) {
		p[1] = p[0] + 1;
		_exit(p[0] != 1);
	}
	waitpid(pid, &status, 0);
	ok(status == 0 && p[1] == 2, "fork shares the mapping");
	close(fd);
	munmap(p, PAGE);

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		die("socketpair");
	pid = fork();
	if (!pid) {
		fd = um_create(PAGE, 0, UNMAPPED_ANY_NODE);
		p = fd < 0 ? NULL : map_shared(fd, PAGE);
		if (!p)
			_exit(1);
		p[9] = 42;
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
		_exit(sendmsg(pair[0], &msg, 0) != 1);
	}
	waitpid(pid, &status, 0);
	if (status || recvmsg(pair[1], &msg, MSG_CMSG_CLOEXEC) != 1 ||
	    control.head.cmsg_type != SCM_RIGHTS)
		die("passing a descriptor");
	memcpy(&got, CMSG_DATA(&control.head), sizeof(got));
	q = map_shared(got, PAGE);
	ok(q && q[9] == 42, "passed over a socket by a process now dead");
	close(got);
	munmap(q, PAGE);
	close(pair[0]);
	close(pair[1]);
}

#define LIMIT_PAGES 64

static int fits(unsigned long pages, bool create)
{
	int fd = create ? um_create(pages * PAGE, 0, UNMAPPED_ANY_NODE) : um_open();
	uint8_t *p;
	int err;

	if (fd < 0)
		return errno;
	p = map_shared(fd, pages * PAGE);
	err = p ? 0 : errno;
	if (p) {
		touch(p, pages * PAGE);
		munmap(p, pages * PAGE);
	}
	close(fd);
	return err;
}

/* The limit holds for this user, whose processes start with nothing locked. */
static int limited(void *arg)
{
	const struct rlimit limit = { LIMIT_PAGES * PAGE, LIMIT_PAGES * PAGE };
	int fd, fd2, i, bad = 0;
	uint8_t *p;

	(void)arg;
	if (setrlimit(RLIMIT_MEMLOCK, &limit) || setgid(1000) || setuid(1000))
		die("becoming a user");
	for (i = 0; i < 2; i++) {
		const char *how = i ? "CREATE" : "mmap";

		errno = fits(LIMIT_PAGES, i);
		ok_errno(errno ? -1 : 0, 0, "%s: all of RLIMIT_MEMLOCK", how);
		errno = fits(LIMIT_PAGES + 1, i);
		ok_errno(errno ? -1 : 0, EAGAIN, "%s: a page over it", how);
		errno = fits(LIMIT_PAGES, i);
		ok_errno(errno ? -1 : 0, 0, "%s: all of it again", how);
	}
	for (i = 0; i < 200; i++)
		bad += fits(LIMIT_PAGES, i & 1) != 0;
	ok(!bad, "RLIMIT_MEMLOCK: 200 times, nothing stays charged");

	fd = um_create((LIMIT_PAGES - 1) * PAGE, 0, UNMAPPED_ANY_NODE);
	if (fd < 0)
		die("CREATE of a page less");
	p = map_shared(fd, (LIMIT_PAGES - 1) * PAGE);
	ok(p != NULL, "mapping a created object is not charged again");
	errno = fits(1, false);
	ok_errno(errno ? -1 : 0, 0, "one page is left");
	errno = fits(2, false);
	ok_errno(errno ? -1 : 0, EAGAIN, "two are not");
	fd2 = dup(fd);
	close(fd);
	errno = fits(2, true);
	ok_errno(errno ? -1 : 0, EAGAIN, "a duplicate keeps the charge");
	close(fd2);
	errno = fits(2, true);
	ok_errno(errno ? -1 : 0, EAGAIN, "so does a mapping");
	munmap(p, (LIMIT_PAGES - 1) * PAGE);
	errno = fits(LIMIT_PAGES, true);
	ok_errno(errno ? -1 : 0, 0, "it ends with the last of them");

	/* A failed mmap() charges nothing. */
	fd = um_open();
	for (i = 0; i < 2 * LIMIT_PAGES; i++)
		try_map(PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	errno = fits(LIMIT_PAGES, false);
	ok_errno(errno ? -1 : 0, 0, "a refused mapping is not charged");
	close(fd);
	return finish();
}

static int unlimited_root(void *arg)
{
	const struct rlimit none = { 0, 0 };

	(void)arg;
	setrlimit(RLIMIT_MEMLOCK, &none);
	return fits(LIMIT_PAGES, false) || fits(LIMIT_PAGES, true);
}

int main(int argc, char **argv)
{
	/* "device limit": the part that is another user's, with its own plan. */
	dev = um_open();
	if (dev < 0)
		die("open of " DEVICE);
	if (argc > 1 && !strcmp(argv[1], "limit")) {
		if (chmod(DEVICE, 0666))
			die("chmod");
		return limited(NULL);
	}
	bad_ioctls();
	status();
	no_descriptors();
	bad_mappings();
	semantics();
	fixed_objects();
	clean_reuse();
	no_zero();
	processes();
	ok(in_child(unlimited_root, NULL) == 0, "CAP_IPC_LOCK: no limit applies");
	close(dev);
	ok(um_stat("pages_allocated") == 0, "nothing is allocated at the end");
	return finish();
}
