// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Magazines, active blocks, allocation and free; see cache.h for the model. */
#include "allocator.h"
#include "dirty.h"
#include "lists.h"

/* --- the block a CPU is on ------------------------------------------------ */

/* After a claim that took the block's nr_free elsewhere. */
static void claimed(struct cache *c, struct block *b)
{
	if (!lists_right(b, atomic_read(&b->nr_free)))
		lists_update(c, b);
}

/* A block that was quarantined may still be some CPU's active one. */
static bool serves(const struct block *b)
{
	return !(READ_ONCE(b->flags) & BLOCK_QUARANTINED);
}

/* No CPU is on the block any more, or on another: it is listed again. */
static void deactivated(struct cache *c, struct block *b)
{
	/* A full barrier: frees change nr_free and then look at list_id. */
	cmpxchg(&b->list_id, BLOCK_ACTIVE, BLOCK_UNLISTED);
	if (!lists_right(b, atomic_read(&b->nr_free)))
		lists_update(c, b);
}

/* This CPU is on block @b from now on, or on none. */
static void activate(struct cache *c, struct block *b)
{
	struct block *old = this_cpu_xchg(c->cpu->active, b);

	if (old && old != b)
		deactivated(c, old);
}

/* A block just picked is taken off the lists for activate(); lock held. */
static void take_off(struct cache *c, struct block *b)
{
	lists_unlist(c, b);
	WRITE_ONCE(b->list_id, BLOCK_ACTIVE);
}

void cache_quarantine(struct cache *c, struct block *b, const char *why)
{
	struct shard *s = cache_shard(c, b);
	unsigned long bits[BLOCK_WORDS];
	unsigned long flags;
	bool first;

	spin_lock_irqsave(&s->lock, flags);
	first = !(b->flags & BLOCK_QUARANTINED);
	block_set_flags(b, BLOCK_QUARANTINED, 0);
	lists_unlist(c, b);
	spin_unlock_irqrestore(&s->lock, flags);

	/* Nothing can be claimed from it any more. */
	block_take_all(b, bits);
	if (first)
		cache_count(c, STAT_QUARANTINED, 1);
	WARN_ONCE(first, "unmapped: broken: block of pfn %#lx quarantined: %s",
		  block_pfn(b), why);
}

/* --- allocation ---------------------------------------------------------- */

/* The pages of a magazine, back into their block. */
static void put_back(struct cache *c, u64 m)
{
	unsigned long pfn = magazine_pfn(m);
	struct block *b = table_lookup(&c->allocator->table, pfn);
	unsigned int index = pfn % BLOCK_PAGES;
	int nr_free;

	if (!magazine_pages(m))
		return;
	nr_free =
		block_put_bits(b, index / BITS_PER_LONG,
			       (unsigned long)magazine_pages(m) << index % BITS_PER_LONG);
	if (nr_free < 0)
		cache_quarantine(c, b, "a page is in a magazine and free");
	else if (!lists_right(b, nr_free))
		lists_update(c, b);
}

/* Up to 32 pages from the lists.  Return: whether there is more to try. */
static bool take_listed_half(struct cache *c, bool avoid_dirty, struct block **from,
			     unsigned int *half, u32 *pages)
{
	struct shard *s = lists_best_shard(c, 0);
	bool more = s && !avoid_dirty; /* else perhaps all of it is dirty */
	unsigned long flags;
	struct block *b;

	*pages = 0;
	if (!s)
		return false;
	spin_lock_irqsave(&s->lock, flags);
	b = lists_pick(s, 0);
	if (b && lists_misplaced(b)) {
		lists_update_locked(c, b);
		more = true;
	} else if (b) {
		*pages = block_take_half(b, avoid_dirty, half);
		if (*pages)
			take_off(c, b);
		else if (more)
			lists_update_locked(c, b);
	} else {
		more = true; /* somebody was faster */
	}
	spin_unlock_irqrestore(&s->lock, flags);
	*from = b;
	return more && !*pages;
}

/*
 * Up to 32 pages from the active block or the best one, which then becomes the
 * active one.
 */
static u32 take_half(struct cache *c, bool avoid_dirty, struct block **from,
		     unsigned int *half)
{
	struct block *b = this_cpu_read(c->cpu->active);
	u32 pages = 0;

	*from = b;
	if (b && serves(b))
		pages = block_take_half(b, avoid_dirty, half);
	if (pages) {
		claimed(c, b);
		return pages;
	}
	while (take_listed_half(c, avoid_dirty, from, half, &pages))
		;
	if (pages)
		activate(c, *from);
	return pages;
}

