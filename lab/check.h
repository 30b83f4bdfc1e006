/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The invariants of the allocator, looked for in the whole machine.
 *
 * Nothing may be going on meanwhile.  What is wrong goes to machine.broken.
 */
#ifndef LAB_CHECK_H
#define LAB_CHECK_H

#include "machine.h"

/**
 * struct snapshot - the direct map and memory as they were
 */
struct snapshot {
	u8 *region_split, *block_split;
};

void snapshot_take(struct snapshot *s, const struct machine *m);
void snapshot_free(struct snapshot *s);

/* After every step.  @pages: look at each page too, not only at each block. */
void check_step(struct machine *m, bool pages);

/*
 * When all clients and others have freed: shrink, and everything must be as it
 * was at the snapshot, but for what others split, blocks that map() was made to
 * fail on, and one entry for each GiB where regions can't be healed.
 */
void check_end(struct machine *m, const struct snapshot *s);

#endif /* LAB_CHECK_H */
