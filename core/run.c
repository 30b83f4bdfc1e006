// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Runs: orders above that of a block, up to that of a region.
 *
 * A run is nothing but its blocks, each of them claimed whole; no structure
 * stands for it.  So its pages can be freed in any order, and are cached, served
 * and released as any others.  A run of whole blocks that are cached beside each
 * other serves a request; else the system is asked for one, which takes it out
 * in one step and with one flush.
 */
#include "allocator.h"
#include "dirty.h"
#include "lists.h"

static bool may_be_whole(const struct cache *c, const struct block *b)
{
	return atomic_read(&b->nr_free) == (int)BLOCK_PAGES && (int)b->nid == c->nid;
}

void cache_free_run(struct cache *c, struct block *b, unsigned int nr,
		    const struct block *have)
{
	for (; nr--; b++) {
		if (b == have)
			continue;
		block_free(b, 0, BLOCK_ORDER);
		lists_update(c, b);
	}
}

bool cache_claim_run(struct cache *c, struct block *b, unsigned int nr,
		     const struct block *have)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (&b[i] != have && !may_be_whole(c, &b[i]))
			return false;
	for (i = 0; i < nr; i++) {
		if (&b[i] == have)
			continue;
		if (!block_take_whole(&b[i])) {
			cache_free_run(c, b, i, have);
			return false;
		}
		lists_update(c, &b[i]);
	}
	return true;
}

static struct block *claim_cached(struct cache *c, unsigned int nr)
{
	const struct table *t = &c->allocator->table;
	struct block *b;
	unsigned long r;
	unsigned int i;

	for (r = 0; r < table_nr_regions(t) && cache_nr_whole(c, nr) >= nr; r++) {
		if (table_nr_blocks(t, r) < nr)
			continue;
		b = table_blocks(t, r);
		for (i = 0; i < REGION_BLOCKS; i += nr)
			if (cache_claim_run(c, &b[i], nr, NULL))
				return &b[i];
	}
	return NULL;
}

int cache_alloc_run(struct cache *c, unsigned int order, unsigned int flags,
		    unsigned long *pfn)
{
	unsigned int i, nr = 1U << (order - BLOCK_ORDER);
	struct block *b = claim_cached(c, nr);
	int err;

	if (!b) {
		if (flags & UM_NOWAIT)
			return -ENOMEM;
		err = cache_take_run(c, order, pfn);
		if (err && !(flags & UM_TRY) && cache_shrink(c, ~0UL, 0))
			err = cache_take_run(c, order, pfn);
		if (err)
			return err;
		b = table_lookup(&c->allocator->table, *pfn);
	}
	for (i = 0; i < nr; i++) {
		dirty_prepare(c, &b[i], 0, BLOCK_ORDER, flags);
		if (!(flags & UM_NOWAIT))
			cond_resched();
	}
	*pfn = block_pfn(b);
	return 0;
}

int allocator_free_run(struct allocator *a, unsigned long pfn, unsigned int order)
{
	unsigned int i, nr = 1U << (order - BLOCK_ORDER);
	struct block *b = table_lookup(&a->table, pfn);
	int err = 0;

	/* All of it, or nothing. */
	for (i = 0; i < nr; i++)
		if (!b || !(READ_ONCE(b[i].flags) & BLOCK_LIVE) ||
		    atomic_read(&b[i].nr_free))
			return -EINVAL;
	for (i = 0; i < nr; i++)
		err = cache_free(a->caches[b[i].nid], &b[i], block_pfn(&b[i]),
				 BLOCK_ORDER)
			      ?: err;
	return err;
}
