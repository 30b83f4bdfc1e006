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
 *
 * When memory is added past the end the table gets a larger map of the same
 * regions.  The old map stays for those who are reading it.
 */
#ifndef UM_TABLE_H
#define UM_TABLE_H

#include "block.h"

/**
 * struct region - 1 GiB, naturally aligned
 * @blocks:	its 512 blocks
 * @nr_blocks:	how many of them are in use
 * @odd:	some of them may be owned in part, or have an entry that we split
 * @split:	we split its 1 GiB entry
 * @one_entry:	all of it is ours, and absent by one entry of 1 GiB
 */
struct region {
	struct block *blocks;
	atomic_t nr_blocks;
	atomic_t odd;
	atomic_t split;
	atomic_t one_entry;
};

/**
 * struct region_map - regions by pfn >> REGION_ORDER
 * @nr:		entries of @regions
 * @older:	the smaller map that this one replaced
 * @regions:	NULL where none was ever used
 */
struct region_map {
	unsigned long nr;
	struct region_map *older;
	struct region *regions[];
};

/**
 * struct table
 * @map:	read without a lock
 * @lock:	of changes to @map and its entries
 */
struct table {
	struct region_map *map;
	struct mutex lock;
};

/* Return: 0 or -ENOMEM.  May sleep. */
int table_init(struct table *t, unsigned long nr_pfns);
void table_destroy(struct table *t);

/**
 * table_grow - let the table reach to @nr_pfns; it never gets smaller
 *
 * Return: 0; -ENOMEM, and nothing was changed.  May sleep.
 */
int table_grow(struct table *t, unsigned long nr_pfns);

static inline const struct region_map *table_map(const struct table *t)
{
	return smp_load_acquire(&t->map); /* filled in */
}

static inline unsigned long table_nr_regions(const struct table *t)
{
	return table_map(t)->nr;
}

/* A region by number; NULL when it was never used. */
static inline struct region *table_region_nr(const struct table *t, unsigned long nr)
{
	const struct region_map *map = table_map(t);

	if (unlikely(nr >= map->nr))
		return NULL;
	return smp_load_acquire(&map->regions[nr]); /* filled in */
}

/* The region of a pfn; NULL when it was never used. */
static inline struct region *table_region(const struct table *t, unsigned long pfn)
{
	return table_region_nr(t, pfn >> REGION_ORDER);
}

/* The block of a pfn, in use or not; NULL when its region was never used. */
static inline struct block *table_lookup(const struct table *t, unsigned long pfn)
{
	struct region *r = table_region(t, pfn);

	return likely(r) ? &r->blocks[(pfn >> BLOCK_ORDER) % REGION_BLOCKS] : NULL;
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

/* The blocks of a region; NULL when it was never used. */
static inline struct block *table_blocks(const struct table *t, unsigned long nr)
{
	struct region *r = table_region_nr(t, nr);

	return r ? r->blocks : NULL;
}

/* How many of a region's blocks are in use. */
static inline unsigned int table_nr_blocks(const struct table *t, unsigned long nr)
{
	struct region *r = table_region_nr(t, nr);

	return r ? (unsigned int)atomic_read(&r->nr_blocks) : 0;
}

/* Every block that was ever used, of all nodes. */
#define table_for_each_block(t, r, i, b) \
	for (r = 0; r < table_nr_regions(t); r++) \
		for (i = 0; \
		     (b = table_blocks(t, r)) && i < REGION_BLOCKS && (b += i, true); \
		     i++)

/* A region that has blocks owned in part, or with an entry that we split, or NULL. */
static inline struct region *table_odd_region(const struct table *t, unsigned long nr)
{
	struct region *r = table_region_nr(t, nr);

	return r && atomic_read(&r->odd) ? r : NULL;
}

/* All of these; no break from it. */
#define table_for_each_odd_region(t, r, region) \
	for (r = 0; r < table_nr_regions(t); r++) \
		for (region = table_odd_region(t, r); region; region = NULL)

#endif /* UM_TABLE_H */