/* Fill a magazine; its first page is for the caller. */
static bool magazine_load(struct cache *c, enum magazine_kind kind, unsigned long *pfn)
{
	bool avoid_dirty = kind == CLEAN && READ_ONCE(c->any_dirty);
	struct block_masks *masks;
	unsigned int half = 0;
	struct block *b;
	u32 pages;
	u64 m, old;

	pages = take_half(c, avoid_dirty, &b, &half);
	if (!pages)
		return false;
	m = magazine_make(block_pfn(b) + half * HALF_PAGES, pages);
	if (kind == CLEAN && !avoid_dirty && unlikely(READ_ONCE(c->any_dirty))) {
		put_back(c, m); /* the first ever may have come meanwhile */
		return false;
	}
	if (kind == DIRTY) {
		masks = block_get_masks(b, GFP_NOWAIT | __GFP_NOWARN);
		if (!masks) {
			put_back(c, m);
			return false;
		}
		dirty_mark(c, masks, half / 2,
			   (unsigned long)pages << half % 2 * HALF_PAGES);
	}
	*pfn = magazine_pfn(m) + __ffs(pages);
	m &= m - 1;
	old = this_cpu_read(c->cpu->magazine[kind]);
	if (magazine_pages(old) ||
	    this_cpu_cmpxchg(c->cpu->magazine[kind], old, m) != old)
		put_back(c, m); /* somebody else loaded it meanwhile */
	return true;
}

static int claim_listed(struct cache *c, unsigned int order, bool avoid_dirty,
			bool to_activate, struct block **from)
{
	int index = -ENOMEM;
	struct block *b = NULL;
	unsigned int o = order, id;
	unsigned long flags;
	struct shard *s;

	while (o <= BLOCK_ORDER && index < 0) {
		s = lists_best_shard(c, o);
		if (!s)
			break;
		spin_lock_irqsave(&s->lock, flags);
		b = lists_pick(s, o);
		if (b && lists_misplaced(b)) {
			lists_update_locked(c, b);
		} else if (b) {
			id = READ_ONCE(b->list_id);
			index = block_alloc(b, order, avoid_dirty);
			if (index >= 0 && to_activate)
				take_off(c, b);
			else if (index >= 0 && order == BLOCK_ORDER)
				lists_unlist(c, b); /* all of it is the caller's */
			else
				lists_update_locked(c, b);
			/*
			 * Mostly it has moved to a list that tells the truth.  If
			 * not, its pages are dirty or half claimed by somebody who
			 * may well be waiting for us to return: go on with larger
			 * runs.
			 */
			if (index < 0 && id == READ_ONCE(b->list_id))
				o = b->max_order + 1U;
		}
		spin_unlock_irqrestore(&s->lock, flags);
	}
	*from = b;
	return index;
}

static int claim(struct cache *c, unsigned int order, bool avoid_dirty,
		 struct block **from)
{
	struct block *b = this_cpu_read(c->cpu->active);
	bool to_activate = order < BLOCK_ORDER || !b;
	int index = -ENOMEM;

	if (b && serves(b))
		index = block_alloc(b, order, avoid_dirty);
	if (index >= 0) {
		claimed(c, b);
	} else {
		index = claim_listed(c, order, avoid_dirty, to_activate, &b);
		if (index >= 0 && to_activate)
			activate(c, b);
	}
	*from = b;
	return index;
}

/* When the lists have nothing: from the blocks that other CPUs are on. */
static int claim_active(struct cache *c, unsigned int order, struct block **from)
{
	int index = -ENOMEM;
	unsigned int cpu;
	struct block *b;

	for_each_possible_cpu(cpu) {
		b = READ_ONCE(per_cpu_ptr(c->cpu, cpu)->active);
		if (!b || !serves(b))
			continue;
		index = block_alloc(b, order, false);
		if (index < 0)
			continue;
		claimed(c, b);
		*from = b;
		break;
	}
	return index;
}

int cache_alloc(struct cache *c, unsigned int order, unsigned int flags,
		unsigned long *pfn)
{
	bool clean = flags & UM_ZERO || !c->zero;
	bool avoid_dirty = clean && READ_ONCE(c->any_dirty);
	struct block *b;
	int index;

	if (!order && clean &&
	    (magazine_pop(c, CLEAN, pfn) || magazine_pop(c, FREED, pfn) ||
	     magazine_load(c, CLEAN, pfn)))
		return 0;
	if (!order && !clean &&
	    (magazine_pop(c, DIRTY, pfn) || magazine_load(c, DIRTY, pfn)))
		return 0;

	index = claim(c, order, avoid_dirty, &b);
	if (index < 0 && order) {
		lists_sweep(c, order);
		index = claim(c, order, avoid_dirty, &b);
	}
	if (index < 0 && avoid_dirty)
		index = claim(c, order, false, &b);
	if (index < 0 && flags & UM_NOWAIT)
		index = claim_active(c, order, &b);
	if (index < 0)
		return -ENOMEM;
	dirty_prepare(c, b, (unsigned int)index, order, flags);
	*pfn = block_pfn(b) + (unsigned int)index;
	return 0;
}

/* --- free ---------------------------------------------------------------- */

