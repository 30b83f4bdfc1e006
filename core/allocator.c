// SPDX-License-Identifier: GPL-2.0 OR MIT
/* The way in: which node serves, when to refill, and what can be said of it. */
#include "allocator.h"
#include "dirty.h"

void allocator_destroy(struct allocator *a)
{
	unsigned int n;

	for (n = 0; a->caches && n < a->nr_nodes; n++) {
		if (!a->caches[n])
			continue;
		cache_destroy(a->caches[n]);
		kfree(a->caches[n]);
	}
	kfree(a->caches);
	a->caches = NULL;
	table_destroy(&a->table);
}

int allocator_init(struct allocator *a, const struct um_host_ops *ops, void *host,
		   unsigned int nr_nodes, unsigned long nr_pfns)
{
	unsigned int n;
	int err;

	memset(a, 0, sizeof(*a));
	if (nr_pfns > MAGAZINE_MAX_PFN)
		return -E2BIG;
	a->ops = ops;
	a->host = host;
	a->nr_nodes = nr_nodes;
	a->batch_limit = REFILL_MAX;
	err = table_init(&a->table, nr_pfns);
	if (err)
		return err;
	a->caches = kcalloc(nr_nodes, sizeof(*a->caches), GFP_KERNEL);
	err = a->caches ? 0 : -ENOMEM;
	for (n = 0; !err && n < nr_nodes; n++) {
		a->caches[n] = kzalloc(sizeof(struct cache), GFP_KERNEL);
		err = a->caches[n] ? cache_init(a->caches[n], a, (int)n) : -ENOMEM;
	}
	if (err)
		allocator_destroy(a);
	return err;
}

static bool backing_off(struct cache *c)
{
	u64 until = READ_ONCE(c->retry_after);

	return until && c->allocator->ops->now(c->allocator->host) < until;
}

/* From one node, taking more from the system if need be and patient. */
static int alloc_on(struct cache *c, unsigned int order, unsigned int flags,
		    unsigned long want, bool patient, unsigned long *pfn)
{
	unsigned long seen;
	int err;

	if (order > BLOCK_ORDER)
		return cache_alloc_run(c, order, flags, pfn);
	for (;;) {
		seen = READ_ONCE(c->refills);
		if (!cache_alloc(c, order, flags, pfn))
			return 0;
		/* What this CPU's magazines keep may be what is missing. */
		cache_drain_cpu(c);
		if (!cache_alloc(c, order, flags, pfn))
			return 0;
		if (flags & UM_NOWAIT && !UM_BROKEN(UM_BREAK_CONTEXT))
			return -ENOMEM;
		if (!patient && backing_off(c))
			return -ENOMEM;
		err = cache_refill(c, order, want, seen);
		if (err)
			return err;
	}
}

static bool is_allowed(const unsigned long *nodes, int n)
{
	return !nodes || nodes[n / BITS_PER_LONG] >> n % BITS_PER_LONG & 1;
}

/*
 * The node asked for first, then the others, nearest first.  A node that had
 * nothing a moment ago is asked again only when no other has anything either:
 * each such attempt costs a round of reclaim.
 */
static int alloc_nearest(struct allocator *a, int nid, const unsigned long *nodes,
			 unsigned int order, unsigned int flags, unsigned long want,
			 bool patient, unsigned long *pfn)
{
	int err = -ENOMEM, n;

	if (is_allowed(nodes, nid))
		err = alloc_on(a->caches[nid], order, flags, want, patient, pfn);
	if (likely(!err) || flags & UM_THISNODE)
		return err;
	for (n = a->ops->nearest_node(a->host, nid, -1); n >= 0 && err;
	     n = a->ops->nearest_node(a->host, nid, n))
		if (n != nid && is_allowed(nodes, n) && allocator_cache(a, n))
			err = alloc_on(allocator_cache(a, n), order, flags, want, patient,
				       pfn);
	return err;
}

int allocator_alloc_nodes(struct allocator *a, int nid, const unsigned long *nodes,
			  unsigned int order, unsigned int flags, unsigned long want,
			  unsigned long *pfn)
{
	struct cache *c = allocator_cache(a, nid);
	int err;

	if (unlikely(!c || order > REGION_ORDER))
		return -EINVAL;
	err = alloc_nearest(a, nid, nodes, order, flags, want,
			    (flags & (UM_THISNODE | UM_TRY)) == UM_THISNODE, pfn);
	if (unlikely(err) && order <= BLOCK_ORDER &&
	    !(flags & (UM_NOWAIT | UM_THISNODE | UM_TRY)))
		err = alloc_nearest(a, nid, nodes, order, flags, want, true, pfn);
	if (unlikely(err && !(flags & UM_TRY)))
		cache_count(c, STAT_FAILURES, 1);
	return err;
}

int allocator_alloc_ahead(struct allocator *a, int nid, unsigned int order,
			  unsigned int flags, unsigned long want, unsigned long *pfn)
{
	return allocator_alloc_nodes(a, nid, NULL, order, flags, want, pfn);
}

/* One who does not say what he is going to need: perhaps as much as lately. */
int allocator_alloc_slow(struct allocator *a, int nid, unsigned int order,
			 unsigned int flags, unsigned long *pfn)
{
	struct cache *c = allocator_cache(a, nid);
	int err = 0;

	/* Mostly the cache has it, and nobody needs to know how much is wanted. */
	if (unlikely(!c || order > BLOCK_ORDER || cache_alloc(c, order, flags, pfn)))
		err = allocator_alloc_ahead(a, nid, order, flags, 1UL << order, pfn);
	if (c && (cache_is_low(c) || (unlikely(err) && flags & UM_NOWAIT)))
		cache_ask(c);
	return err;
}

