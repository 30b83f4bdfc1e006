// SPDX-License-Identifier: MIT
/*
 * secretmem - what memfd_secret(2) does to the direct map, and what it costs.
 *
 *	secretmem		64 MiB page by page, three times over
 *	secretmem race		two threads at the same pages
 *	secretmem exhaust	more than there is memory
 *	secretmem limits	hibernation, and pages beside ordinary ones
 *	secretmem image		an image that a program asks for itself, too late
 *				for the question that memfd_secret(2) answers
 *	secretmem huge		2 MiB by one entry, and who can't have that
 *	secretmem split		such 2 MiB are split by the kernel into pages
 *	secretmem rows		ns for a touch and a free, which with -icount
 *				are instructions
 *	secretmem hold FILE	keep some until FILE is there
 *
 * SERIES in the environment says whether the kernel has the patches: without
 * them the same must be seen to break what it is known to break.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/suspend_ioctls.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

#define BYTES  (64 * MIB)
#define ROUNDS 3

#define SNAPSHOT "/tmp/snapshot"

static bool series;

static uint8_t *map_new(size_t bytes, int *fd)
{
	uint8_t *p = NULL;

	*fd = secretmem_open(bytes);
	if (*fd >= 0)
		p = map_shared(*fd, bytes);
	if (!p)
		die("memfd_secret of %zu bytes", bytes);
	return p;
}

static void unmap_all(uint8_t *p, size_t bytes, int fd)
{
	munmap(p, bytes);
	close(fd);
}

/*
 * Pages are freed by whoever drops the last reference.  That may be a CPU's list
 * of pages to be put on an LRU list, which compaction empties.
 */
static void all_went_back(const char *what)
{
	int tries;

	ok(file_write("/proc/sys/vm/compact_memory", "1") == 0,
	   "%s: LRU lists are drained", what);
	ok(um_stat_becomes("pages_allocated", 0, 5), "%s: all pages are free", what);
	/* A refill ahead of need may still be under way. */
	for (tries = 0; tries < 10; tries++)
		if (um_shrink() == 0 && um_stat_becomes("pages_owned", 0, 1))
			break;
	ok(um_stat("pages_owned") == 0, "%s: all blocks are given back", what);
	ok(um_stat("quarantined") == 0, "%s: nothing in quarantine", what);
}

static void page_by_page(void)
{
	struct direct_map start, used, end;
	long flushes = 0;
	uint8_t *p;
	int fd, round;

	if (series && um_shrink())
		die("shrink");
	direct_map_read(&start);
	direct_map_note("start", &start);
	for (round = 1; round <= ROUNDS; round++) {
		if (series)
			flushes = um_stat("flushes");
		p = map_new(BYTES, &fd);
		ok(is_zero(p, BYTES), "round %d: pages are zero", round);
		memset(p, 0x5a, BYTES);
		direct_map_read(&used);
		direct_map_note("in use", &used);
		if (series) {
			ok(um_stat("pages_allocated") == BYTES / PAGE,
			   "round %d: all pages are unmapped ones", round);
			ok(used.splits2m == start.splits2m &&
				   used.splits1g == start.splits1g,
			   "round %d: 2M splits: 0", round);
			ok(direct_map_same(&start, &used),
			   "round %d: DirectMap is unchanged in use", round);
			flushes = um_stat("flushes") - flushes;
			ok(flushes > 0 && flushes <= (long)(BYTES / BLOCK),
			   "round %d: %ld flushes for %lu pages", round, flushes,
			   BYTES / PAGE);
		}
		unmap_all(p, BYTES, fd);
		if (series)
			all_went_back("freed");
		direct_map_read(&end);
		if (series)
			ok(direct_map_same(&start, &end) &&
				   end.splits2m == start.splits2m,
			   "round %d: DirectMap is what it was", round);
	}
	direct_map_note("end", &end);
	note("row splits %ld", end.splits2m - start.splits2m);
	note("row 4k %ld", end.kb4 - start.kb4);
	if (!series)
		ok(end.splits2m > start.splits2m && end.kb4 > start.kb4,
		   "control: without the patches the direct map is split for good");
}

