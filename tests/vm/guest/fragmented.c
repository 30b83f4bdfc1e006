// SPDX-License-Identifier: MIT
/*
 * fragmented - with no whole block free, /dev/unmapped lives on pieces, and
 * heals the direct map when they go back.
 *
 *	fragmented [movable]
 *
 * The fragmenter takes ordinary memory until no order-9 page is free, then
 * gives back all but one page of each 2 MiB block of physical memory.  The pages
 * that stay are pinned (registered with io_uring), so compaction can't move
 * them out of the way; or not, and then blocks can be made, and nothing is
 * split.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <linux/io_uring.h>

#define BYTES	   (32 * MIB)
#define PFN_MASK   ((1ULL << 55) - 1)
#define MAX_BLOCKS 16384

/*
 * Free pages of this order and more, but for the DMA zone, which is held back,
 * and those on lists of CPUs: one that finds nothing else to reclaim doesn't
 * drain them before it looks for somebody to kill.
 */
static long free_pages(int least)
{
	char line[512], zone[32];
	long sum = 0, count;
	int order, used, at;
	FILE *f = fopen("/proc/buddyinfo", "re");

	if (!f)
		die("/proc/buddyinfo");
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "Node %*d, zone %31s%n", zone, &at) != 1 ||
		    !strcmp(zone, "DMA"))
			continue;
		for (order = 0; sscanf(line + at, "%ld%n", &count, &used) == 1;
		     order++, at += used)
			if (order >= least)
				sum += count << order;
	}
	fclose(f);
	return sum;
}

static long whole_blocks(void)
{
	return free_pages(9) / 512;
}

static long fragment(bool movable)
{
	size_t all = meminfo("MemTotal") * 1024, taken = 0, i, pages;
	static struct iovec pin[MAX_BLOCKS];
	static uint8_t seen[1 << 20];
	struct io_uring_params params = { 0 };
	uint64_t *map;
	int ring, fd, nr = 0;
	uint8_t *p;

	p = mmap(NULL, all, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED || madvise(p, all, MADV_NOHUGEPAGE))
		die("mmap");
	/* Far below what is left free, or somebody may be killed for it. */
	if (file_write("/proc/sys/vm/min_free_kbytes", "8192") ||
	    file_write("/proc/sys/vm/watermark_boost_factor", "0"))
		die("watermarks");
	/* The kernel may keep a few for itself. */
	while (taken < all && whole_blocks() && free_pages(0) > 32 * (long)(MIB / PAGE)) {
		touch(p + taken, MIB / 2);
		taken += MIB / 2;
	}
	pages = taken / PAGE;
	note("%zu MiB taken", taken / MIB);

	map = malloc(pages * sizeof(*map));
	fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (!map || fd < 0 ||
	    pread(fd, map, pages * sizeof(*map), (uintptr_t)p / PAGE * sizeof(*map)) !=
		    (ssize_t)(pages * sizeof(*map)))
		die("pagemap");
	close(fd);
	for (i = 0; i < pages; i++) {
		uint64_t block = (map[i] & PFN_MASK) / 512;

		if (!block || block >= sizeof(seen) || seen[block] || nr == MAX_BLOCKS)
			continue;
		seen[block] = 1;
		pin[nr].iov_base = p + i * PAGE;
		pin[nr++].iov_len = PAGE;
	}
	ring = syscall(SYS_io_uring_setup, 4, &params);
	if (!movable && (ring < 0 || syscall(SYS_io_uring_register, ring,
					     IORING_REGISTER_BUFFERS, pin, nr)))
		die("pinning %d pages", nr);
	/* The gaps between pinned pages. */
	for (i = 0; i <= (size_t)nr; i++) {
		uint8_t *from = i ? (uint8_t *)pin[i - 1].iov_base + PAGE : p;
		uint8_t *to = i < (size_t)nr ? pin[i].iov_base : p + taken;

		if (to > from && madvise(from, to - from, MADV_DONTNEED))
			die("madvise");
	}
	free(map);
	return nr;
}

/*
 * Blocks that became whole again meanwhile, as something in them was freed or
 * moved: keep them as huge pages.  The kernel's own lists of free pages take a
 * second or so to settle, so go on until none has come for a while.
 */
static void take_whole_blocks(void)
{
	int tries, quiet = 0;

	for (tries = 0; tries < 60 && quiet < 10; tries++) {
		usleep(200000);
		quiet = whole_blocks() ? 0 : quiet + 1;
		/* As many as can be had, by compaction, too. */
		if (file_write("/proc/sys/vm/nr_hugepages", "100000"))
			die("nr_hugepages");
	}
}

