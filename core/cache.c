// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Lists, magazines, allocation and free; see cache.h for the model. */
#include "allocator.h"

/* --- the lists ----------------------------------------------------------- */

/* The column of the lists where a block with so many free pages belongs. */
static unsigned int free_step(int nr_free)
{
	return (unsigned int)(nr_free - 1) / FREE_STEP;
}

static bool listed_right(const struct block *b, int nr_free)
{
	unsigned int id = READ_ONCE(b->list_id);

	if (nr_free <= 0)
		return id == BLOCK_UNLISTED;
	if (nr_free == BLOCK_PAGES)
		return id == LIST_WHOLE;
	return id < LIST_WHOLE && id % NR_STEPS == free_step(nr_free);
}

void cache_unlist(struct cache *c, struct block *b)
{
	unsigned int id = b->list_id;

	if (id == BLOCK_UNLISTED)
		return;
	list_del_init(&b->list);
	WRITE_ONCE(b->list_id, BLOCK_UNLISTED);
	if (id == LIST_WHOLE)
		c->nr_whole--;
	else if (list_empty(&c->lists[id]))
		c->occupied[id / NR_STEPS] &= ~(1U << id % NR_STEPS);
}

static void list_block(struct cache *c, struct block *b, unsigned int id)
{
	list_add_tail(&b->list, &c->lists[id]);
	WRITE_ONCE(b->list_id, (u8)id);
	if (id == LIST_WHOLE) {
		c->nr_whole++;
		b->idle_since = (u32)(c->allocator->ops->now(c->allocator->host) /
				      1000000);
	} else {
		c->occupied[id / NR_STEPS] |= 1U << id % NR_STEPS;
	}
}

void cache_update_locked(struct cache *c, struct block *b)
{
	unsigned int id;
	int nr_free, largest;

	if (!(b->flags & BLOCK_LIVE) || b->flags & BLOCK_QUARANTINED)
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
				largest--;	/* the rest is being claimed */
			WRITE_ONCE(b->max_order, (u8)largest);
			id = (unsigned int)largest * NR_STEPS + free_step(nr_free);
		}
		if (id != b->list_id) {
			cache_unlist(c, b);
			if (id != BLOCK_UNLISTED)
				list_block(c, b, id);
		}
		/*
		 * A claim or free changes nr_free and then looks at list_id;
		 * here it is the other way round.  One of the two sees that
		 * the block is on the wrong list.
		 */
		smp_mb();
	} while (!listed_right(b, atomic_read(&b->nr_free)));
}

void cache_update(struct cache *c, struct block *b)
{
	unsigned long flags;

	spin_lock_irqsave(&c->lock, flags);
	cache_update_locked(c, b);
	spin_unlock_irqrestore(&c->lock, flags);
}

/* After a claim that took the block's nr_free elsewhere. */
static void claimed(struct cache *c, struct block *b)
{
	if (!listed_right(b, atomic_read(&b->nr_free)))
		cache_update(c, b);
}

/* A block that was quarantined may still be some CPU's hint. */
static bool serves(const struct block *b)
{
	return !(READ_ONCE(b->flags) & BLOCK_QUARANTINED);
}

/* The best block on the lists that should be able to serve; NULL if none. */
static struct block *pick(struct cache *c, unsigned int order)
{
	unsigned int o, id;

	for (o = order; o < BLOCK_ORDER; o++) {
		if (!c->occupied[o])
			continue;
		id = o * NR_STEPS + __ffs(c->occupied[o]);
		return list_first_entry(&c->lists[id], struct block, list);
	}
	if (c->nr_whole)
		return list_last_entry(&c->lists[LIST_WHOLE], struct block, list);
	return NULL;
}