/* --- two threads ----------------------------------------------------------- */

static pthread_barrier_t barrier;
static uint8_t *shared;

static void *toucher(void *unused)
{
	size_t at;

	for (at = 0; at < BYTES; at += PAGE) {
		if (at % (64 * PAGE) == 0)
			pthread_barrier_wait(&barrier);
		__atomic_add_fetch(shared + at, 1, __ATOMIC_RELAXED);
	}
	return unused;
}

static void race(void)
{
	size_t at, wrong = 0;
	pthread_t other;
	int fd, round;

	pthread_barrier_init(&barrier, NULL, 2);
	for (round = 1; round <= ROUNDS; round++) {
		shared = map_new(BYTES, &fd);
		if (pthread_create(&other, NULL, toucher, NULL))
			die("thread");
		toucher(NULL);
		pthread_join(other, NULL);
		for (at = 0; at < BYTES; at += PAGE)
			wrong += shared[at] != 2;
		ok(!wrong, "round %d: both found the same pages", round);
		unmap_all(shared, BYTES, fd);
	}
	if (series)
		all_went_back("raced");
}

/* --- more than there is ------------------------------------------------------ */

static int touch_too_much(void *bytes)
{
	int fd;
	uint8_t *p = map_new(*(size_t *)bytes, &fd);

	touch(p, *(size_t *)bytes);
	return 0;
}

/*
 * As without the patches: the OOM killer takes whoever holds it all.  It must
 * not be a fault that is retried for ever.
 */
static void exhaust(void)
{
	size_t bytes = (size_t)meminfo("MemTotal") * 1024;
	struct direct_map map;
	int status;

	status = in_child(touch_too_much, &bytes);
	ok(status == 128 + SIGKILL, "who takes all memory is killed (%d)", status);
	if (series)
		all_went_back("exhausted");
	direct_map_read(&map);
	direct_map_note("end", &map);
}

/* --- what stays as it is ---------------------------------------------------- */

static bool hibernation_off(void)
{
	char text[64] = "";
	FILE *f = fopen("/sys/power/disk", "re");

	if (!f || !fgets(text, sizeof(text), f))
		die("/sys/power/disk");
	fclose(f);
	return strstr(text, "[disabled]");
}

static void limits(void)
{
	bool off = hibernation_off();
	uint8_t *p, *q;
	int fd;

	ok(!off, "hibernation is possible");
	p = map_new(BLOCK, &fd);
	touch(p, BLOCK);
	ok(hibernation_off(), "not while there is secret memory");
	/* Ordinary pages come and go as ever beside it. */
	q = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (q == MAP_FAILED)
		die("mmap");
	memset(q, 1, BYTES);
	munmap(q, BYTES);
	unmap_all(p, BLOCK, fd);
	ok(!hibernation_off(), "possible again");
	if (series)
		all_went_back("limits");
}