unsigned long allocator_alloc_bulk(struct allocator *a, int nid, unsigned int flags,
				   unsigned long nr, unsigned long *pfns)
{
	unsigned long i;

	for (i = 0; i < nr; i++)
		if (allocator_alloc_ahead(a, nid, 0, flags, nr - i, &pfns[i]))
			break;
	return i;
}

int allocator_free_slow(struct allocator *a, unsigned long pfn, unsigned int order)
{
	struct block *b = table_lookup(&a->table, pfn);
	int err = -EINVAL;

	if (unlikely(order > BLOCK_ORDER)) {
		if (order <= REGION_ORDER && !(pfn & ((1UL << order) - 1)))
			err = allocator_free_run(a, pfn, order);
	} else if (likely(b && READ_ONCE(b->flags) & BLOCK_LIVE &&
			  !(pfn & ((1UL << order) - 1)))) {
		return cache_free(a->caches[b->nid], b, pfn, order);
	}
	WARN_ONCE(err, "unmapped: broken: free of pfn %#lx, order %u: never allocated",
		  pfn, order);
	return err;
}

void allocator_mark_dirty(struct allocator *a, unsigned long pfn)
{
	struct block *b = table_lookup(&a->table, pfn);

	dirty_prepare(a->caches[b->nid], b, 0, BLOCK_ORDER, 0);
}

void allocator_drain_cpu(struct allocator *a)
{
	unsigned int n;

	for (n = 0; n < a->nr_nodes; n++)
		if (a->caches[n])
			cache_drain_cpu(a->caches[n]);
}

bool allocator_cpu_holds(const struct allocator *a, unsigned int cpu)
{
	unsigned int nid;

	for (nid = 0; nid < a->nr_nodes; nid++)
		if (a->caches[nid] && cache_cpu_holds(a->caches[nid], cpu))
			return true;
	return false;
}

void allocator_drain_dead_cpu(struct allocator *a, unsigned int cpu)
{
	unsigned int n;

	for (n = 0; n < a->nr_nodes; n++)
		if (a->caches[n])
			cache_drain_dead_cpu(a->caches[n], cpu);
}

unsigned long allocator_shrink(struct allocator *a, int nid, unsigned long nr,
			       unsigned int flags)
{
	unsigned long done = 0;
	unsigned int n;

	if (nid >= 0)
		return allocator_cache(a, nid)
			       ? cache_shrink(allocator_cache(a, nid), nr, flags)
			       : 0;
	for (n = 0; n < a->nr_nodes && done < nr; n++)
		if (a->caches[n])
			done += cache_shrink(a->caches[n], nr - done, flags);
	return done;
}

unsigned long allocator_shrinkable(struct allocator *a, int nid)
{
	unsigned long pages = 0;
	unsigned int n;

	if (nid >= 0)
		return allocator_cache(a, nid) ? cache_shrinkable(allocator_cache(a, nid))
					       : 0;
	for (n = 0; n < a->nr_nodes; n++)
		if (a->caches[n])
			pages += cache_shrinkable(a->caches[n]);
	return pages;
}

/*
 * Allocations go on meanwhile, and may have pages of the range in a magazine at
 * one look and, given back, in their block at the next.
 */
#define RANGE_TRIES 5U

unsigned long allocator_release_range(struct allocator *a, unsigned long start,
				      unsigned long end)
{
	unsigned long owned = 0;
	unsigned int i, n;

	for (i = 0; i < RANGE_TRIES; i++) {
		a->ops->drain(a->host, a);
		owned = 0;
		for (n = 0; n < a->nr_nodes; n++)
			if (a->caches[n])
				owned += cache_release_range(a->caches[n], start, end);
		if (!owned)
			break;
	}
	return owned;
}

void allocator_forget_range(struct allocator *a, unsigned long start, unsigned long end)
{
	unsigned int n;

	for (n = 0; n < a->nr_nodes; n++)
		if (a->caches[n])
			cache_forget_range(a->caches[n], start, end);
}

bool allocator_has_pieces(const struct allocator *a, int nid)
{
	const struct cache *c = allocator_cache(a, nid);

	return c && atomic_long_read(&c->nr_fallback);
}

unsigned long allocator_free_in_pieces(struct allocator *a, int nid)
{
	struct cache *c = allocator_cache(a, nid);

	return c ? cache_free_in_pieces(c) : 0;
}

unsigned long allocator_release_pieces(struct allocator *a, int nid)
{
	struct cache *c = allocator_cache(a, nid);

	return c ? cache_release_pieces(c) : 0;
}

bool allocator_in_pieces(const struct allocator *a, unsigned long pfn)
{
	const unsigned int state = BLOCK_FALLBACK | BLOCK_SPLIT;
	const struct block *b = table_lookup(&a->table, pfn);

	return b && (READ_ONCE(b->flags) & (state | BLOCK_QUARANTINED)) == state;
}

int allocator_grow(struct allocator *a, unsigned long nr_pfns)
{
	if (nr_pfns > MAGAZINE_MAX_PFN)
		return -E2BIG;
	return table_grow(&a->table, nr_pfns);
}