void cache_quarantine(struct cache *c, struct block *b, const char *why)
{
	unsigned long bits[BLOCK_WORDS];
	unsigned long flags;
	bool first;

	spin_lock_irqsave(&c->lock, flags);
	first = !(b->flags & BLOCK_QUARANTINED);
	b->flags |= BLOCK_QUARANTINED;
	cache_unlist(c, b);
	spin_unlock_irqrestore(&c->lock, flags);

	/* Nothing can be claimed from it any more. */
	block_take_all(b, bits);
	if (first)
		cache_count(c, STAT_QUARANTINED, 1);
	WARN_ONCE(first, "unmapped: broken: block of pfn %#lx quarantined: %s",
		  block_pfn(b), why);
}

/* --- dirty and zero ------------------------------------------------------ */

struct block_masks *block_get_masks(struct block *b, gfp_t gfp)
{
	struct block_masks *m = READ_ONCE(b->masks);
	struct block_masks *made;
	unsigned int i;

	if (m)
		return m;
	made = kzalloc(sizeof(*made), gfp);
	if (!made)
		return NULL;
	for (i = 0; i < BLOCK_WORDS; i++)
		made->owned[i] = ~0UL;
	m = cmpxchg(&b->masks, NULL, made);
	if (m)
		kfree(made);
	return m ? m : made;
}

/* The first page of a range that is dirty, or the end of the range. */
static unsigned int next_dirty(struct block_masks *m, unsigned int i, unsigned int end)
{
	while (i < end &&
	       !((unsigned long)atomic_long_read(&m->dirty[i / BITS_PER_LONG]) >>
		 i % BITS_PER_LONG & 1))
		i++;
	return i;
}

static void mark_clean(struct block_masks *m, unsigned int i)
{
	atomic_long_fetch_andnot((long)(1UL << i % BITS_PER_LONG),
				 &m->dirty[i / BITS_PER_LONG]);
}

/*
 * What the client asked for becomes true of pages just claimed: zero, or in
 * the hands of a client that does not care.
 */
static void prepare(struct cache *c, struct block *b, unsigned int index,
		    unsigned int order, unsigned int flags)
{
	struct allocator *a = c->allocator;
	struct block_masks *m = READ_ONCE(b->masks);
	unsigned int end = index + (1U << order);
	unsigned int i;

	if (!a->ops->zero)
		return;
	if (!(flags & UM_ZERO)) {
		/* Without masks the pages just count as clean ones. */
		m = block_get_masks(b, GFP_NOWAIT | __GFP_NOWARN);
		if (!m)
			return;
		if (!READ_ONCE(c->any_dirty))
			WRITE_ONCE(c->any_dirty, true);
		for (i = index; i < end; i++)
			atomic_long_fetch_or((long)(1UL << i % BITS_PER_LONG),
					     &m->dirty[i / BITS_PER_LONG]);
		return;
	}
	if (!m || UM_BROKEN(UM_BREAK_DIRTY))
		return;
	for (i = next_dirty(m, index, end); i < end; i = next_dirty(m, i, end)) {
		a->ops->zero(a->host, block_pfn(b) + i, 0);
		mark_clean(m, i);
	}
}

/* Zero what a client is done with, but for pages that may stay dirty. */
static void clean(struct cache *c, struct block *b, unsigned int index,
		  unsigned int order)
{
	struct allocator *a = c->allocator;
	struct block_masks *m = READ_ONCE(b->masks);
	unsigned int end = index + (1U << order);
	unsigned int i;

	if (!a->ops->zero || UM_BROKEN(UM_BREAK_CLEAN))
		return;
	if (!m || next_dirty(m, index, end) == end) {
		a->ops->zero(a->host, block_pfn(b) + index, order);
		return;
	}
	for (i = index; i < end; i++)
		if (next_dirty(m, i, i + 1) != i)
			a->ops->zero(a->host, block_pfn(b) + i, 0);
}

/* --- allocation ---------------------------------------------------------- */

static bool magazine_pop(struct cache *c, unsigned long *pfn)
{
	u64 was, m = this_cpu_read(c->cpu->magazine);

	while (magazine_pages(m)) {
		was = this_cpu_cmpxchg(c->cpu->magazine, m,
				       UM_BROKEN(UM_BREAK_TWICE) ? m : m & (m - 1));
		if (likely(was == m)) {
			*pfn = magazine_pfn(m) + __ffs(magazine_pages(m));
			return true;
		}
		m = was;
	}
	return false;
}

