/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The cache of one node: its blocks, which of them serves next, and magazines
 * for each CPU.
 *
 * Order 0 is served from magazines of the CPU: one that allocation fills, one
 * that frees fill (32 frees of neighbours cost one change of their block), and
 * one of dirty pages, for clients that do not care.
 *
 * Everything else, and a magazine that is empty, is served from a block: first
 * the one that this CPU is on (its active block), then the best one, which is
 * the one with the smallest free run that suffices, and among these the
 * fullest.  So nearly full blocks fill up and nearly empty ones become empty
 * and can be released.  An active block is on no list: other CPUs stay away from
 * it, and it need not be moved about while it is claimed from.
 *
 * Blocks with free pages stand on lists by (largest free order, free pages in
 * steps of 32); wholly free ones on a list of their own, longest idle first.
 * Claims and frees change a block without the lock.  That it has free pages, and
 * that it is wholly free, is seen to at once; for the rest a block may stand on
 * a list that says less than the truth or more.  Whoever picks it moves it to
 * where it belongs, and before more memory is taken from the system some of the
 * others are looked at (a sweep).
 *
 * A CPU's pointer to its active block may be stale, even point to one that was
 * released and is another CPU's now: claims from it are right all the same.
 *
 * The lists are in shards, by the address of the block, each with its own lock.
 * Of blocks that are as good as each other a CPU takes one of its own shard, so
 * that CPUs seldom meet at a lock, and no block's list node has a neighbour that
 * another CPU is at work on.
 *
 * Locks, outermost first: refill_lock (a mutex; get(), unmap(), flush() and
 * heal() are called under it), the lock of one shard (a spinlock, interrupts off).
 */
#ifndef UM_CACHE_H
#define UM_CACHE_H

#include "magazine.h"
#include "table.h"

#define FREE_STEP  32U /* pages from list to list */
#define NR_STEPS   (BLOCK_PAGES / FREE_STEP)
#define LIST_WHOLE (BLOCK_ORDER * NR_STEPS)
#define NR_LISTS   (LIST_WHOLE + 1)

/* CPUs share these; of the blocks, 32 MiB in turn are in each. */
#define NR_SHARDS    4U
#define SHARD_BLOCKS 16U

/* How many blocks of a shard a sweep looks at. */
#define SWEEP_MAX 32U
/* The most that one refill takes, in blocks or pieces. */
#define REFILL_MAX 32U
/* A batch is halved for each of these that passes without a refill, in ns. */
#define BATCH_DECAY 1000000000ULL
/* A node that had nothing to give is left alone so long, if others will do. */
#define REFILL_BACKOFF 50000000ULL

enum cache_stat {
	STAT_REFILLS,	/* times that memory was taken from the system */
	STAT_FLUSHES,	/* flushes on all CPUs that the core asked for */
	STAT_SPLITS_2M, /* entries that an unmap split */
	STAT_SPLITS_1G,
	STAT_HEALS_2M, /* and that were made whole again */
	STAT_HEALS_1G,
	STAT_HEAL_ASKED,      /* whole blocks asked for, to move pages to */
	STAT_HEAL_GOT,	      /* and had */
	STAT_HEAL_MOVED,      /* pages moved out of blocks owned in part */
	STAT_BLOCKS_TAKEN,    /* whole blocks taken from the system */
	STAT_BLOCKS_RELEASED, /* and given back to it */
	STAT_PIECES_TAKEN,    /* less than a block, as no block was free */
	STAT_PAGES_RELEASED,  /* pages given back, in blocks or not */
	STAT_FAILURES,	      /* requests that could not be served */
	STAT_QUARANTINED,     /* blocks found broken */
	STAT_PAGES_OWNED,     /* pages of the cache now, free or in use */
	NR_CACHE_STATS
};

/* What allocation fills, and what frees fill; and of pages that may not be zero. */
enum magazine_kind { CLEAN, FREED, DIRTY, NR_KINDS };

struct cache_cpu {
	u64 magazine[NR_KINDS];
	struct block *active;
};

struct shard {
	spinlock_t lock ____cacheline_aligned; /* of all of it, and its blocks' flags */
	unsigned long nr_whole;		       /* read without the lock */
	unsigned long min_whole;	       /* the least since the last decay */
	struct list_head lists[NR_LISTS];
	/* Per order: which lists are not empty; all CPUs read it, without the lock. */
	u32 occupied[BLOCK_ORDER] ____cacheline_aligned;
};

struct cache {
	struct allocator *allocator;
	void (*zero)(void *host, unsigned long pfn, unsigned int order);
	void *host; /* of the allocator, as zero() is */
	int nid;
	bool any_dirty; /* some block has or had dirty pages */
	struct cache_cpu __percpu *cpu;

	struct shard shards[NR_SHARDS];
	atomic_long_t nr_fallback; /* blocks owned in part */
	atomic_long_t nr_unhealed; /* not in use, and split by us */

