// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Lists, magazines, allocation and free; see cache.h for the model. */
#include "allocator.h"

/* --- the lists ----------------------------------------------------------- */

/* The column of the lists where a block with so many free pages belongs. */
static unsigned int free_step(int nr_free)
{
	return (unsigned int)(nr_free - 1) / FREE_STEP;
}

/* Whether a block is on one of the lists, and on that of whole ones, rightly. */
static bool listed_right(const struct block *b, int nr_free)
{
	unsigned int id = READ_ONCE(b->list_id);

	if (id == BLOCK_ACTIVE)
		return true;
	if (nr_free <= 0)
		return id == BLOCK_UNLISTED;
	return id != BLOCK_UNLISTED && (id == LIST_WHOLE) == (nr_free == BLOCK_PAGES);
}

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

void cache_unlist(struct cache *c, struct block *b)
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

void cache_update_locked(struct cache *c, struct block *b)
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
			id = (unsigned int)largest * NR_STEPS + free_step(nr_free);
		}
		if (id != READ_ONCE(b->list_id)) {
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
	struct shard *s = cache_shard(c, b);
	unsigned long flags;

	spin_lock_irqsave(&s->lock, flags);
	cache_update_locked(c, b);
	spin_unlock_irqrestore(&s->lock, flags);
}

/* After a claim that took the block's nr_free elsewhere. */
static void claimed(struct cache *c, struct block *b)
{
	if (!listed_right(b, atomic_read(&b->nr_free)))
		cache_update(c, b);
}

/* A block that was quarantined may still be some CPU's active one. */
static bool serves(const struct block *b)
{
	return !(READ_ONCE(b->flags) & BLOCK_QUARANTINED);
}

/* The list of a shard's best blocks in use that should be able to serve, or -1. */
static int best_list(const struct shard *s, unsigned int order)
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
static struct shard *best_shard(struct cache *c, unsigned int order)
{
	struct shard *s, *best = NULL;
	int id, best_id = LIST_WHOLE;
	unsigned int i;

	for (i = 0; i < NR_SHARDS && order < BLOCK_ORDER; i++) {
		s = cache_shard_nr(c, i);
		id = best_list(s, order);
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
static struct block *pick(struct shard *s, unsigned int order)
{
	int id = best_list(s, order);

	if (id >= 0)
		return list_first_entry(&s->lists[id], struct block, list);
	/* The one last used: the others stay idle. */
	if (s->nr_whole)
		return list_last_entry(&s->lists[LIST_WHOLE], struct block, list);
	return NULL;
}

/* On a list for other numbers of free pages. */
static bool misplaced(const struct block *b)
{
	int nr_free = atomic_read(&b->nr_free);

	return !listed_right(b, nr_free) ||
	       (nr_free < (int)BLOCK_PAGES &&
		READ_ONCE(b->list_id) % NR_STEPS != free_step(nr_free));
}

/*
 * Frees do not look for what larger runs they made.  Look now, at the emptiest
 * of the blocks from which no such run is known.
 */
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
				cache_update_locked(c, b);
				if (++looked == SWEEP_MAX)
					break;
			}
		}
	}
	spin_unlock_irqrestore(&s->lock, flags);
}

static void sweep(struct cache *c, unsigned int order)
{
	unsigned int i;

	for (i = 0; i < NR_SHARDS; i++)
		sweep_shard(c, &c->shards[i], order);
}