/* Pages that were in no magazine for long after all. */
static void put_back(struct cache *c, u64 m)
{
	unsigned long pfn = magazine_pfn(m);
	struct block *b = table_lookup(&c->allocator->table, pfn);
	unsigned int index = pfn % BLOCK_PAGES;
	int nr_free;

	if (!magazine_pages(m))
		return;
	nr_free = block_put_bits(b, index / BITS_PER_LONG,
				 (unsigned long)magazine_pages(m) <<
				 index % BITS_PER_LONG);
	if (nr_free < 0)
		cache_quarantine(c, b, "a page is in a magazine and free");
	else if (!listed_right(b, nr_free))
		cache_update(c, b);
}

/* Up to 32 pages from a block: the first for the caller, the rest to keep. */
static bool magazine_load(struct cache *c, unsigned long *pfn)
{
	struct block *b = this_cpu_read(c->cpu->hint);
	unsigned long flags;
	unsigned int half;
	u32 pages = 0;
	u64 m, old;

	if (b && serves(b))
		pages = block_take_half(b, &half);
	if (pages) {
		claimed(c, b);
	} else {
		spin_lock_irqsave(&c->lock, flags);
		while ((b = pick(c, 0)) != NULL) {
			pages = block_take_half(b, &half);
			if (!pages && READ_ONCE(c->any_dirty))
				break;		/* perhaps all of it is dirty */
			cache_update_locked(c, b);
			if (pages)
				break;
		}
		spin_unlock_irqrestore(&c->lock, flags);
		if (!pages)
			return false;
		this_cpu_write(c->cpu->hint, b);
	}

	m = magazine_make(block_pfn(b) + half * HALF_PAGES, pages);
	*pfn = magazine_pfn(m) + __ffs(pages);
	m &= m - 1;
	old = this_cpu_read(c->cpu->magazine);
	if (magazine_pages(old) || this_cpu_cmpxchg(c->cpu->magazine, old, m) != old)
		put_back(c, m);		/* somebody else loaded it meanwhile */
	return true;
}

static int claim_listed(struct cache *c, unsigned int order, bool avoid_dirty,
			struct block **from)
{
	int index = -ENOMEM;
	struct block *b = NULL;
	unsigned int o, id;
	unsigned long flags;

	spin_lock_irqsave(&c->lock, flags);
	for (o = order; o <= BLOCK_ORDER;) {
		b = pick(c, o);
		if (!b)
			break;
		id = b->list_id;
		index = block_alloc(b, order, avoid_dirty);
		cache_update_locked(c, b);
		if (index >= 0)
			break;
		/*
		 * Mostly it has moved to a list that tells the truth.  If not,
		 * its pages are dirty or half claimed by somebody who may well
		 * be waiting for us to return: go on with larger runs.
		 */
		if (id == b->list_id)
			o = b->max_order + 1U;
	}
	spin_unlock_irqrestore(&c->lock, flags);
	*from = b;
	return index;
}

static int claim(struct cache *c, unsigned int order, bool avoid_dirty,
		 struct block **from)
{
	struct block *b = this_cpu_read(c->cpu->hint);
	int index;

	if (b && order < BLOCK_ORDER && serves(b)) {
		index = block_alloc(b, order, avoid_dirty);
		if (index >= 0) {
			claimed(c, b);
			*from = b;
			return index;
		}
	}
	index = claim_listed(c, order, avoid_dirty, &b);
	if (index >= 0 && order < BLOCK_ORDER)
		this_cpu_write(c->cpu->hint, b);
	*from = b;
	return index;
}

