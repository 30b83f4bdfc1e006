/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The simulated direct map: which entry maps each page, how large it is, who
 * split it, and which translations CPUs may still hold.
 *
 * A region is one 1 GiB entry, present or absent, until somebody splits it, a
 * block one 2 MiB entry until somebody splits that.  Memory may end inside a region; its entry is
 * taken to be whole nevertheless.  A page whose entry went from present to absent is
 * stale until the next flush: some CPU may still reach it.
 */
#ifndef LAB_DIRECTMAP_H
#define LAB_DIRECTMAP_H

#include "platform.h"

enum splitter { SPLIT_BY_NONE, SPLIT_BY_BOOT, SPLIT_BY_OTHERS, SPLIT_BY_US };

struct directmap {
	unsigned long nr_pages, nr_blocks, nr_regions;
	u8 *region_split;  /* enum splitter */
	u8 *region_absent; /* of each region: absent, by one entry */
	u8 *block_split;   /* enum splitter */
	u8 *absent;	   /* of each page */
	u8 *stale;	   /* of each page */
	u16 *nr_absent;	   /* of each block */
	unsigned long nr_stale;
	/* Done by us, not by others. */
	unsigned long splits_2m, splits_1g, heals_2m, heals_1g, flushes;
};

/* Return: 0 or -ENOMEM. */
int directmap_init(struct directmap *d, unsigned long nr_pages);
void directmap_destroy(struct directmap *d);

/* The entry of the block becomes 4 KiB ones; UM_SPLIT_* of what that took. */
int directmap_split(struct directmap *d, unsigned long pfn, enum splitter who);

/* As the unmap() and map() of struct um_host_ops. */
int directmap_unmap(struct directmap *d, unsigned long pfn, unsigned int order,
		    enum splitter who);
int directmap_map(struct directmap *d, unsigned long pfn, unsigned int order);

void directmap_flush(struct directmap *d);

/*
 * As heal() and heal_region().  -EPERM when the entries were small before us,
 * or others made them so: they are not ours to heal.
 */
int directmap_heal(struct directmap *d, unsigned long pfn);
int directmap_heal_region(struct directmap *d, unsigned long pfn);

#endif /* LAB_DIRECTMAP_H */
