// SPDX-License-Identifier: MIT
/*
 * steal - pages of memfd_secret(2), which can't be moved, stand in blocks that are
 * owned in part.  Others have the rest of these blocks, and free it.
 *
 * Without stealing the direct map stays split for as long as the secrets are there:
 * that is the control, on the same kernel.
 */
#define _GNU_SOURCE
#include "fragment.h"
#include "guest.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/io_uring.h>

#define MOST	(256 * MIB) /* of secrets */
#define SPLITS	20	    /* at least */
#define LEAVE	(24 * MIB)  /* of free memory, under pressure */
#define PIPES	32	    /* of 1 MiB */
#define TURN	8UL	    /* pages of a pipe side by side */
#define ROUNDS	6
#define HEAL_MS "/sys/kernel/mm/unmapped/heal_ms"
#define STEAL	"/sys/module/unmapped/parameters/steal"
#define SCALE	"/proc/sys/vm/watermark_scale_factor"

static void set(const char *path, const char *text)
{
	if (file_write(path, text))
		die("%s %s", path, text);
}

/* --- those who have the rest ------------------------------------------------- */

/* Whole blocks that are left, or become whole a little later: as huge pages, pinned. */
static void take_the_rest(void)
{
	const size_t size = 256 * MIB;
	static struct iovec pin[256 * MIB / BLOCK];
	struct io_uring_params params = { 0 };
	int ring, tries, quiet = 0;
	size_t at = 0;
	uint8_t *p;

	p = mmap(NULL, size + BLOCK, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		die("mmap");
	p = (uint8_t *)(((uintptr_t)p + BLOCK - 1) & ~(BLOCK - 1));
	if (madvise(p, size, MADV_HUGEPAGE))
		die("madvise");
	for (tries = 0; tries < 60 && quiet < 10; tries++) {
		quiet = whole_blocks() ? 0 : quiet + 1;
		for (; whole_blocks() && at < size; at += BLOCK) {
			p[at] = 1;
			pin[at / BLOCK] = (struct iovec){ p + at, PAGE };
		}
		usleep(200000);
	}
	ring = syscall(SYS_io_uring_setup, 4, &params);
	if (at && (ring < 0 || syscall(SYS_io_uring_register, ring,
				       IORING_REGISTER_BUFFERS, pin, at / BLOCK)))
		die("pinning %zu blocks", at / BLOCK);
}

/* One page in each block is pinned for as long as this process lives. */
static pid_t pin_one_in_each(void)
{
	int pipes[2], nr = 0;
	pid_t pid;

	if (pipe(pipes))
		die("pipe");
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fragment(false, &nr);
		take_the_rest();
		if (write(pipes[1], &nr, sizeof(nr)) == sizeof(nr))
			pause();
		_exit(1);
	}
	close(pipes[1]);
	if (pid < 0 || read(pipes[0], &nr, sizeof(nr)) != sizeof(nr))
		die("fragment");
	close(pipes[0]);
	note("one page of %d blocks pinned", nr);
	return pid;
}