	struct mutex refill_lock; /* of all below */
	unsigned long refills;	  /* read without the lock */
	unsigned int batch;
	u64 last_refill;
	unsigned int low;      /* refill ahead with so few whole blocks; 0: don't */
	bool asked;	       /* the host is to do that; no lock */
	unsigned long look_at; /* where a broken region may have a block */
	unsigned int look_in;  /* in how many of them to look, this time */
	bool look_first;       /* before the system is asked what it offers */
	u64 retry_after;       /* read without the lock */

	atomic_long_t stats[NR_CACHE_STATS];
};

int cache_init(struct cache *c, struct allocator *a, int nid);
void cache_destroy(struct cache *c);

static inline struct shard *cache_shard(struct cache *c, const struct block *b)
{
	return &c->shards[b->number / SHARD_BLOCKS % NR_SHARDS];
}

/* The i-th to ask on this CPU: its own, then the others. */
static inline struct shard *cache_shard_nr(struct cache *c, unsigned int i)
{
	return &c->shards[((unsigned int)raw_smp_processor_id() + i) % NR_SHARDS];
}

/* Blocks that are wholly free now, or some number of them that is at least @enough. */
static inline unsigned long cache_nr_whole(struct cache *c, unsigned long enough)
{
	unsigned long nr = 0;
	unsigned int i;

	for (i = 0; i < NR_SHARDS && nr < enough; i++)
		nr += READ_ONCE(cache_shard_nr(c, i)->nr_whole);
	return nr;
}

/* A page from a magazine of this CPU, if there is one of this kind. */
static __always_inline bool magazine_pop(struct cache *c, enum magazine_kind kind,
					 unsigned long *pfn)
{
	u64 was, m = this_cpu_read(c->cpu->magazine[kind]);

	while (likely(magazine_pages(m))) {
		was = this_cpu_cmpxchg(c->cpu->magazine[kind], m,
				       UM_BROKEN(UM_BREAK_TWICE) ? m : m & (m - 1));
		if (likely(was == m)) {
			*pfn = magazine_pfn(m) + __ffs(magazine_pages(m));
			return true;
		}
		m = was;
	}
	return false;
}

/* Into the magazine, if it is of this page's run and does not hold it already. */
static inline bool magazine_push(struct cache *c, enum magazine_kind kind,
				 unsigned long pfn)
{
	u64 was, m = this_cpu_read(c->cpu->magazine[kind]);

	while (magazine_covers(m, pfn) && likely(!(m & magazine_bit(pfn)))) {
		was = this_cpu_cmpxchg(c->cpu->magazine[kind], m, m | magazine_bit(pfn));
		if (likely(was == m))
			return true;
		m = was;
	}
	return false;
}

/*
 * The usual free of one page: a clean page of a block that never had others,
 * into a magazine of its run.  Return: false for all the rest, and for what may
 * be wrong; nothing was done then.
 */
static __always_inline bool cache_free_fast(struct cache *c, const struct table *t,
					    unsigned long pfn)
{
	u64 run = magazine_make(pfn, 0), bit = magazine_bit(pfn);
	u64 m = this_cpu_read(c->cpu->magazine[CLEAN]) ^ run;
	u64 f = this_cpu_read(c->cpu->magazine[FREED]) ^ run;
	unsigned int index = pfn % BLOCK_PAGES;
	enum magazine_kind kind;
	struct block *b;
	u64 old;

	/* What is below 1 << 32 now is of this run: just the pages held of it. */
	kind = m >> 32 ? FREED : CLEAN;
	old = m >> 32 ? f : m;
	if (old >> 32 || old & bit || (kind == CLEAN && !(f >> 32) && f & bit))
		return false;
	b = table_lookup(t, pfn);
	if (unlikely(!b) ||
	    (READ_ONCE(b->flags) & (BLOCK_LIVE | BLOCK_QUARANTINED)) != BLOCK_LIVE ||
	    block_masks(b) ||
	    (unsigned long)atomic_long_read(&b->words[index / BITS_PER_LONG]) >>
			    index % BITS_PER_LONG &
		    1)
		return false;
	if (c->zero && !UM_BROKEN(UM_BREAK_CLEAN)) {
		c->zero(c->host, pfn, 0);
		return magazine_push(c, kind, pfn);
	}
	old |= run;
	return this_cpu_cmpxchg(c->cpu->magazine[kind], old, old | bit) == old;
}

/**
 * cache_alloc - 2^@order pages from what the cache holds
 *
 * Return: 0 with *@pfn set, or -ENOMEM.  Any context.
 */
int cache_alloc(struct cache *c, unsigned int order, unsigned int flags,
		unsigned long *pfn);

/**
 * cache_free - give 2^@order pages of block @b back to the cache
 *
 * Return: 0, or -EINVAL for pages that are not in use; then nothing is
 * changed, or the block is quarantined.  Any context.
 */
int cache_free(struct cache *c, struct block *b, unsigned long pfn, unsigned int order);

/* Empty the magazines of the CPU this runs on.  Any context. */
void cache_drain_cpu(struct cache *c);

