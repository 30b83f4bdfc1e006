// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * How much the allocator keeps: never more than its limit, more before it is
 * needed when it is needed often, and no longer what is not.
 *
 * The limit is on what is owned and what is on its way: it is claimed before
 * the system is asked.  A piece counts as its whole block would, so that the
 * last bit of room below the limit is no reason to split an entry.
 *
 * What is idle is told without a time for each block: whatever number of blocks
 * has been free all through an interval was needed by nobody in it (counted in
 * each shard: at least so many were).  The block that a CPU is on does not count:
 * it stays until somebody drains the CPU.
 */
#include "allocator.h"

static bool claim_room(struct allocator *a, unsigned int order)
{
	long pages = 1L << order, room = 1L << max(order, BLOCK_ORDER);
	unsigned long limit = READ_ONCE(a->limit);
	long owned = atomic_long_add_return(pages, &a->owned);

	if (limit && (unsigned long)(owned - pages + room) > limit) {
		atomic_long_add(-pages, &a->owned);
		return false;
	}
	return true;
}

int cache_get(struct cache *c, unsigned int order, unsigned int flags, unsigned long *pfn)
{
	struct allocator *a = c->allocator;
	int err;

	if (!claim_room(a, order))
		return -ENOMEM;
	err = a->ops->get(a->host, c->nid, order, flags, pfn);
	if (err)
		atomic_long_add(-(1L << order), &a->owned);
	return err;
}

int cache_get_near(struct cache *c, unsigned int *order, unsigned long *pfn)
{
	struct allocator *a = c->allocator;
	unsigned int most = *order;
	int err;

	if (!claim_room(a, most))
		return -ENOMEM;
	err = a->ops->get_near(a->host, c->nid, order, pfn);
	atomic_long_add((err ? 0 : 1L << *order) - (1L << most), &a->owned);
	return err;
}

void cache_put(struct cache *c, unsigned long pfn, unsigned int order)
{
	struct allocator *a = c->allocator;

	a->ops->put(a->host, pfn, order);
	atomic_long_add(-(1L << order), &a->owned);
}

unsigned long allocator_excess(const struct allocator *a)
{
	unsigned long limit = READ_ONCE(a->limit);
	unsigned long owned = (unsigned long)atomic_long_read(&a->owned);

	return limit && owned > limit ? owned - limit : 0;
}

unsigned long allocator_set_limit(struct allocator *a, unsigned long pages)
{
	unsigned long excess;

	WRITE_ONCE(a->limit, pages);
	excess = allocator_excess(a);
	return excess ? allocator_shrink(a, -1, excess, 0) : 0;
}

/* --- in the background ----------------------------------------------------- */

void cache_ask(struct cache *c)
{
	struct allocator *a = c->allocator;

	if (a->ops->wake && !READ_ONCE(c->asked) && !cmpxchg(&c->asked, false, true))
		a->ops->wake(a->host, c->nid);
}

void allocator_balance(struct allocator *a, int nid)
{
	struct cache *c = allocator_cache(a, nid);
	unsigned long excess = allocator_excess(a);

	if (!c)
		return;
	WRITE_ONCE(c->asked, false);
	if (excess)
		cache_shrink(c, excess, 0);
	else if (cache_is_low(c) || !cache_nr_whole(c, 1))
		cache_refill(c, BLOCK_ORDER, BLOCK_PAGES, READ_ONCE(c->refills));
}

/* --- idle ------------------------------------------------------------------ */

static void decay(struct cache *c, unsigned long floor)
{
	unsigned long idle = 0, flags;
	struct shard *s;

	for (s = c->shards; s < c->shards + NR_SHARDS; s++) {
		spin_lock_irqsave(&s->lock, flags);
		idle += s->min_whole;
		s->min_whole = s->nr_whole;
		spin_unlock_irqrestore(&s->lock, flags);
	}
	if (c->allocator->ops->now(c->allocator->host) - READ_ONCE(c->last_refill) >
	    BATCH_DECAY)
		WRITE_ONCE(c->low, 0);
	if (idle > floor)
		cache_shrink(c, (idle - floor) * BLOCK_PAGES, UM_TRY);
}

bool allocator_decay(struct allocator *a)
{
	unsigned long floor = READ_ONCE(a->floor);
	unsigned long excess = allocator_excess(a);
	unsigned int n;

	/* What CPUs are on has not been asked for: it was on no list. */
	if (excess)
		allocator_shrink(a, -1, excess, UM_TRY);
	for (n = 0; n < a->nr_nodes; n++)
		if (a->caches[n])
			decay(a->caches[n], floor);
	return atomic_long_read(&a->owned);
}
