/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Which block serves next: the lists of a cache, as cache.h says.
 *
 * A block is listed by what was free of it when somebody looked.  That it has
 * free pages, and that all of it is free, is seen to by whoever changes that;
 * of the rest the lists may say less or more than the truth.
 */
#ifndef UM_LISTS_H
#define UM_LISTS_H

#include "cache.h"

/* The column of the lists where a block with so many free pages belongs. */
static inline unsigned int lists_step(int nr_free)
{
	return (unsigned int)(nr_free - 1) / FREE_STEP;
}

/* Whether a block is on one of the lists, and on that of whole ones, rightly. */
static inline bool lists_right(const struct block *b, int nr_free)
{
	unsigned int id = READ_ONCE(b->list_id);

	if (id == BLOCK_ACTIVE)
		return true;
	if (nr_free <= 0)
		return id == BLOCK_UNLISTED;
	return id != BLOCK_UNLISTED && (id == LIST_WHOLE) == (nr_free == BLOCK_PAGES);
}

/* The list of a shard's best blocks in use that should be able to serve, or -1. */
static inline int lists_best(const struct shard *s, unsigned int order)
{
	unsigned int o;
	u32 steps;

	for (o = order; o < BLOCK_ORDER; o++) {
		steps = READ_ONCE(s->occupied[o]);
		if (steps)
			return (int)(o * NR_STEPS + __ffs(steps));
	}
	return -1;
}

/* The shard that has the best block of all, this CPU's own if that has such, too. */
static inline struct shard *lists_best_shard(struct cache *c, unsigned int order)
{
	struct shard *s, *best = NULL;
	int id, best_id = LIST_WHOLE;
	unsigned int i;

	for (i = 0; i < NR_SHARDS && order < BLOCK_ORDER; i++) {
		s = cache_shard_nr(c, i);
		id = lists_best(s, order);
		if (id >= 0 && id < best_id) {
			best = s;
			best_id = id;
		}
	}
	for (i = 0; i < NR_SHARDS && !best; i++) {
		s = cache_shard_nr(c, i);
		if (READ_ONCE(s->nr_whole))
			best = s;
	}
	return best;
}

/* The best block of a shard; lock held. */
static inline struct block *lists_pick(struct shard *s, unsigned int order)
{
	int id = lists_best(s, order);

	if (id >= 0)
		return list_first_entry(&s->lists[id], struct block, list);
	/* The one last used: the others stay idle. */
	if (s->nr_whole)
		return list_last_entry(&s->lists[LIST_WHOLE], struct block, list);
	return NULL;
}

/* On a list for other numbers of free pages. */
static inline bool lists_misplaced(const struct block *b)
{
	int nr_free = atomic_read(&b->nr_free);

	return !lists_right(b, nr_free) ||
	       (nr_free < (int)BLOCK_PAGES &&
		READ_ONCE(b->list_id) % NR_STEPS != lists_step(nr_free));
}

/* Move a block to the list where it belongs now.  Any context. */
void lists_update(struct cache *c, struct block *b);

/* The same, and off all lists; the lock of its shard is held. */
void lists_update_locked(struct cache *c, struct block *b);
void lists_unlist(struct cache *c, struct block *b);

/*
 * Frees do not look for what larger runs they made: look now, at some blocks from
 * which no run of @order is known.  Any context.
 */
void lists_sweep(struct cache *c, unsigned int order);

#endif /* UM_LISTS_H */