/* Whether that would do anything on @cpu, a moment ago.  Any context. */
bool cache_cpu_holds(const struct cache *c, unsigned int cpu);

/* Those of a CPU that is offline.  Any context. */
void cache_drain_dead_cpu(struct cache *c, unsigned int cpu);

/**
 * cache_refill - take memory from the system
 * @order:	what must be possible to allocate afterwards
 * @want:	pages that the caller is going to ask for
 * @seen:	c->refills as it was before the cache was found empty: when
 *		somebody else has refilled it since, nothing is taken
 *
 * Return: 0, or -ENOMEM or the errno of unmap().  May sleep.
 */
int cache_refill(struct cache *c, unsigned int order, unsigned long want,
		 unsigned long seen);

/**
 * cache_alloc_run - blocks that are one naturally aligned run
 * @order:	more than BLOCK_ORDER, up to REGION_ORDER
 *
 * What is cached serves first; then it is given back, for the system to make
 * a run of it together with what lies beside it.
 *
 * Return: 0 with *@pfn set, -ENOMEM, or the errno of unmap().  May sleep, but
 * not with UM_NOWAIT.
 */
int cache_alloc_run(struct cache *c, unsigned int order, unsigned int flags,
		    unsigned long *pfn);

/**
 * cache_take_run - take a run from the system, for the caller
 *
 * Return: 0 with *@pfn set; all is allocated.  -ENOMEM or the errno of unmap().
 * May sleep.
 */
int cache_take_run(struct cache *c, unsigned int order, unsigned long *pfn);

/**
 * cache_claim_run - claim @nr blocks from @b on, if all of them are whole
 * @have:	a block of these that is the caller's already, or NULL
 *
 * cache_free_run() is the reverse.  Any context.
 */
bool cache_claim_run(struct cache *c, struct block *b, unsigned int nr,
		     const struct block *have);
void cache_free_run(struct cache *c, struct block *b, unsigned int nr,
		    const struct block *have);

/**
 * cache_shrink - give free memory back to the system
 * @nr:		pages to give back; whole blocks first, then pieces
 * @flags:	UM_TRY: do not wait for a refill under way, which may be waiting
 *		for us
 *
 * Return: pages given back.  May sleep.
 */
unsigned long cache_shrink(struct cache *c, unsigned long nr, unsigned int flags);

/**
 * cache_release_range - give back what is free of some blocks
 * @start, @end:	pfns; blocks that are in the range in part count as in it
 *
 * Return: pages of these blocks that are still the cache's.  May sleep.
 */
unsigned long cache_release_range(struct cache *c, unsigned long start,
				  unsigned long end);

/* Memory of which nothing is ours is gone: its entries are not healed any more. */
void cache_forget_range(struct cache *c, unsigned long start, unsigned long end);

/* What is free of blocks owned in part. */
unsigned long cache_free_in_pieces(struct cache *c);

/* Give that back, and heal what can be.  Return: pages given back.  May sleep. */
unsigned long cache_release_pieces(struct cache *c);

/* Pages that cache_shrink() would give back now.  Any context. */
unsigned long cache_shrinkable(struct cache *c);

/* --- policy.c ------------------------------------------------------------- */

/* Of struct um_host_ops, within the limit. */
int cache_get(struct cache *c, unsigned int order, unsigned int flags,
	      unsigned long *pfn);
int cache_get_near(struct cache *c, unsigned int *order, unsigned long *pfn);
void cache_put(struct cache *c, unsigned long pfn, unsigned int order);

/* Whether those who come again and again will soon have to wait. */
static inline bool cache_is_low(struct cache *c)
{
	unsigned int low = READ_ONCE(c->low);

	return low && cache_nr_whole(c, low + 1UL) <= low;
}

/* Have the host call allocator_balance() soon.  Any context, locks of the core held. */
void cache_ask(struct cache *c);

/* --- refill.c, for what comes from the system in other ways --------------- */

struct piece {
	unsigned long pfn;
	unsigned int order;
	int split; /* what unmap() returned: UM_SPLIT_* or a negative errno */
	struct block *b;
};

/*
 * cache_unmap - set .split and .b of a piece that is within the limit
 * cache_take - make @nr of these the cache's, after one flush
 *
 * What could not be unmapped goes back.  Return: how many the cache has now.
 * With refill_lock held.  May sleep.
 */
void cache_unmap(struct cache *c, struct piece *p);
unsigned int cache_take(struct cache *c, const struct piece *taken, unsigned int nr);

/* --- between the files of a cache ---------------------------------------- */

static inline void cache_count(struct cache *c, enum cache_stat stat, long n)
{
	atomic_long_add(n, &c->stats[stat]);
}

/* Never serve from this block again; it is not given back either. */
void cache_quarantine(struct cache *c, struct block *b, const char *why);

/*
 * Make one 2 MiB entry of what we split, if the block is not in use: all of its
 * pages are the system's, or all of them are ours and not yet published.
 */
void cache_heal(struct cache *c, struct block *b);

#endif /* UM_CACHE_H */
