// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Lists of blocks by what is free of them; see lists.h. */
#include "allocator.h"
#include "lists.h"

static void count_whole(struct shard *s, long n)
{
	WRITE_ONCE(s->nr_whole, s->nr_whole + (unsigned long)n);
	s->min_whole = min(s->min_whole, s->nr_whole);
}

static void mark_occupied(struct shard *s, unsigned int id, bool is)
{
	u32 bit = 1U << id % NR_STEPS, old = s->occupied[id / NR_STEPS];

	WRITE_ONCE(s->occupied[id / NR_STEPS], is ? old | bit : old & ~bit);
}

void lists_unlist(struct cache *c, struct block *b)
{
	struct shard *s = cache_shard(c, b);
	unsigned int id = READ_ONCE(b->list_id);

	WRITE_ONCE(b->list_id, BLOCK_UNLISTED);
	if (id == BLOCK_UNLISTED || id == BLOCK_ACTIVE)
		return;
	list_del_init(&b->list);
	if (id == LIST_WHOLE)
		count_whole(s, -1);
	else if (list_empty(&s->lists[id]))
		mark_occupied(s, id, false);
}

static void list_block(struct cache *c, struct block *b, unsigned int id)
{
	struct shard *s = cache_shard(c, b);

	list_add_tail(&b->list, &s->lists[id]);
	WRITE_ONCE(b->list_id, (u8)id);
	if (id == LIST_WHOLE) {
		count_whole(s, 1);
		if (unlikely(allocator_excess(c->allocator)))
			cache_ask(c);
	} else {
		mark_occupied(s, id, true);
	}
}

void lists_update_locked(struct cache *c, struct block *b)
{
	unsigned int id;
	int nr_free, largest;

	if (!(b->flags & BLOCK_LIVE) || b->flags & BLOCK_QUARANTINED ||
	    READ_ONCE(b->list_id) == BLOCK_ACTIVE)
		return;
	do {
		nr_free = atomic_read(&b->nr_free);
		id = BLOCK_UNLISTED;
		if (nr_free == BLOCK_PAGES) {
			id = LIST_WHOLE;
			WRITE_ONCE(b->max_order, BLOCK_ORDER);
		} else if (nr_free > 0) {
			largest = block_largest(b);
			largest = min(max(largest, 0), (int)BLOCK_ORDER - 1);
			while (1 << largest > nr_free)
				largest--; /* the rest is being claimed */
			WRITE_ONCE(b->max_order, (u8)largest);
			id = (unsigned int)largest * NR_STEPS + lists_step(nr_free);
		}
		if (id != READ_ONCE(b->list_id)) {
			lists_unlist(c, b);
			if (id != BLOCK_UNLISTED)
				list_block(c, b, id);
		}
		/*
		 * A claim or free changes nr_free and then looks at list_id;
		 * here it is the other way round.  One of the two sees that
		 * the block is on the wrong list.
		 */
		smp_mb();
	} while (!lists_right(b, atomic_read(&b->nr_free)));
}

void lists_update(struct cache *c, struct block *b)
{
	struct shard *s = cache_shard(c, b);
	unsigned long flags;

	spin_lock_irqsave(&s->lock, flags);
	lists_update_locked(c, b);
	spin_unlock_irqrestore(&s->lock, flags);
}

/* At the emptiest first. */
static void sweep_shard(struct cache *c, struct shard *s, unsigned int order)
{
	unsigned int looked = 0, o, step;
	struct block *b, *next;
	struct list_head *list;
	unsigned long flags;

	spin_lock_irqsave(&s->lock, flags);
	for (step = NR_STEPS; step--;) {
		for (o = 0; o < order && looked < SWEEP_MAX; o++) {
			list = &s->lists[o * NR_STEPS + step];
			list_for_each_entry_safe(b, next, list, list) {
				lists_update_locked(c, b);
				if (++looked == SWEEP_MAX)
					break;
			}
		}
	}
	spin_unlock_irqrestore(&s->lock, flags);
}

void lists_sweep(struct cache *c, unsigned int order)
{
	unsigned int i;

	for (i = 0; i < NR_SHARDS; i++)
		sweep_shard(c, &c->shards[i], order);
}
