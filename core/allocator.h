/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The allocator as its hosts see it: a cache for each node, and the table that
 * finds the block of a page.
 */
#ifndef UM_ALLOCATOR_H
#define UM_ALLOCATOR_H

#include "cache.h"

struct allocator {
	const struct um_host_ops *ops;
	void *host;
	struct table table;
	unsigned int nr_nodes;
	struct cache **caches; /* by node; NULL for one without memory */
	atomic_long_t owned;   /* pages, and those on their way */

	/* May be changed at any time; the limit by allocator_set_limit(). */
	unsigned long limit;	  /* of owned, in pages; 0 is none */
	unsigned long floor;	  /* idle blocks that a node may keep */
	unsigned int batch_limit; /* blocks that a refill takes, 1 to REFILL_MAX */
};

/**
 * allocator_init - an empty allocator
 * @nr_nodes:	nodes are 0 to @nr_nodes - 1
 * @nr_pfns:	one more than the highest pfn that get() will return
 *
 * Return: 0, -ENOMEM, or -E2BIG for more memory than a magazine can name.
 * May sleep.
 */
int allocator_init(struct allocator *a, const struct um_host_ops *ops, void *host,
		   unsigned int nr_nodes, unsigned long nr_pfns);

/*
 * All pages must have been freed and released (allocator_shrink()); what is
 * still out remains absent for good.  May sleep.
 */
void allocator_destroy(struct allocator *a);

/**
 * allocator_alloc - 2^@order contiguous, naturally aligned, absent pages
 * @nid:	the node to ask first
 * @order:	0 to REGION_ORDER; runs of blocks are seldom cached
 * @flags:	UM_ZERO, UM_NOWAIT, UM_THISNODE, UM_TRY
 * @pfn:	receives the first page
 *
 * Context: any with UM_NOWAIT, else may sleep.
 * Return: 0; -EINVAL for an order or node that there is not; -ENOMEM.
 */
static __always_inline int allocator_alloc(struct allocator *a, int nid,
					   unsigned int order, unsigned int flags,
					   unsigned long *pfn);

/**
 * allocator_alloc_ahead - the same, for one who will soon ask for more
 * @want:	pages that will be asked for, these included: what the cache
 *		lacks of them is taken from the system together, as far as that
 *		is easily had
 */
int allocator_alloc_ahead(struct allocator *a, int nid, unsigned int order,
			  unsigned int flags, unsigned long want, unsigned long *pfn);

/*
 * The same, from nodes whose bits are set in @nodes (NULL is all of them): @nid if
 * it is one of them, then the others by their distance from @nid.
 */
int allocator_alloc_nodes(struct allocator *a, int nid, const unsigned long *nodes,
			  unsigned int order, unsigned int flags, unsigned long want,
			  unsigned long *pfn);

/**
 * allocator_alloc_bulk - many single pages, taken from the system together
 *
 * Return: how many were allocated, 0 to @nr; the rest of @pfns is untouched.
 */
unsigned long allocator_alloc_bulk(struct allocator *a, int nid, unsigned int flags,
				   unsigned long nr, unsigned long *pfns);

/**
 * allocator_free - give pages back
 *
 * Pages may be freed in other orders than they were allocated in.
 *
 * Context: any.
 * Return: 0, or -EINVAL for pages that the allocator has not handed out:
 * then nothing was freed.
 */
static __always_inline int allocator_free(struct allocator *a, unsigned long pfn,
					  unsigned int order);

/**
 * allocator_mark_dirty - a block need not be zeroed when it is freed
 * @pfn:	of a block that the caller has, allocated by BLOCK_ORDER and UM_ZERO
 *
 * It is zeroed later, before somebody who asks for UM_ZERO or the system gets any
 * of it; who does not ask may get it as it is.  No single pages: a magazine of
 * clean ones would take them back with the mark.
 *
 * Context: any.
 */
void allocator_mark_dirty(struct allocator *a, unsigned long pfn);

/* See cache_shrink(); @nid -1 is all nodes. */
unsigned long allocator_shrink(struct allocator *a, int nid, unsigned long nr,
			       unsigned int flags);
unsigned long allocator_shrinkable(struct allocator *a, int nid);

/*
 * Own at most @pages from now on; 0 is no limit.  What is free above that is
 * released now, and what is in use when it is freed.  Return: pages released.
 * May sleep.
 */
unsigned long allocator_set_limit(struct allocator *a, unsigned long pages);

/* Pages owned above the limit. */
unsigned long allocator_excess(const struct allocator *a);

/*
 * What um_host_ops.wake() asks for: what is free above the limit is released, or
 * what is low refilled.  May sleep.
 */
void allocator_balance(struct allocator *a, int nid);

