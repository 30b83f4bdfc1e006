// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Completing blocks that are owned in part, out of pages that others free.
 *
 * The host sees such frees, and passes on what lies in one of these blocks.  With
 * the last page the block is whole, and its entry heals.  All of it is under
 * refill_lock: pieces are released under that only, so a block that is owned in part
 * when it is looked at is so until the end.
 */
#include "adopt.h"

#define PARTLY (BLOCK_LIVE | BLOCK_FALLBACK)

bool cache_owns_in_part(const struct cache *c, const struct block *b)
{
	/* The node was set before the flag. */
	return (smp_load_acquire(&b->flags) & (PARTLY | BLOCK_QUARANTINED)) == PARTLY &&
	       (int)READ_ONCE(b->nid) == c->nid;
}

static int unmap_neighbour(struct cache *c, struct piece *p)
{
	struct block *b = table_lookup(&c->allocator->table, p->pfn);

	if (!b || !cache_owns_in_part(c, b))
		return -ESTALE;
	if (allocator_excess(c->allocator))
		return -ENOMEM;
	cache_unmap(c, p);
	return p->split;
}

unsigned long cache_adopt(struct cache *c, struct piece *pieces, unsigned int nr)
{
	unsigned long pages = 0;
	unsigned int i;

	might_sleep();
	mutex_lock(&c->refill_lock);
	for (i = 0; i < nr; i++) {
		/* On its way: what goes back is taken off again. */
		atomic_long_add(1L << pieces[i].order, &c->allocator->owned);
		pieces[i].split = unmap_neighbour(c, &pieces[i]);
		if (pieces[i].split >= 0)
			pages += 1UL << pieces[i].order;
	}
	cache_take(c, pieces, nr);
	mutex_unlock(&c->refill_lock);
	return pages;
}

static bool is_idle(const struct cache *c, const struct block *b)
{
	return cache_owns_in_part(c, b) &&
	       atomic_read(&b->nr_free) == READ_ONCE(b->nr_owned);
}

bool cache_has_idle_pieces(struct cache *c)
{
	struct allocator *a = c->allocator;
	struct block *b;
	unsigned long r;
	unsigned int i;

	might_sleep();
	if (!atomic_long_read(&c->nr_fallback))
		return false;
	a->ops->drain(a->host, a);
	table_for_each_block(&a->table, r, i, b)
		if (is_idle(c, b))
			return true;
	return false;
}

void cache_release_idle_pieces(struct cache *c)
{
	struct allocator *a = c->allocator;
	struct block *b;
	unsigned long r;
	unsigned int i;

	might_sleep();
	a->ops->drain(a->host, a);
	table_for_each_block(&a->table, r, i, b)
		if (is_idle(c, b))
			cache_release_range(c, block_pfn(b), block_pfn(b) + BLOCK_PAGES);
	/* Those that could not be healed when they went. */
	if (atomic_long_read(&c->nr_unhealed))
		cache_shrink(c, 0, 0);
}