/* Is there an image of memory, with @late in between? */
static bool image_with(void (*late)(void))
{
	loff_t bytes = 0;
	int fd, in_suspend = -1;

	snapshot_device(SNAPSHOT);
	fd = open(SNAPSHOT, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die(SNAPSHOT);
	if (late)
		late();
	if (ioctl(fd, SNAPSHOT_FREEZE, 0))
		die("SNAPSHOT_FREEZE");
	/*
	 * Where it fails late the first time, the kernel says 0 and not in suspend, as
	 * it does in a system that was restored; another time it is the error.
	 */
	if (ioctl(fd, SNAPSHOT_CREATE_IMAGE, &in_suspend)) {
		if (errno != EBUSY)
			die("SNAPSHOT_CREATE_IMAGE");
		in_suspend = 0;
	}
	if (in_suspend &&
	    (ioctl(fd, SNAPSHOT_GET_IMAGE_SIZE, &bytes) || bytes < (loff_t)MIB))
		die("an image of %lld bytes", (long long)bytes);
	printf("# in_suspend %d, image of %lld kB\n", in_suspend,
	       (long long)bytes / 1024);
	close(fd);
	return in_suspend;
}

static uint8_t *late_page;
static int late_fd;

static void secret_too_late(void)
{
	late_page = map_new(BLOCK, &late_fd);
	touch(late_page, PAGE);
}

/*
 * Who opens /dev/snapshot is asked then, and has all tasks running until he freezes
 * them: time for a secret.  Without the series, it is in the image.
 */
static void image(void)
{
	ok(image_with(NULL), "without secrets: an image");
	ok(image_with(secret_too_late) == !series,
	   "one that came after the question was asked: %s",
	   series ? "none" : "an image");
	if (series)
		ok(log_has("no hibernation image: memfd_secret(2) is in use"),
		   "the log says so");
	ok(late_page[0] == 1, "the secret is there");
	unmap_all(late_page, BLOCK, late_fd);
	ok(image_with(NULL), "it is gone: an image");
	if (series)
		all_went_back("image");
}

/* --- 2 MiB at once --------------------------------------------------------- */

#define THP "/sys/kernel/mm/transparent_hugepage/enabled"

/* What happens to a mapping that has huge entries; its content stays. */
static void change(uint8_t *p, int fd)
{
	uint8_t *q;
	int i;

	for (i = 0; i < 4; i++)
		memset(p + i * BLOCK, 'a' + i, BLOCK);
	/* A page in the middle of each of the first three. */
	munmap(p + 5 * PAGE, PAGE);
	ok(p[0] == 'a' && p[6 * PAGE] == 'a', "a page unmapped: the others are there");
	mprotect(p + BLOCK + 7 * PAGE, PAGE, PROT_READ);
	ok(raises(p + BLOCK + 7 * PAGE, true, SIGSEGV) && p[BLOCK + 8 * PAGE] == 'b',
	   "a page read-only: only that");
	madvise(p + 2 * BLOCK + PAGE, PAGE, MADV_DONTNEED);
	ok(p[2 * BLOCK + PAGE] == 'c', "a page zapped: it is the file's, and comes back");
	q = mremap(p + 3 * BLOCK, BLOCK, BLOCK, MREMAP_MAYMOVE | MREMAP_FIXED,
		   p + 8 * BLOCK);
	ok(q == p + 8 * BLOCK && q[BLOCK - 1] == 'd', "moved");
	q = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 5 * PAGE);
	ok(q != MAP_FAILED && *q == 'a', "the page that was unmapped, mapped again");
	munmap(q, PAGE);
}

static int child_reads(void *p)
{
	return ((uint8_t *)p)[BLOCK - 1] != 'a';
}

/* get_user_pages() and its fast form, which tells secret memory by the folio. */
static void refused(uint8_t *p)
{
	struct iovec iov = { p + PAGE, 16 * PAGE }, to;
	uint8_t buffer[64];
	int fds[2];

	if (pipe(fds))
		die("pipe");
	*p = 1;
	ok(vmsplice(fds[1], &iov, 1, SPLICE_F_NONBLOCK) < 0 && errno == EFAULT,
	   "vmsplice() is refused (%s)", strerror(errno));
	iov.iov_len = sizeof(buffer);
	to = (struct iovec){ buffer, sizeof(buffer) };
	ok(process_vm_readv(getpid(), &to, 1, &iov, 1, 0) < 0 && errno == EFAULT,
	   "process_vm_readv() is refused (%s)", strerror(errno));
	close(fds[0]);
	close(fds[1]);
}

static long huge_faults(uint8_t *p, size_t bytes)
{
	long before = vmstat("thp_file_mapped");
	size_t at;

	for (at = 0; at < bytes; at += BLOCK)
		p[at] = 1;
	return vmstat("thp_file_mapped") - before;
}