/**
 * allocator_decay - release the blocks that were free since the last call
 *
 * All but the floor.  To be called at intervals of the time after which a block
 * counts as idle.  Return: whether anything is owned still, so that there is a
 * reason to call again.  May sleep.
 */
bool allocator_decay(struct allocator *a);

/**
 * allocator_release_range - give back all of a range that is free
 * @start, @end:	pfns from the first to behind the last, whole blocks
 *
 * For memory that is to go away: whoever calls keeps get() from returning pages
 * of the range meanwhile.
 *
 * Return: 0, and none of the range is the allocator's any more; or how many pages
 * still are, as clients hold some of their blocks.  May sleep.
 */
unsigned long allocator_release_range(struct allocator *a, unsigned long start,
				      unsigned long end);

/**
 * allocator_forget_range - memory is gone
 * @start, @end:	as for allocator_release_range(), which has returned 0
 *
 * What was split there and could not be healed yet is not healed any more: its
 * entries are about to be taken away.  May sleep.
 */
void allocator_forget_range(struct allocator *a, unsigned long start, unsigned long end);

/*
 * Blocks of which the system gave only pieces, so that their entries are split:
 * whether a node has some; how many pages of them are free; to give these back.
 * Return of the last: pages given back.  It may sleep.
 */
bool allocator_has_pieces(const struct allocator *a, int nid);
unsigned long allocator_free_in_pieces(struct allocator *a, int nid);
unsigned long allocator_release_pieces(struct allocator *a, int nid);

/* Whether a page that a client has is of such a block, and we split its entry. */
bool allocator_in_pieces(const struct allocator *a, unsigned long pfn);

/**
 * allocator_grow - get() may return pfns up to @nr_pfns, exclusive, from now on
 *
 * Return: 0; -ENOMEM; -E2BIG as allocator_init().  May sleep.
 */
int allocator_grow(struct allocator *a, unsigned long nr_pfns);

/* Empty the magazines of the CPU this runs on.  Any context. */
void allocator_drain_cpu(struct allocator *a);

/* Whether that would do anything on @cpu, a moment ago.  Any context. */
bool allocator_cpu_holds(const struct allocator *a, unsigned int cpu);

/* Those of @cpu, which has gone offline and does not come back meanwhile. */
void allocator_drain_dead_cpu(struct allocator *a, unsigned int cpu);

/**
 * struct allocator_report - what a node's cache holds
 *
 * Taken without stopping anybody: exact only when nothing else goes on.
 */
struct allocator_report {
	unsigned long free[BLOCK_ORDER + 1]; /* free runs, by largest order */
	unsigned long pages_free;	     /* in blocks and magazines */
	unsigned long pages_owned;
	unsigned long whole;	/* blocks wholly owned and free */
	unsigned long partial;	/* wholly owned, partly in use */
	unsigned long full;	/* wholly owned, nothing free */
	unsigned long fallback; /* owned in part */
	unsigned long stats[NR_CACHE_STATS];
};

void allocator_report(struct allocator *a, int nid, struct allocator_report *r);

/**
 * allocator_validate - check every structure against every other
 *
 * Context: nothing else may use the allocator meanwhile.
 * Return: NULL, or what is wrong.
 */
const char *allocator_validate(struct allocator *a);

/* --- the usual cases, inline ---------------------------------------------- */

int allocator_alloc_slow(struct allocator *a, int nid, unsigned int order,
			 unsigned int flags, unsigned long *pfn);
int allocator_free_slow(struct allocator *a, unsigned long pfn, unsigned int order);
int allocator_free_run(struct allocator *a, unsigned long pfn, unsigned int order);

static inline struct cache *allocator_cache(const struct allocator *a, int nid)
{
	return likely((unsigned int)nid < a->nr_nodes) ? a->caches[nid] : NULL;
}

static __always_inline int allocator_alloc(struct allocator *a, int nid,
					   unsigned int order, unsigned int flags,
					   unsigned long *pfn)
{
	struct cache *c = allocator_cache(a, nid);
	unsigned long got; /* so that the caller's pfn can stay in a register */
	int err;

	if (likely(c && !order && (flags & UM_ZERO || !c->zero)) &&
	    likely(magazine_pop(c, CLEAN, pfn)))
		return 0;
	err = allocator_alloc_slow(a, nid, order, flags, &got);
	if (likely(!err))
		*pfn = got;
	return err;
}

static __always_inline int allocator_free(struct allocator *a, unsigned long pfn,
					  unsigned int order)
{
	/*
	 * A page that is of a run in a magazine of this node's cache is of this
	 * node.  Not to ask its block keeps a chain of loads off the way from
	 * one use of the magazine to the next.
	 */
	struct cache *c = a->caches[numa_mem_id()];

	if (likely(!order) && likely(cache_free_fast(c, &a->table, pfn)))
		return 0;
	return allocator_free_slow(a, pfn, order);
}

#endif /* UM_ALLOCATOR_H */
