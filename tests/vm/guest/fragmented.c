// SPDX-License-Identifier: MIT
/*
 * fragmented - with no whole block free, /dev/unmapped lives on pieces, and
 * heals the direct map when they go back.
 *
 *	fragmented [movable]
 *
 * What keeps memory in pieces (fragment.h) is pinned; or it can be moved, and then
 * blocks are made and nothing is split.
 */
#define _GNU_SOURCE
#include "fragment.h"
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BYTES (32 * MIB)

/* What is in the way can be moved: whole blocks are made. */
static int movable(const struct direct_map *start)
{
	const size_t bytes = 3 * BYTES;
	struct direct_map now;
	uint8_t *p;
	int fd, nr;

	fragment(true, &nr);
	note("%d blocks fragmented", nr);
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
	int fd, nr, round;

	if (um_shrink())
		die("shrink");
	direct_map_read(&start);
	direct_map_note("start", &start);
	if (argc > 1 && !strcmp(argv[1], "movable"))
		return movable(&start);
	fragment(false, &nr);
	note("%d blocks fragmented", nr);
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
