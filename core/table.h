/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * From a pfn to its block: a table of regions (1 GiB), each with the blocks of
 * that region.
 *
 * A region's blocks are made together the first time one of them is used and
 * live as long as the allocator, so that look-ups need no lock and a pointer to
 * a block never dangles (see block.h for why a stale one does no harm).  The
 * region also knows how many of its blocks are in use: that is what grouping
 * by GiB goes by.
 */
#ifndef UM_TABLE_H
#define UM_TABLE_H

#include "block.h"

/**
 * struct region - 1 GiB, naturally aligned
 * @blocks:	its 512 blocks; NULL when none of them was ever used
 * @nr_blocks:	how many of them are in use
 * @split:	we split its 1 GiB entry
 * @one_entry:	all of it is ours, and absent by one entry of 1 GiB
 */
struct region {
	struct block *blocks;
	atomic_t nr_blocks;
	atomic_t split;
	atomic_t one_entry;
};

struct table {
	unsigned long nr_regions;
	struct region *regions;
};

/* Return: 0 or -ENOMEM.  May sleep. */
int table_init(struct table *t, unsigned long nr_pfns);
void table_destroy(struct table *t);

/* The region of a pfn that has a block. */
static inline struct region *table_region(const struct table *t, unsigned long pfn)
{
	return &t->regions[pfn >> REGION_ORDER];
}

/* The blocks of a region; NULL when it was never used. */
static inline struct block *table_blocks(const struct table *t, unsigned long region)
{
	/* Pairs with the cmpxchg() that put them there, filled in. */
	return smp_load_acquire(&t->regions[region].blocks);
}

/* The block of a pfn, in use or not; NULL when its region was never used. */
static inline struct block *table_lookup(const struct table *t, unsigned long pfn)
{
	unsigned long i = pfn >> REGION_ORDER;
	struct block *blocks;

	if (unlikely(i >= t->nr_regions))
		return NULL;
	blocks = table_blocks(t, i);
	return likely(blocks) ? &blocks[(pfn >> BLOCK_ORDER) % REGION_BLOCKS] : NULL;
}

/**
 * table_get - the block of a pfn, making its region if there is none
 *
 * Return: the block; NULL when there is no memory for the region, or the pfn
 * is past the end that table_init() was told.  May sleep.
 */
struct block *table_get(struct table *t, unsigned long pfn);

/* Bytes of metadata that the table holds. */
size_t table_bytes(const struct table *t);

/* Every block that was ever used, of all nodes. */
#define table_for_each_block(t, r, i, b) \
	for (r = 0; r < (t)->nr_regions; r++) \
		for (i = 0; \
		     (b = table_blocks(t, r)) && i < REGION_BLOCKS && (b += i, true); \
		     i++)

#endif /* UM_TABLE_H */