static void unpin(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/*
 * Pages of pipes: as they can't be moved, the kernel takes them from where the
 * allocator took its pieces.  And ordinary ones.
 */
static struct pipe {
	int fd[2];
} pipes[PIPES];
static uint8_t *ordinary;
static size_t ordinary_bytes;

/* @all: of the ordinary ones as many as there are. */
static void fill(bool all)
{
	static const uint8_t page[PAGE];
	size_t i, n;

	ordinary_bytes = all ? (size_t)meminfo("MemTotal") * 1024 & ~(4 * MIB - 1)
			     : PIPES * MIB;
	ordinary = mmap(NULL, ordinary_bytes, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (ordinary == MAP_FAILED || madvise(ordinary, ordinary_bytes, MADV_NOHUGEPAGE))
		die("mmap");
	for (i = 0; i < PIPES; i++) {
		if (pipe2(pipes[i].fd, O_NONBLOCK | O_CLOEXEC) ||
		    fcntl(pipes[i].fd[1], F_SETPIPE_SZ, MIB) < 0)
			die("pipe %zu", i);
	}
	/* By turns to each of two. */
	for (n = 0; n < PIPES * MIB / PAGE; n++) {
		i = n / (2 * MIB / PAGE) * 2 + n / TURN % 2;
		if (write(pipes[i].fd[1], page, PAGE) != PAGE)
			die("write to a pipe");
	}
	for (i = 0; i < ordinary_bytes && (size_t)memory_free(-1) * 1024 > LEAVE;
	     i += MIB)
		touch(ordinary + i, MIB);
}

/*
 * Each other of the pipes is no more.  In these gaps the kernel has room for what it
 * needs to give out secrets, and keeps with them: not beside the pieces.
 */
static void make_gaps(void)
{
	size_t i;

	for (i = 1; i < PIPES; i += 2) {
		close(pipes[i].fd[0]);
		close(pipes[i].fd[1]);
		pipes[i] = (struct pipe){ { -1, -1 } };
	}
}

/* No faster than the allocator takes it over. */
static void free_slowly(void)
{
	const size_t step = 4 * MIB;
	size_t i;

	for (i = 0; i < PIPES; i++) {
		close(pipes[i].fd[0]);
		close(pipes[i].fd[1]);
		usleep(30000);
	}
	for (i = 0; i < ordinary_bytes; i += step) {
		munmap(ordinary + i, step);
		usleep(20000);
	}
	usleep(300000);
}

/* --- the secrets ------------------------------------------------------------- */

static bool healed(const struct direct_map *start)
{
	struct direct_map now;

	direct_map_read(&now);
	return direct_map_same(start, &now) &&
	       um_stat("heals_2m") == um_stat("splits_2m");
}

/*
 * Secrets until some are in pieces: at first memory that can be moved makes room for
 * whole blocks.  Return: how many pages.
 */
static size_t write_secrets(uint8_t *p, const struct secret *s)
{
	long splits = um_stat("splits_2m");
	size_t n;

	for (n = 0; n < MOST / PAGE; n++) {
		if (n % 64 == 0 && um_stat("splits_2m") >= splits + SPLITS)
			break;
		secret_write(p + n * PAGE, s);
	}
	return n;
}

static size_t secrets_there(const uint8_t *p, size_t pages, const struct secret *s)
{
	size_t i, n = 0;

	for (i = 0; i < pages; i++)
		n += secret_at(p + i * PAGE, s);
	return n;
}

/* What else is in the blocks that the secrets are in: of how many pages, of how many blocks. */
static void note_neighbours(const uint8_t *p, size_t pages)
{
	enum { BUDDY, SLAB, TABLE, ANON, LRU, NONE, KINDS };
	static const struct {
		const char *name;
		int bit; /* of /proc/kpageflags */
	} kinds[KINDS] = { { "on the lists of free pages", 10 },
			   { "slab", 7 },
			   { "page tables", 26 },
			   { "anonymous", 12 },
			   { "others on LRU lists", 5 },
			   { "without flags", -1 } };
	static uint8_t ours[1 << 20]; /* pages of memory, at most */
	unsigned long all[KINDS] = {}, blocks[KINDS] = {};
	int map = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	int flags = open("/proc/kpageflags", O_RDONLY | O_CLOEXEC);
	uint64_t entry, here[BLOCK / PAGE];
	size_t i, j, nr;
	int k;

	for (i = 0; i < pages; i++) {
		if (pread(map, &entry, sizeof(entry),
			  ((uintptr_t)p / PAGE + i) * sizeof(entry)) != sizeof(entry))
			die("pagemap");
		entry &= (1ULL << 55) - 1;
		if (entry >= ARRAY_SIZE(ours))
			die("page %#lx", (unsigned long)entry);
		ours[entry] = 1;
	}
	for (i = 0; i < ARRAY_SIZE(ours); i += BLOCK / PAGE) {
		unsigned long in_block[KINDS] = {};

		if (!memchr(ours + i, 1, BLOCK / PAGE))
			continue;
		if (pread(flags, here, sizeof(here), i * sizeof(*here)) != sizeof(here))
			die("kpageflags");
		for (j = nr = 0; j < BLOCK / PAGE; j++) {
			if (ours[i + j])
				continue;
			for (k = 0; kinds[k].bit >= 0 && !(here[j] >> kinds[k].bit & 1);
			     k++)
				;
			in_block[k]++;
		}
		for (k = 0; k < KINDS; k++) {
			all[k] += in_block[k];
			blocks[k] += in_block[k] > 0;
		}
	}
	for (k = 0; k < KINDS; k++)
		note("beside secrets, %s: %lu pages of %lu blocks", kinds[k].name, all[k],
		     blocks[k]);
	close(map);
	close(flags);
}

/*
 * Of the pages that were free in pieces, few are: those of a block that has become
 * whole meanwhile, and of which a page is in use, are in no pieces any more.
 */
static bool gone_back(long before, long heals)
{
	long whole = (um_stat("heals_2m") - heals) * (long)(BLOCK / PAGE - 1);

	return um_stat("pages_free") <= before / 4 + whole && !um_stat("stolen_pending");
}

/* Memory is short, and the kernel reclaims: what nobody uses goes back. */
static void pressure(long heals)
{
	size_t bytes = (size_t)meminfo("MemTotal") * 1024, at;
	long before = um_stat("pages_free");
	uint8_t *p;
	int i;

	ok(before > 0, "%ld pages are free in pieces", before);
	p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED || madvise(p, bytes, MADV_NOHUGEPAGE))
		die("mmap");
	for (at = 0; at < bytes && (size_t)memory_free(-1) * 1024 > LEAVE; at += MIB)
		touch(p + at, MIB);
	/* Low is far above the one at which somebody is killed. */
	set(SCALE, "2000");
	/* It does not wait for who is at work on the cache, but comes again. */
	for (i = 0; i < 10 && !gone_back(before, heals); i++) {
		set("/proc/sys/vm/drop_caches", "2");
		usleep(100000);
	}
	ok(gone_back(before, heals),
	   "reclaim: they go back (%ld free, %ld blocks healed, %ld waiting)",
	   um_stat("pages_free"), um_stat("heals_2m") - heals, um_stat("stolen_pending"));
	before = um_stat("stolen");
	/* For the pipes; it is still less than the kernel is content with. */
	munmap(p, 64 * MIB);
	sleep(3); /* longer than nothing is taken after reclaim */
	fill(false);
	free_slowly();
	ok(um_stat("stolen") == before, "none are taken while memory is short");
	set(SCALE, "10");
	munmap(p, bytes);
}

static void run(bool stealing)
{
	const char *how = stealing ? "stealing" : "not stealing";
	struct direct_map start, now;
	struct secret secret;
	long stolen, splits, heals;
	size_t pages;
	int fd, i;
	pid_t pid;
	uint8_t *p;

	set(STEAL, stealing ? "1" : "0");
	set(HEAL_MS, "0");
	if (um_shrink())
		die("shrink");
	direct_map_read(&start);
	direct_map_note("start", &start);
	pid = pin_one_in_each();
	ok(whole_blocks() <= 2, "%s: control: no whole block is free (%ld)", how,
	   whole_blocks());

	/* What the kernel itself has free here and there is not to be taken. */
	fill(false);
	make_gaps();
	splits = um_stat("splits_2m");
	heals = um_stat("heals_2m");
	fd = secretmem_open(MOST);
	p = fd < 0 ? NULL : map_shared(fd, MOST);
	if (!p)
		die("memfd_secret");
	secret_new(&secret);
	pages = write_secrets(p, &secret);
	direct_map_read(&now);
	direct_map_note("in pieces", &now);
	note("%ld pages of %ld pieces", um_stat("pages_owned"), um_stat("pieces_taken"));
	splits = um_stat("splits_2m") - splits;
	ok(splits > 0 && now.kb4 > start.kb4,
	   "%s: control: %ld entries are split, for %zu pages", how, splits, pages);

	/* The neighbours are somebody's, and then nobody's. */
	stolen = um_stat("stolen");
	set(HEAL_MS, "50");
	sleep(3); /* the shrinker may have been called */
	free_slowly();
	ok((um_stat("stolen") > stolen) == stealing, "%s: %ld pages stolen", how,
	   um_stat("stolen") - stolen);
	ok(!healed(&start), "%s: but one page of each block is in use", how);
	if (stealing)
		pressure(heals);

	unpin(pid);
	for (i = 1; i <= (stealing ? ROUNDS : 2) && !healed(&start); i++) {
		fill(true);
		sleep(i == 1 ? 3 : 0);
		free_slowly();
		note("round %d: %ld stolen, %ld healed", i, um_stat("stolen") - stolen,
		     um_stat("heals_2m"));
	}
	direct_map_read(&now);
	direct_map_note("at the end", &now);
	if (stealing) {
		ok(um_stat("stolen") > stolen, "%ld pages stolen",
		   um_stat("stolen") - stolen);
		heals = um_stat("heals_2m") - heals;
		/* Mostly all, but where page tables or slab come to lie beside. */
		ok(heals * 2 >= splits, "%ld of %ld splits are healed in use", heals,
		   splits);
		if (heals < splits)
			note_neighbours(p, pages);
		ok(now.kb4 - start.kb4 == (splits - heals) * (long)(BLOCK / 1024),
		   "DirectMap4k: %ld kB above the start, not %ld", now.kb4 - start.kb4,
		   splits * (long)(BLOCK / 1024));
	} else {
		ok(um_stat("stolen") == stolen, "control: none stolen");
		ok(!healed(&start) && now.kb4 > start.kb4,
		   "control: the direct map remains split");
	}
	ok(secrets_there(p, pages, &secret) == pages &&
		   um_stat("pages_allocated") == (long)pages,
	   "%s: the secret is in every page", how);

	munmap(p, MOST);
	close(fd);
	set("/proc/sys/vm/compact_memory", "1");
	ok(um_stat_becomes("pages_allocated", 0, 10), "%s: all pages are free", how);
	for (i = 0; i < 10 && (um_shrink() || !um_stat_becomes("pages_owned", 0, 1)); i++)
		;
	ok(um_stat("pages_owned") == 0 && um_stat("stolen_pending") == 0,
	   "%s: all is given back", how);
	ok(healed(&start), "%s: DirectMap is what it was", how);
	ok(um_stat("quarantined") == 0, "%s: nothing in quarantine", how);
}

int main(void)
{
	const struct rlimit all_of_it = { RLIM_INFINITY, RLIM_INFINITY };

	/* On some kernels it counts for root, too. */
	if (setrlimit(RLIMIT_MEMLOCK, &all_of_it))
		die("setrlimit");
	plain_page_allocator();
	run(false);
	run(true);
	return finish();
}
