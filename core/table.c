// SPDX-License-Identifier: GPL-2.0 OR MIT
/* See table.h for the model. */
#include "table.h"

static unsigned long regions_of(unsigned long nr_pfns)
{
	return (nr_pfns + (1UL << REGION_ORDER) - 1) >> REGION_ORDER;
}

static struct region_map *make_map(unsigned long nr)
{
	struct region_map *map =
		kvzalloc(sizeof(*map) + nr * sizeof(map->regions[0]), GFP_KERNEL);

	if (map)
		map->nr = nr;
	return map;
}

int table_init(struct table *t, unsigned long nr_pfns)
{
	t->map = make_map(regions_of(nr_pfns));
	if (!t->map)
		return -ENOMEM;
	mutex_init(&t->lock);
	return 0;
}

void table_destroy(struct table *t)
{
	struct region_map *map, *older;
	struct region *region;
	unsigned long r;
	unsigned int i;
	struct block *b;

	if (!t->map)
		return;
	table_for_each_block(t, r, i, b)
		kfree(b->masks);
	for (r = 0; r < t->map->nr; r++) {
		region = t->map->regions[r];
		if (region)
			kvfree(region->blocks);
		kfree(region);
	}
	for (map = t->map; map; map = older) {
		older = map->older;
		kvfree(map);
	}
	t->map = NULL;
	mutex_destroy(&t->lock);
}

int table_grow(struct table *t, unsigned long nr_pfns)
{
	unsigned long nr = regions_of(nr_pfns), r;
	struct region_map *map;
	int err = 0;

	mutex_lock(&t->lock);
	if (nr <= t->map->nr)
		goto unlock;
	map = make_map(nr);
	if (!map) {
		err = -ENOMEM;
		goto unlock;
	}
	for (r = 0; r < t->map->nr; r++)
		map->regions[r] = t->map->regions[r];
	map->older = t->map;
	smp_store_release(&t->map, map); /* filled in */
unlock:
	mutex_unlock(&t->lock);
	return err;
}

static struct region *make_region(unsigned long number)
{
	struct region *r = kzalloc(sizeof(*r), GFP_METADATA);
	unsigned int i;

	if (!r)
		return NULL;
	r->blocks = kvcalloc(REGION_BLOCKS, sizeof(*r->blocks), GFP_METADATA);
	if (!r->blocks) {
		kfree(r);
		return NULL;
	}
	for (i = 0; i < REGION_BLOCKS; i++) {
		r->blocks[i].number = (u32)(number * REGION_BLOCKS + i);
		r->blocks[i].list_id = BLOCK_UNLISTED;
		INIT_LIST_HEAD(&r->blocks[i].list);
	}
	return r;
}

struct block *table_get(struct table *t, unsigned long pfn)
{
	struct block *b = table_lookup(t, pfn);
	unsigned long nr = pfn >> REGION_ORDER;
	struct region *made;

	if (b)
		return b;
	mutex_lock(&t->lock);
	if (nr < t->map->nr && !t->map->regions[nr]) {
		made = make_region(nr);
		smp_store_release(&t->map->regions[nr], made); /* filled in */
	}
	mutex_unlock(&t->lock);
	return table_lookup(t, pfn);
}

size_t table_bytes(const struct table *t)
{
	const struct region_map *map;
	size_t bytes = 0;
	unsigned long r;
	unsigned int i;
	struct block *b;

	for (map = t->map; map; map = map->older)
		bytes += sizeof(*map) + map->nr * sizeof(map->regions[0]);
	for (r = 0; r < t->map->nr; r++)
		if (t->map->regions[r])
			bytes += sizeof(struct region) +
				 REGION_BLOCKS * sizeof(struct block);
	table_for_each_block(t, r, i, b)
		if (b->masks)
			bytes += sizeof(*b->masks);
	return bytes;
}
