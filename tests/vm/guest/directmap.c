// SPDX-License-Identifier: MIT
/*
 * directmap - 64 MiB go out of the direct map and come back, page by page, and
 * not one large entry is split.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <sys/mman.h>
#include <unistd.h>

#define BYTES  (64 * MIB)
#define ROUNDS 3

int main(void)
{
	struct direct_map start, now;
	long refills, flushes, taken;
	uint8_t *p;
	int fd, round;

	if (um_shrink())
		die("shrink");
	direct_map_read(&start);
	direct_map_note("start", &start);
	for (round = 1; round <= ROUNDS; round++) {
		refills = um_stat("refills");
		flushes = um_stat("flushes");
		taken = um_stat("blocks_taken");
		fd = um_open();
		p = fd < 0 ? NULL : map_shared(fd, BYTES);
		if (!p)
			die("object");
		touch(p, BYTES);
		direct_map_read(&now);
		direct_map_note("in use", &now);
		ok(um_stat("pages_allocated") == BYTES / PAGE,
		   "round %d: all pages are allocated", round);
		ok(now.splits2m == start.splits2m, "round %d: no 2M split", round);
		ok(direct_map_same(&start, &now),
		   "round %d: DirectMap is unchanged in use", round);
		refills = um_stat("refills") - refills;
		flushes = um_stat("flushes") - flushes;
		taken = um_stat("blocks_taken") - taken;
		note("%ld refills of %ld blocks, %ld flushes", refills, taken, flushes);
		ok(taken >= (long)(BYTES / BLOCK), "round %d: whole blocks", round);
		ok(refills > 0 && refills < taken && flushes <= refills,
		   "round %d: several blocks a refill, one flush each", round);
		munmap(p, BYTES);
		close(fd);
		ok(um_stat("pages_allocated") == 0, "round %d: all freed", round);
		if (um_shrink())
			die("shrink");
		ok(um_stat_becomes("pages_owned", 0, 5), "round %d: all given back",
		   round);
		direct_map_read(&now);
		ok(direct_map_same(&start, &now) && now.splits2m == start.splits2m,
		   "round %d: DirectMap is what it was", round);
	}
	direct_map_note("end", &now);
	ok(um_splits() == 0, "the module counts no splits either");
	ok(um_stat("quarantined") == 0, "nothing in quarantine");
	return finish();
}