static void limited(size_t bytes)
{
	struct rlimit limit = { 8 * MIB, RLIM_INFINITY };
	uint8_t *p;
	long nr;
	int fd;

	p = map_new(bytes, &fd);
	if (setrlimit(RLIMIT_MEMLOCK, &limit))
		die("setrlimit");
	nr = huge_faults(p, bytes);
	ok(nr == 2, "RLIMIT_MEMLOCK of 8 MiB: half of it goes to huge ones (%ld)", nr);
	limit.rlim_cur = RLIM_INFINITY;
	setrlimit(RLIMIT_MEMLOCK, &limit);
	unmap_all(p, bytes, fd);
}

static void huge(void)
{
	const size_t bytes = 16 * BLOCK;
	struct direct_map start, now;
	long faults, pages;
	uint8_t *p;
	int fd;

	if (um_shrink() || file_write(THP, "always"))
		die("start");
	direct_map_read(&start);
	p = map_new(bytes, &fd);
	ok((uintptr_t)p % BLOCK == 0, "the address is aligned (%p)", (void *)p);
	ok(huge_faults(p, bytes) == 16, "one entry for each 2 MiB");
	ok(um_stat("pages_allocated") == bytes / PAGE, "all pages are unmapped ones");
	refused(p);
	change(p, fd);
	ok(in_child(child_reads, p) == 0, "a child sees the same");
	direct_map_read(&now);
	ok(direct_map_same(&start, &now), "nothing is split");
	unmap_all(p, bytes, fd);
	munmap(p + 8 * BLOCK, BLOCK);

	p = map_new(BLOCK - PAGE, &fd);
	ok(huge_faults(p, BLOCK - PAGE) == 0, "not where the file ends before");
	unmap_all(p, BLOCK - PAGE, fd);
	fd = secretmem_open(2 * BLOCK);
	p = mmap(NULL, BLOCK + PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, PAGE);
	if (p == MAP_FAILED)
		die("mmap");
	ok(huge_faults(p, BLOCK) == 0, "not where the mapping begins behind");
	unmap_all(p, BLOCK + PAGE, fd);
	if (getenv("ACCOUNTS"))
		limited(bytes);
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	p = map_new(bytes, &fd);
	faults = huge_faults(p, bytes);
	pages = um_stat("pages_allocated");
	ok(faults == 0 && pages == 16, "PR_SET_THP_DISABLE: page by page (%ld)", pages);
	prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);
	unmap_all(p, bytes, fd);
	file_write(THP, "madvise");
	p = map_new(2 * BLOCK, &fd);
	ok(huge_faults(p, BLOCK) == 0, "madvise: not without");
	madvise(p + BLOCK, BLOCK, MADV_HUGEPAGE);
	ok(huge_faults(p + BLOCK, BLOCK) == 1, "madvise: with it");
	unmap_all(p, 2 * BLOCK, fd);
	file_write(THP, "never");
	p = map_new(bytes, &fd);
	ok(huge_faults(p, bytes) == 0, "never: not at all");
	unmap_all(p, bytes, fd);
	all_went_back("huge");
	direct_map_read(&now);
	ok(direct_map_same(&start, &now), "DirectMap is what it was");
}

/* --- split ------------------------------------------------------------------ */

#define SPLIT "/sys/kernel/debug/split_huge_pages"

/*
 * Folios of 2 MiB become ones of an order; or, "order,page", smaller and smaller ones
 * towards that page, where the kernel can do that.  Return: how many were split.
 */
static long split_folios(uint8_t *p, size_t bytes, const char *how)
{
	const long before = vmstat("thp_split_page");
	char text[128];

	snprintf(text, sizeof(text), "%d,0x%lx,0x%lx,%s", getpid(), (unsigned long)p,
		 (unsigned long)(p + bytes), how);
	if (file_write(SPLIT, text))
		die("%s: %s", SPLIT, text);
	return vmstat("thp_split_page") - before;
}