/* What is in the way can be moved: whole blocks are made. */
static int movable(const struct direct_map *start)
{
	const size_t bytes = 3 * BYTES;
	struct direct_map now;
	uint8_t *p;
	int fd;

	note("%ld blocks fragmented", fragment(true));
	ok(whole_blocks() < (long)(bytes / BLOCK),
	   "control: not so many whole blocks are free (%ld)", whole_blocks());
	ok(meminfo("MemFree") > 4 * (long)bytes / 1024,
	   "control: but much memory is (%ld MiB)", meminfo("MemFree") / 1024);
	fd = um_open();
	p = fd < 0 ? NULL : map_shared(fd, bytes);
	if (!p)
		die("object");
	ok(is_zero(p, bytes), "zero");
	touch(p, bytes);
	direct_map_read(&now);
	direct_map_note("in use", &now);
	ok(um_stat("pages_allocated") == bytes / PAGE, "all pages are there");
	ok(um_stat("pieces_taken") == 0, "from whole blocks (%ld pieces)",
	   um_stat("pieces_taken"));
	ok(direct_map_same(start, &now), "nothing is split");
	munmap(p, bytes);
	close(fd);
	ok(!um_shrink() && um_stat_becomes("pages_owned", 0, 5), "all given back");
	direct_map_read(&now);
	ok(direct_map_same(start, &now), "DirectMap is what it was");
	return finish();
}

int main(int argc, char **argv)
{
	struct direct_map start, now;
	long splits, heals, healed, pieces, before, whole;
	size_t i, bad;
	uint8_t *p;
	int fd, round;

	if (um_shrink())
		die("shrink");
	direct_map_read(&start);
	direct_map_note("start", &start);
	if (argc > 1 && !strcmp(argv[1], "movable"))
		return movable(&start);
	note("%ld blocks fragmented", fragment(false));
	take_whole_blocks();
	whole = whole_blocks();
	/* The kernel itself may have freed one since. */
	ok(whole <= 2, "control: no whole block is free (%ld)", whole);
	ok(meminfo("MemFree") > 4 * (long)BYTES / 1024,
	   "control: but much memory is (%ld MiB)", meminfo("MemFree") / 1024);
	direct_map_read(&now);
	ok(now.kb4 == start.kb4, "control: the direct map is still whole");

	for (round = 1; round <= 2; round++) {
		splits = um_stat("splits_2m");
		before = now.splits2m;
		heals = um_stat("heals_2m");
		pieces = um_stat("pieces_taken");
		/* At touch, and then in mmap(): 4 KiB entries, unless a block heals. */
		fd = um_open();
		p = fd < 0 ? MAP_FAILED
			   : mmap(NULL, BYTES, PROT_READ | PROT_WRITE,
				  MAP_SHARED | (round == 2 ? MAP_POPULATE : 0), fd, 0);
		if (p == MAP_FAILED)
			die("object");
		if (round == 2)
			ok(um_stat("pages_allocated") == BYTES / PAGE,
			   "round %d: populated by mmap", round);
		ok(is_zero(p, BYTES), "round %d: zero", round);
		touch(p, BYTES);
		for (i = 0, bad = 0; i < BYTES / PAGE; i++)
			bad += p[i * PAGE] != ((uint8_t)i | 1);
		ok(!bad, "round %d: each page is one of its own", round);
		direct_map_read(&now);
		direct_map_note("in use", &now);
		ok(um_stat("pages_allocated") == BYTES / PAGE,
		   "round %d: all pages are there", round);
		splits = um_stat("splits_2m") - splits;
		pieces = um_stat("pieces_taken") - pieces;
		note("%ld pieces, %ld splits", pieces, splits);
		ok(pieces > 0, "round %d: from pieces", round);
		ok(splits > 0, "round %d: splits are counted", round);
		ok(now.splits2m - before == splits,
		   "round %d: as many as the kernel counts", round);
		healed = um_stat("heals_2m") - heals;
		ok(now.kb4 - start.kb4 == (splits - healed) * 2048,
		   "round %d: DirectMap4k is more by what is not yet healed", round);
		munmap(p, BYTES);
		close(fd);
		if (um_shrink())
			die("shrink");
		ok(um_stat_becomes("pages_owned", 0, 5), "round %d: all given back",
		   round);
		healed = um_stat("heals_2m") - heals;
		ok(healed == splits, "round %d: each split is healed (%ld of %ld)", round,
		   healed, splits);
		direct_map_read(&now);
		direct_map_note("after", &now);
		ok(direct_map_same(&start, &now), "round %d: DirectMap is what it was",
		   round);
	}
	ok(um_stat("quarantined") == 0, "nothing in quarantine");
	return finish();
}