/* All pages of the range are the allocator's, and none of them is free. */
static bool in_use(struct block *b, unsigned int index, unsigned int order)
{
	struct block_masks *m = block_masks(b);
	unsigned int i, last = last_word(index, order);
	unsigned long mask = word_mask(index % BITS_PER_LONG, order);
	unsigned long wrong = 0;

	for (i = index / BITS_PER_LONG; i <= last; i++)
		wrong |= (unsigned long)atomic_long_read(&b->words[i]);
	for (i = index / BITS_PER_LONG; m && i <= last; i++)
		wrong |= ~READ_ONCE(m->owned[i]);
	return !(wrong & mask);
}

static bool in_magazine(struct cache *c, unsigned long pfn)
{
	unsigned int kind;
	u64 m;

	for (kind = 0; kind < NR_KINDS; kind++) {
		m = this_cpu_read(c->cpu->magazine[kind]);
		if (magazine_covers(m, pfn) && m & magazine_bit(pfn))
			return true;
	}
	return false;
}

/* Clean pages gather in a magazine until one of another run comes. */
static void gather(struct cache *c, unsigned long pfn)
{
	u64 m = magazine_make(pfn, (u32)magazine_bit(pfn));
	u64 was, old = this_cpu_read(c->cpu->magazine[FREED]);

	while ((was = this_cpu_cmpxchg(c->cpu->magazine[FREED], old, m)) != old)
		old = was;
	put_back(c, old);
}

static int refuse(struct cache *c, struct block *b, const char *why)
{
	cache_quarantine(c, b, why);
	return -EINVAL;
}

int cache_free(struct cache *c, struct block *b, unsigned long pfn, unsigned int order)
{
	unsigned int index = pfn % BLOCK_PAGES;
	int nr_free;

	if (unlikely(!serves(b))) {
		dirty_clean(c, b, index, order);
		return 0; /* its pages go nowhere any more */
	}
	if (unlikely(!in_use(b, index, order)))
		return refuse(c, b, "a page was freed that is not in use");
	if (!order) {
		if (unlikely(in_magazine(c, pfn)))
			return refuse(c, b, "a page was freed that is in a magazine");
		if (unlikely(dirty_clean(c, b, index, 0))) {
			if (magazine_push(c, DIRTY, pfn))
				return 0;
		} else {
			if (!magazine_push(c, CLEAN, pfn) &&
			    !magazine_push(c, FREED, pfn))
				gather(c, pfn);
			return 0;
		}
	} else {
		dirty_clean(c, b, index, order);
	}

	nr_free = block_free(b, index, order);
	if (unlikely(nr_free < 0))
		return refuse(c, b, "a page was freed twice");
	if (!lists_right(b, nr_free))
		lists_update(c, b);
	return 0;
}

void cache_drain_cpu(struct cache *c)
{
	unsigned int kind;
	u64 was, m;

	for (kind = 0; kind < NR_KINDS; kind++) {
		m = this_cpu_read(c->cpu->magazine[kind]);
		while ((was = this_cpu_cmpxchg(c->cpu->magazine[kind], m,
					       MAGAZINE_EMPTY)) != m)
			m = was;
		put_back(c, m);
	}
	activate(c, NULL);
}

bool cache_cpu_holds(const struct cache *c, unsigned int cpu)
{
	const struct cache_cpu *on = per_cpu_ptr(c->cpu, cpu);
	unsigned int kind;

	if (READ_ONCE(on->active))
		return true;
	for (kind = 0; kind < NR_KINDS; kind++)
		if (magazine_pages(READ_ONCE(on->magazine[kind])))
			return true;
	return false;
}

void cache_drain_dead_cpu(struct cache *c, unsigned int cpu)
{
	struct cache_cpu *dead = per_cpu_ptr(c->cpu, cpu);
	struct block *old = dead->active;
	unsigned int kind;

	for (kind = 0; kind < NR_KINDS; kind++) {
		put_back(c, dead->magazine[kind]);
		dead->magazine[kind] = MAGAZINE_EMPTY;
	}
	WRITE_ONCE(dead->active, NULL);
	if (old)
		deactivated(c, old);
}

/* --- life ---------------------------------------------------------------- */

int cache_init(struct cache *c, struct allocator *a, int nid)
{
	struct shard *s;
	unsigned int i;

	c->allocator = a;
	c->zero = a->ops->zero;
	c->host = a->host;
	c->nid = nid;
	for (s = c->shards; s < c->shards + NR_SHARDS; s++) {
		spin_lock_init(&s->lock);
		for (i = 0; i < NR_LISTS; i++)
			INIT_LIST_HEAD(&s->lists[i]);
	}
	mutex_init(&c->refill_lock);
	c->batch = 1;
	c->cpu = alloc_percpu(struct cache_cpu);
	return c->cpu ? 0 : -ENOMEM;
}

void cache_destroy(struct cache *c)
{
	free_percpu(c->cpu);
	mutex_destroy(&c->refill_lock);
}