static void split(void)
{
	const char *const how[] = { "0", "0,5", "3" };
	const size_t nr = sizeof(how) / sizeof(how[0]), bytes = nr * BLOCK;
	struct direct_map start, now;
	struct secret secret;
	uint8_t *p;
	size_t i, there = 0;
	long done;
	int fd;

	if (um_shrink() || file_write(THP, "always"))
		die("start");
	direct_map_read(&start);
	secret_new(&secret);
	p = map_new(bytes, &fd);
	ok(huge_faults(p, bytes) == (long)nr, "one entry for each 2 MiB");
	for (i = 0; i < bytes / PAGE; i++)
		secret_write(p + i * PAGE, &secret);
	for (i = 0; i < nr; i++) {
		done = split_folios(p + i * BLOCK, BLOCK, how[i]);
		/* Older kernels don't show secret memory to who asks for it there. */
		if (getenv("SPLITS"))
			ok(done == 1, "split: %s (%ld)", how[i], done);
		else
			ok(done == 0, "not split: %s (%ld)", how[i], done);
	}
	for (i = 0; i < bytes / PAGE; i++)
		there += secret_at(p + i * PAGE, &secret);
	ok(there == bytes / PAGE, "all pages have what was written to them");
	ok(um_stat("pages_allocated") == (long)(bytes / PAGE), "all are unmapped ones");
	direct_map_read(&now);
	ok(direct_map_same(&start, &now), "nothing is split in the direct map");
	unmap_all(p, bytes, fd);
	all_went_back("split");
	direct_map_read(&now);
	ok(direct_map_same(&start, &now), "DirectMap is what it was");
}

/* --- cost ------------------------------------------------------------------- */

/* What it costs to free an ordinary page: that asks whether it is one of ours. */
static uint64_t ordinary(void)
{
	uint64_t before;
	uint8_t *p;

	p = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED || madvise(p, BYTES, MADV_NOHUGEPAGE))
		die("mmap");
	touch(p, BYTES);
	before = now_ns();
	munmap(p, BYTES);
	return (now_ns() - before) / (BYTES / PAGE);
}

static void rows(void)
{
	const size_t pages = BYTES / PAGE;
	uint64_t before;
	uint8_t *p;
	int fd, round;

	ordinary();
	note("row ordinary1 %lu", ordinary());
	/* The second round is the one that counts: code and tables are there. */
	for (round = 1; round <= 2; round++) {
		p = map_new(BYTES, &fd);
		before = now_ns();
		touch(p, BYTES);
		note("row touch%d %lu", round, (now_ns() - before) / pages);
		before = now_ns();
		unmap_all(p, BYTES, fd);
		note("row free%d %lu", round, (now_ns() - before) / pages);
	}
	note("row ordinary2 %lu", ordinary());
	ok(true, "measured");
}

static void hold(const char *until)
{
	uint8_t *p;
	int fd;

	p = map_new(BLOCK / 2, &fd);
	touch(p, BLOCK / 2);
	while (access(until, F_OK))
		usleep(100000);
	exit(0);
}

int main(int argc, char **argv)
{
	const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	const char *what = argc > 1 ? argv[1] : "";

	/* Root is held to it, too, and what is over it is a signal. */
	if (setrlimit(RLIMIT_MEMLOCK, &unlimited))
		die("setrlimit");
	series = getenv("SERIES") && !strcmp(getenv("SERIES"), "yes");
	if (!strcmp(what, "race"))
		race();
	else if (!strcmp(what, "exhaust"))
		exhaust();
	else if (!strcmp(what, "limits"))
		limits();
	else if (!strcmp(what, "image"))
		image();
	else if (!strcmp(what, "huge"))
		huge();
	else if (!strcmp(what, "split"))
		split();
	else if (!strcmp(what, "rows"))
		rows();
	else if (!strcmp(what, "hold") && argc > 2)
		hold(argv[2]);
	else if (argc == 1)
		page_by_page();
	else
		die("unknown argument %s", what);
	return finish();
}
