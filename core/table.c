// SPDX-License-Identifier: GPL-2.0 OR MIT
/* See table.h for the model. */
#include "table.h"

int table_init(struct table *t, unsigned long nr_pfns)
{
	t->nr_regions = (nr_pfns + (1UL << REGION_ORDER) - 1) >> REGION_ORDER;
	t->regions = kvcalloc(t->nr_regions, sizeof(*t->regions), GFP_KERNEL);
	return t->regions ? 0 : -ENOMEM;
}

void table_destroy(struct table *t)
{
	unsigned long r;
	unsigned int i;
	struct block *b;

	table_for_each_block(t, r, i, b)
		kfree(b->masks);
	for (r = 0; r < t->nr_regions; r++)
		kvfree(t->regions[r].blocks);
	kvfree(t->regions);
	t->regions = NULL;
	t->nr_regions = 0;
}

struct block *table_get(struct table *t, unsigned long pfn)
{
	struct block *b = table_lookup(t, pfn), *made;
	unsigned long i = pfn >> REGION_ORDER;
	unsigned int n;

	if (b || i >= t->nr_regions)
		return b;
	made = kvcalloc(REGION_BLOCKS, sizeof(*made), GFP_METADATA);
	if (!made)
		return NULL;
	for (n = 0; n < REGION_BLOCKS; n++) {
		made[n].number = (u32)(i * REGION_BLOCKS + n);
		made[n].list_id = BLOCK_UNLISTED;
		INIT_LIST_HEAD(&made[n].list);
	}
	if (cmpxchg(&t->regions[i].blocks, NULL, made))
		kvfree(made); /* somebody else was faster */
	return table_lookup(t, pfn);
}

size_t table_bytes(const struct table *t)
{
	size_t bytes = t->nr_regions * sizeof(*t->regions);
	unsigned long r;
	unsigned int i;
	struct block *b;

	for (r = 0; r < t->nr_regions; r++)
		if (t->regions[r].blocks)
			bytes += REGION_BLOCKS * sizeof(struct block);
	table_for_each_block(t, r, i, b)
		if (b->masks)
			bytes += sizeof(*b->masks);
	return bytes;
}