/* No CPU is on the block any more, or on another: it is listed again. */
static void deactivated(struct cache *c, struct block *b)
{
	/* A full barrier: frees change nr_free and then look at list_id. */
	cmpxchg(&b->list_id, BLOCK_ACTIVE, BLOCK_UNLISTED);
	if (!listed_right(b, atomic_read(&b->nr_free)))
		cache_update(c, b);
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
	cache_unlist(c, b);
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
	cache_unlist(c, b);
	spin_unlock_irqrestore(&s->lock, flags);

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
	struct block_masks *m = block_masks(b);
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

/* What of a range lies in a word of its block, and in which words it lies. */
static unsigned int last_word(unsigned int index, unsigned int order)
{
	return (index + (1U << order) - 1) / BITS_PER_LONG;
}

static unsigned long dirty_of(const struct block_masks *m, unsigned int word,
			      unsigned int index, unsigned int order)
{
	return (unsigned long)atomic_long_read(&m->dirty[word]) &
	       word_mask(index % BITS_PER_LONG, order);
}

static void zero_pages(struct cache *c, struct block *b, unsigned int word,
		       unsigned long pages)
{
	for (; pages; pages &= pages - 1)
		c->zero(c->host, block_pfn(b) + word * BITS_PER_LONG + __ffs(pages), 0);
}

/* Pages of this word are in the hands of a client that does not care. */
static void mark_dirty(struct cache *c, struct block_masks *m, unsigned int word,
		       unsigned long pages)
{
	if (!READ_ONCE(c->any_dirty))
		WRITE_ONCE(c->any_dirty, true);
	if (~(unsigned long)atomic_long_read(&m->dirty[word]) & pages)
		atomic_long_fetch_or((long)pages, &m->dirty[word]);
}

void cache_prepare(struct cache *c, struct block *b, unsigned int index,
		   unsigned int order, unsigned int flags)
{
	struct block_masks *m = block_masks(b);
	unsigned int word = index / BITS_PER_LONG;
	unsigned int last = last_word(index, order);
	unsigned long dirty;

	if (!c->zero)
		return;
	if (!(flags & UM_ZERO)) {
		/* Without masks the pages just count as clean ones. */
		m = block_get_masks(b, GFP_NOWAIT | __GFP_NOWARN);
		for (; m && word <= last; word++)
			mark_dirty(c, m, word, word_mask(index % BITS_PER_LONG, order));
		return;
	}
	if (!m || UM_BROKEN(UM_BREAK_DIRTY))
		return;
	for (; word <= last; word++) {
		dirty = dirty_of(m, word, index, order);
		if (!dirty)
			continue;
		zero_pages(c, b, word, dirty);
		atomic_long_fetch_andnot((long)dirty, &m->dirty[word]);
	}
}

/*
 * Zero what a client is done with, but for pages that may stay dirty.
 * Return: whether any of it did.
 */
static bool clean(struct cache *c, struct block *b, unsigned int index,
		  unsigned int order)
{
	struct block_masks *m = block_masks(b);
	unsigned int word = index / BITS_PER_LONG;
	unsigned int last = last_word(index, order);
	unsigned long mask = word_mask(index % BITS_PER_LONG, order);
	unsigned long dirty = 0;
	unsigned int i;

	if (!c->zero)
		return false;
	for (i = word; m && i <= last; i++)
		dirty |= dirty_of(m, i, index, order);
	if (UM_BROKEN(UM_BREAK_CLEAN))
		return dirty;
	if (!dirty) {
		c->zero(c->host, block_pfn(b) + index, order);
		return false;
	}
	for (i = word; i <= last; i++)
		zero_pages(c, b, i, mask & ~dirty_of(m, i, index, order));
	return true;
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
	else if (!listed_right(b, nr_free))
		cache_update(c, b);
}

/* The same from the lists.  Return: whether there is more to try. */
static bool take_listed_half(struct cache *c, bool avoid_dirty, struct block **from,
			     unsigned int *half, u32 *pages)
{
	struct shard *s = best_shard(c, 0);
	bool more = s && !avoid_dirty; /* else perhaps all of it is dirty */
	unsigned long flags;
	struct block *b;

	*pages = 0;
	if (!s)
		return false;
	spin_lock_irqsave(&s->lock, flags);
	b = pick(s, 0);
	if (b && misplaced(b)) {
		cache_update_locked(c, b);
		more = true;
	} else if (b) {
		*pages = block_take_half(b, avoid_dirty, half);
		if (*pages)
			take_off(c, b);
		else if (more)
			cache_update_locked(c, b);
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
		mark_dirty(c, masks, half / 2,
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
		s = best_shard(c, o);
		if (!s)
			break;
		spin_lock_irqsave(&s->lock, flags);
		b = pick(s, o);
		if (b && misplaced(b)) {
			cache_update_locked(c, b);
		} else if (b) {
			id = READ_ONCE(b->list_id);
			index = block_alloc(b, order, avoid_dirty);
			if (index >= 0 && to_activate)
				take_off(c, b);
			else if (index >= 0 && order == BLOCK_ORDER)
				cache_unlist(c, b); /* all of it is the caller's */
			else
				cache_update_locked(c, b);
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
		sweep(c, order);
		index = claim(c, order, avoid_dirty, &b);
	}
	if (index < 0 && avoid_dirty)
		index = claim(c, order, false, &b);
	if (index < 0 && flags & UM_NOWAIT)
		index = claim_active(c, order, &b);
	if (index < 0)
		return -ENOMEM;
	cache_prepare(c, b, (unsigned int)index, order, flags);
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
		clean(c, b, index, order);
		return 0; /* its pages go nowhere any more */
	}
	if (unlikely(!in_use(b, index, order)))
		return refuse(c, b, "a page was freed that is not in use");
	if (!order) {
		if (unlikely(in_magazine(c, pfn)))
			return refuse(c, b, "a page was freed that is in a magazine");
		if (unlikely(clean(c, b, index, 0))) {
			if (magazine_push(c, DIRTY, pfn))
				return 0;
		} else {
			if (!magazine_push(c, CLEAN, pfn) &&
			    !magazine_push(c, FREED, pfn))
				gather(c, pfn);
			return 0;
		}
	} else {
		clean(c, b, index, order);
	}

	nr_free = block_free(b, index, order);
	if (unlikely(nr_free < 0))
		return refuse(c, b, "a page was freed twice");
	if (!listed_right(b, nr_free))
		cache_update(c, b);
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