int cache_alloc(struct cache *c, unsigned int order, unsigned int flags,
		unsigned long *pfn)
{
	bool zero = flags & UM_ZERO || !c->allocator->ops->zero;
	bool avoid_dirty = zero && READ_ONCE(c->any_dirty);
	struct block *b;
	int index;

	if (!order && zero &&
	    (magazine_pop(c, pfn) || magazine_load(c, pfn)))
		return 0;

	index = claim(c, order, avoid_dirty, &b);
	if (index < 0 && avoid_dirty)
		index = claim(c, order, false, &b);
	if (index < 0)
		return -ENOMEM;
	prepare(c, b, (unsigned int)index, order, flags);
	*pfn = block_pfn(b) + (unsigned int)index;
	return 0;
}

/* --- free ---------------------------------------------------------------- */

/*
 * Whether the pages just freed, in a word that now reads like this, make a run
 * larger than any the block's list knows of.
 */
static bool larger_run(const struct block *b, unsigned long word, unsigned int index)
{
	unsigned int order = READ_ONCE(b->max_order) + 1U;

	if (order > WORD_ORDER)
		return !~word;
	index = (index % BITS_PER_LONG) & ~((1U << order) - 1);
	return !(~word & word_mask(index, order));
}

/* All pages of the range are the allocator's, and none of them is free. */
static bool in_use(struct block *b, unsigned int index, unsigned int order)
{
	struct block_masks *m = READ_ONCE(b->masks);
	unsigned int i, words = order > WORD_ORDER ? 1U << (order - WORD_ORDER) : 1;
	unsigned long mask = word_mask(index % BITS_PER_LONG, order);

	for (i = index / BITS_PER_LONG; words--; i++) {
		if (atomic_long_read(&b->words[i]) & (long)mask)
			return false;
		if (m && ~READ_ONCE(m->owned[i]) & mask)
			return false;
	}
	return true;
}

int cache_free(struct cache *c, struct block *b, unsigned long pfn,
	       unsigned int order)
{
	u64 was, m = this_cpu_read(c->cpu->magazine);
	unsigned int index = pfn % BLOCK_PAGES;
	unsigned long word;
	int nr_free;

	if (unlikely(!serves(b))) {
		clean(c, b, index, order);
		return 0;		/* its pages go nowhere any more */
	}
	if (unlikely(!in_use(b, index, order) ||
		     (!order && magazine_covers(m, pfn) && m & magazine_bit(pfn)))) {
		cache_quarantine(c, b, "a page was freed that is not in use");
		return -EINVAL;
	}
	clean(c, b, index, order);

	/* Magazines hold clean pages of blocks that are not in question. */
	if (!order && !READ_ONCE(b->masks)) {
		m = this_cpu_read(c->cpu->magazine);
		while (magazine_covers(m, pfn) && !(m & magazine_bit(pfn))) {
			was = this_cpu_cmpxchg(c->cpu->magazine, m,
					       m | magazine_bit(pfn));
			if (likely(was == m))
				return 0;
			m = was;
		}
	}

	nr_free = block_free(b, index, order, &word);
	if (unlikely(nr_free < 0)) {
		cache_quarantine(c, b, "a page was freed twice");
		return -EINVAL;
	}
	if (!listed_right(b, nr_free) || larger_run(b, word, index))
		cache_update(c, b);
	return 0;
}

void cache_drain_cpu(struct cache *c)
{
	u64 was, m = this_cpu_read(c->cpu->magazine);

	for (;;) {
		was = this_cpu_cmpxchg(c->cpu->magazine, m, MAGAZINE_EMPTY);
		if (was == m)
			break;
		m = was;
	}
	this_cpu_write(c->cpu->hint, NULL);
	put_back(c, m);
}

/* --- life ---------------------------------------------------------------- */

int cache_init(struct cache *c, struct allocator *a, int nid)
{
	unsigned int i;

	c->allocator = a;
	c->nid = nid;
	spin_lock_init(&c->lock);
	mutex_init(&c->refill_lock);
	for (i = 0; i < NR_LISTS; i++)
		INIT_LIST_HEAD(&c->lists[i]);
	c->batch = 1;
	c->cpu = alloc_percpu(struct cache_cpu);
	return c->cpu ? 0 : -ENOMEM;
}

void cache_destroy(struct cache *c)
{
	free_percpu(c->cpu);
	mutex_destroy(&c->refill_lock);
}
