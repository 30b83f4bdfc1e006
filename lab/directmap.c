// SPDX-License-Identifier: GPL-2.0 OR MIT
/* See directmap.h for the model. */
#include "directmap.h"
#include "table.h"

int directmap_init(struct directmap *d, unsigned long nr_pages)
{
	memset(d, 0, sizeof(*d));
	d->nr_pages = nr_pages;
	d->nr_blocks = nr_pages >> BLOCK_ORDER;
	d->nr_regions = (nr_pages + (1UL << REGION_ORDER) - 1) >> REGION_ORDER;
	d->region_split = calloc(d->nr_regions, 1);
	d->region_absent = calloc(d->nr_regions, 1);
	d->block_split = calloc(d->nr_blocks, 1);
	d->absent = calloc(nr_pages, 1);
	d->stale = calloc(nr_pages, 1);
	d->nr_absent = calloc(d->nr_blocks, sizeof(*d->nr_absent));
	if (d->region_split && d->region_absent && d->block_split && d->absent &&
	    d->stale && d->nr_absent)
		return 0;
	directmap_destroy(d);
	return -ENOMEM;
}

void directmap_destroy(struct directmap *d)
{
	free(d->region_split);
	free(d->region_absent);
	free(d->block_split);
	free(d->absent);
	free(d->stale);
	free(d->nr_absent);
}

static int split_region(struct directmap *d, unsigned long pfn, enum splitter who)
{
	u8 *region = &d->region_split[pfn >> REGION_ORDER];

	d->region_absent[pfn >> REGION_ORDER] = false;
	if (*region)
		return 0;
	*region = who;
	d->splits_1g += who == SPLIT_BY_US;
	return UM_SPLIT_1G;
}

int directmap_split(struct directmap *d, unsigned long pfn, enum splitter who)
{
	u8 *block = &d->block_split[pfn >> BLOCK_ORDER];
	int ret = split_region(d, pfn, who);

	if (*block)
		return ret;
	*block = who;
	d->splits_2m += who == SPLIT_BY_US;
	return ret | UM_SPLIT_2M;
}

int directmap_unmap(struct directmap *d, unsigned long pfn, unsigned int order,
		    enum splitter who)
{
	unsigned long i, end = pfn + (1UL << order);
	int ret;

	for (i = pfn; i < end; i++)
		if (d->absent[i])
			return -EINVAL;
	if (order == REGION_ORDER && !d->region_split[pfn >> REGION_ORDER]) {
		d->region_absent[pfn >> REGION_ORDER] = true;
		ret = UM_ONE_ENTRY;
	} else {
		ret = order >= BLOCK_ORDER ? split_region(d, pfn, who)
					   : directmap_split(d, pfn, who);
	}
	for (i = pfn; i < end; i++) {
		d->absent[i] = true;
		d->stale[i] = true;
		d->nr_absent[i >> BLOCK_ORDER]++;
	}
	d->nr_stale += 1UL << order;
	return ret;
}

int directmap_map(struct directmap *d, unsigned long pfn, unsigned int order)
{
	unsigned long i, end = pfn + (1UL << order);
	bool one_entry = d->region_absent[pfn >> REGION_ORDER];
	int ret = 0;

	/* Pages of a larger entry can't be made present by themselves. */
	if ((order > BLOCK_ORDER && (order != REGION_ORDER || !one_entry)) ||
	    (order < BLOCK_ORDER && !d->block_split[pfn >> BLOCK_ORDER]))
		return -EINVAL;
	for (i = pfn; i < end; i++)
		if (!d->absent[i])
			return -EINVAL;
	if (order == REGION_ORDER)
		d->region_absent[pfn >> REGION_ORDER] = false;
	else if (one_entry)
		ret = split_region(d, pfn, SPLIT_BY_US);
	else if (!d->region_split[pfn >> REGION_ORDER])
		return -EINVAL;
	for (i = pfn; i < end; i++) {
		d->absent[i] = false;
		d->nr_stale -= d->stale[i];
		d->stale[i] = false;
		d->nr_absent[i >> BLOCK_ORDER]--;
	}
	return ret;
}

void directmap_flush(struct directmap *d)
{
	d->flushes++;
	if (d->nr_stale)
		memset(d->stale, 0, d->nr_pages);
	d->nr_stale = 0;
}

int directmap_heal(struct directmap *d, unsigned long pfn)
{
	unsigned long b = pfn >> BLOCK_ORDER;

	if (!d->block_split[b])
		return 0;
	if (d->block_split[b] != SPLIT_BY_US)
		return -EPERM;
	if (d->nr_absent[b] % BLOCK_PAGES)
		return -EBUSY;
	d->block_split[b] = SPLIT_BY_NONE;
	d->heals_2m++;
	return 0;
}

int directmap_heal_region(struct directmap *d, unsigned long pfn)
{
	unsigned long r = pfn >> REGION_ORDER;
	unsigned long b = r * REGION_BLOCKS;
	unsigned long end = min(b + REGION_BLOCKS, d->nr_blocks);
	unsigned int absent = d->nr_absent[b];

	if (!d->region_split[r])
		return 0;
	if (d->region_split[r] != SPLIT_BY_US)
		return -EPERM;
	for (; b < end; b++)
		if (d->block_split[b] || d->nr_absent[b] != absent)
			return -EBUSY;
	d->region_split[r] = SPLIT_BY_NONE;
	d->heals_1g++;
	return 0;
}
