// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Giving free memory back to the system.
 *
 * Whole blocks first, longest idle first, from the region with the fewest of
 * them: claimed whole, zeroed where dirty, mapped, forgotten, and only then
 * given back.  Present again needs no flush.  When that is not enough, the
 * magazines are drained, and then blocks that are owned in part give up what is
 * free of them; the entries of such a block are healed when none of it is left.
 *
 * Regions whose 1 GiB entry we split are healed when they have no block left.
 * One that is absent by one entry goes back in one step when all of it is idle;
 * by pressure on a part of it, that entry is split.
 */
#include "allocator.h"
#include "lists.h"

/* How many of the idle blocks are looked at to find the emptiest region. */
#define LOOK_AT 64U

static void zero_dirty(struct cache *c, struct block *b, const unsigned long *bits)
{
	struct allocator *a = c->allocator;
	struct block_masks *m = block_masks(b);
	unsigned int word, bit;
	unsigned long dirty;

	for (word = 0; m && word < BLOCK_WORDS; word++) {
		dirty = (unsigned long)atomic_long_read(&m->dirty[word]);
		if (bits)
			dirty &= bits[word];
		atomic_long_fetch_andnot((long)dirty, &m->dirty[word]);
		for (; dirty; dirty &= dirty - 1) {
			bit = __ffs(dirty);
			if (a->ops->zero && !UM_BROKEN(UM_BREAK_DIRTY))
				a->ops->zero(a->host,
					     block_pfn(b) + word * BITS_PER_LONG + bit,
					     0);
		}
	}
}

/* The block is no longer ours; lock held. */
static void forget(struct cache *c, struct block *b)
{
	struct region *r = table_region(&c->allocator->table, block_pfn(b));

	lists_unlist(c, b);
	if (b->flags & BLOCK_FALLBACK)
		atomic_long_add(-1, &c->nr_fallback);
	block_set_flags(b, 0, ~BLOCK_SPLIT);
	if (b->flags & BLOCK_SPLIT)
		atomic_long_add(1, &c->nr_unhealed);
	b->nr_owned = 0;
	atomic_add(-1, &r->nr_blocks);
}

void cache_heal(struct cache *c, struct block *b)
{
	struct allocator *a = c->allocator;
	struct shard *s = cache_shard(c, b);
	unsigned long flags;
	bool first;

	if (UM_BROKEN(UM_BREAK_HEAL) || !(b->flags & BLOCK_SPLIT) ||
	    b->flags & BLOCK_LIVE || a->ops->heal(a->host, block_pfn(b)))
		return;
	spin_lock_irqsave(&s->lock, flags);
	first = b->flags & BLOCK_SPLIT; /* two may have healed it */
	if (first) {
		block_set_flags(b, 0, BLOCK_SPLIT);
		atomic_long_add(-1, &c->nr_unhealed);
	}
	spin_unlock_irqrestore(&s->lock, flags);
	cache_count(c, STAT_HEALS_2M, first);
	if (first)
		um_trace_heal(block_pfn(b), BLOCK_ORDER);
}

/* --- whole blocks -------------------------------------------------------- */

/* If all of it is ours and free, and not about to be healed; on no list then. */
static bool claim_whole(struct cache *c, struct block *b)
{
	const unsigned int state = BLOCK_LIVE | BLOCK_FALLBACK | BLOCK_QUARANTINED;
	struct shard *s = cache_shard(c, b);
	unsigned long flags;
	bool claimed;

	spin_lock_irqsave(&s->lock, flags);
	claimed = (b->flags & state) == BLOCK_LIVE && block_take_whole(b);
	if (claimed)
		lists_unlist(c, b);
	else
		lists_update_locked(c, b);
	spin_unlock_irqrestore(&s->lock, flags);
	return claimed;
}

/* Of one shard: the block idle longest in the region with the fewest. */
static struct block *find_idle(struct cache *c, struct shard *s, int *least)
{
	struct block *b, *best = NULL;
	unsigned int looked = 0;
	unsigned long flags;
	int n;

	spin_lock_irqsave(&s->lock, flags);
	list_for_each_entry(b, &s->lists[LIST_WHOLE], list) {
		/* Just complete: a refill under way is about to heal it. */
		if (b->flags & BLOCK_FALLBACK)
			continue;
		n = atomic_read(
			&table_region(&c->allocator->table, block_pfn(b))->nr_blocks);
		if (n < *least) {
			best = b;
			*least = n;
		}
		if (++looked == LOOK_AT)
			break;
	}
	spin_unlock_irqrestore(&s->lock, flags);
	return best;
}

static struct block *claim_idle(struct cache *c)
{
	struct block *b, *best;
	struct shard *s;
	int least;

	do {
		best = NULL;
		least = REGION_BLOCKS + 1;
		for (s = c->shards; s < c->shards + NR_SHARDS; s++) {
			b = find_idle(c, s, &least);
			best = b ? b : best;
		}
	} while (best && !claim_whole(c, best)); /* somebody was faster */
	return best;
}

/*
 * Page owner and the like account for what was allocated by one call, so pages that
 * came one by one go one by one.
 */
static void put_blocks(struct cache *c, unsigned long pfn, unsigned int order,
		       bool assembled)
{
	unsigned long end = pfn + (1UL << order);

	order = assembled ? 0 : order;
	for (; pfn < end; pfn += 1UL << order)
		cache_put(c, pfn, order);
}

/* 2^@order pages, made present, are the system's again. */
static void release(struct cache *c, struct block *b, unsigned int order)
{
	unsigned int i, nr = 1U << (order - BLOCK_ORDER);
	unsigned long flags, pfn = block_pfn(b);
	bool assembled = false;
	struct shard *s;

	for (i = 0; i < nr; i++) {
		s = cache_shard(c, &b[i]);
		spin_lock_irqsave(&s->lock, flags);
		assembled |= b[i].flags & BLOCK_ASSEMBLED;
		forget(c, &b[i]);
		spin_unlock_irqrestore(&s->lock, flags);
		cache_heal(c, &b[i]);
	}
	put_blocks(c, pfn, order, assembled);
	cache_count(c, STAT_PAGES_OWNED, -(1L << order));
	cache_count(c, STAT_BLOCKS_RELEASED, nr);
	cache_count(c, STAT_PAGES_RELEASED, 1L << order);
}

/*
 * The region of block @b, which is claimed, if it is absent by one entry and all
 * of it is idle: to release only part of it would split that entry.
 */
static bool release_by_one_entry(struct cache *c, struct block *b)
{
	struct allocator *a = c->allocator;
	struct region *r = table_region(&a->table, block_pfn(b));
	struct block *first = r->blocks;
	unsigned int i;

	if (!atomic_read(&r->one_entry) || !cache_claim_run(c, first, REGION_BLOCKS, b))
		return false;
	for (i = 0; i < REGION_BLOCKS; i++)
		zero_dirty(c, &first[i], NULL);
	if (!UM_BROKEN(UM_BREAK_PRESENT) &&
	    a->ops->map(a->host, block_pfn(first), REGION_ORDER)) {
		cache_free_run(c, first, REGION_BLOCKS, b);
		return false;
	}
	atomic_set(&r->one_entry, 0);
	release(c, first, REGION_ORDER);
	return true;
}

/* A block that was claimed whole and is on no list. */
static void release_claimed(struct cache *c, struct block *b)
{
	struct allocator *a = c->allocator;
	struct region *r;
	int ret = 0;

	if (release_by_one_entry(c, b))
		return;
	zero_dirty(c, b, NULL);
	if (!UM_BROKEN(UM_BREAK_PRESENT))
		ret = a->ops->map(a->host, block_pfn(b), BLOCK_ORDER);
	if (ret < 0) {
		cache_quarantine(c, b, "its pages can't be mapped");
		return;
	}
	if (ret & UM_SPLIT_1G) {
		r = table_region(&a->table, block_pfn(b));
		atomic_set(&r->split, 1);
		atomic_set(&r->one_entry, 0);
		cache_count(c, STAT_SPLITS_1G, 1);
		um_trace_split(block_pfn(b), REGION_ORDER);
	}
	release(c, b, BLOCK_ORDER);
}

static bool release_whole(struct cache *c)
{
	struct block *b = claim_idle(c);

	if (b)
		release_claimed(c, b); /* if it fails, the next may do better */
	return b;
}

static unsigned long release_wholes(struct cache *c, unsigned long nr)
{
	unsigned long before =
		(unsigned long)atomic_long_read(&c->stats[STAT_PAGES_RELEASED]);
	unsigned long done = 0;

	while (done < nr && release_whole(c)) {
		done = (unsigned long)atomic_long_read(&c->stats[STAT_PAGES_RELEASED]) -
		       before;
		cond_resched();
	}
	return done;
}

/* --- pieces -------------------------------------------------------------- */

/* What is free of a block that is owned in part; refill_lock held. */
static unsigned long release_pieces(struct cache *c, struct block *b)
{
	const struct um_host_ops *ops = c->allocator->ops;
	void *host = c->allocator->host;
	struct shard *s = cache_shard(c, b);
	unsigned long bits[BLOCK_WORDS], rest, flags;
	unsigned long done = 0;
	unsigned int word, i;
	bool broken = false;

	if (!block_take_all(b, bits))
		return 0;
	zero_dirty(c, b, bits);
	for (word = 0; word < BLOCK_WORDS; word++) {
		for (rest = bits[word]; rest; rest &= rest - 1) {
			i = word * BITS_PER_LONG + __ffs(rest);
			if (ops->map(host, block_pfn(b) + i, 0)) {
				broken = true;
				bits[word] &= ~(1UL << i % BITS_PER_LONG);
			}
		}
		done += hweight_long(bits[word]);
	}

	spin_lock_irqsave(&s->lock, flags);
	for (word = 0; word < BLOCK_WORDS; word++)
		WRITE_ONCE(b->masks->owned[word], b->masks->owned[word] & ~bits[word]);
	b->nr_owned = (u16)(b->nr_owned - done);
	if (b->nr_owned)
		lists_update_locked(c, b);
	else
		forget(c, b);
	spin_unlock_irqrestore(&s->lock, flags);
	if (broken)
		cache_quarantine(c, b, "its pages can't be mapped");

	for (word = 0; word < BLOCK_WORDS; word++)
		for (; bits[word]; bits[word] &= bits[word] - 1)
			cache_put(c,
				  block_pfn(b) + word * BITS_PER_LONG + __ffs(bits[word]),
				  0);
	cache_heal(c, b);
	cache_count(c, STAT_PAGES_OWNED, -(long)done);
	cache_count(c, STAT_PAGES_RELEASED, (long)done);
	return done;
}

static bool any_odd(const struct region *reg)
{
	unsigned int i;

	for (i = 0; i < REGION_BLOCKS; i++)
		if (READ_ONCE(reg->blocks[i].flags) & (BLOCK_FALLBACK | BLOCK_SPLIT))
			return true;
	return false;
}

/* Blocks of any node count, and another one's refill may bring more at any time. */
static void still_odd(struct region *reg)
{
	if (any_odd(reg))
		return;
	atomic_xchg(&reg->odd, 0);
	if (any_odd(reg))
		atomic_xchg(&reg->odd, 1);
}

/* Over all blocks of this node that need one more look. */
static unsigned long release_rest(struct cache *c, unsigned long nr)
{
	struct table *t = &c->allocator->table;
	unsigned long done = 0, r;
	struct region *reg;
	struct block *b;
	unsigned int i;

	table_for_each_odd_region(t, r, reg) {
		for (i = 0; i < REGION_BLOCKS; i++) {
			b = &reg->blocks[i];
			if ((int)b->nid != c->nid)
				continue;
			if (b->flags & BLOCK_FALLBACK &&
			    !(b->flags & BLOCK_QUARANTINED) && done < nr)
				done += release_pieces(c, b);
			if (!(b->flags & BLOCK_LIVE))
				cache_heal(c, b);
		}
		still_odd(reg);
		cond_resched();
	}
	return done;
}

static void heal_regions(struct cache *c)
{
	struct allocator *a = c->allocator;
	struct region *reg;
	unsigned long r;

	for (r = 0; r < table_nr_regions(&a->table); r++) {
		reg = table_region_nr(&a->table, r);
		if (UM_BROKEN(UM_BREAK_HEAL) || !reg || !atomic_read(&reg->split) ||
		    atomic_read(&reg->nr_blocks))
			continue;
		/* First: another node's refill may split it again at any time. */
		atomic_set(&reg->split, 0);
		if (a->ops->heal_region(a->host, r << REGION_ORDER)) {
			atomic_set(&reg->split, 1);
			continue;
		}
		cache_count(c, STAT_HEALS_1G, 1);
		um_trace_heal(r << REGION_ORDER, REGION_ORDER);
	}
}

unsigned long cache_shrink(struct cache *c, unsigned long nr, unsigned int flags)
{
	struct allocator *a = c->allocator;
	unsigned long done;
	bool locked = true;

	might_sleep();
	done = release_wholes(c, nr);
	if (done < nr) {
		a->ops->drain(a->host, a);
		done += release_wholes(c, nr - done);
	}
	if (flags & UM_TRY)
		locked = mutex_trylock(&c->refill_lock);
	else
		mutex_lock(&c->refill_lock);
	if (locked) {
		if ((done < nr && atomic_long_read(&c->nr_fallback)) ||
		    atomic_long_read(&c->nr_unhealed))
			done += release_rest(c, nr - min(done, nr));
		heal_regions(c);
		mutex_unlock(&c->refill_lock);
	}
	um_trace_shrink(c->nid, nr, done);
	return done;
}

unsigned long cache_release_pieces(struct cache *c)
{
	struct allocator *a = c->allocator;
	unsigned long done;

	might_sleep();
	a->ops->drain(a->host, a);
	mutex_lock(&c->refill_lock);
	done = release_rest(c, ~0UL);
	heal_regions(c);
	mutex_unlock(&c->refill_lock);
	um_trace_shrink(c->nid, done, done);
	return done;
}

/* --- by address ---------------------------------------------------------- */

/* Whatever is free of a block; refill_lock held.  Return: pages still owned. */
static unsigned long release_free(struct cache *c, struct block *b)
{
	const unsigned int state = BLOCK_LIVE | BLOCK_FALLBACK | BLOCK_QUARANTINED;
	struct shard *s = cache_shard(c, b);
	unsigned long flags, owned = 0;

	if ((READ_ONCE(b->flags) & state) == (BLOCK_LIVE | BLOCK_FALLBACK))
		release_pieces(c, b);
	if (claim_whole(c, b))
		release_claimed(c, b);

	spin_lock_irqsave(&s->lock, flags);
	if (b->flags & BLOCK_LIVE)
		owned = b->nr_owned;
	spin_unlock_irqrestore(&s->lock, flags);
	return owned;
}

unsigned long cache_release_range(struct cache *c, unsigned long start, unsigned long end)
{
	unsigned long pfn, owned = 0;
	struct block *b;

	might_sleep();
	mutex_lock(&c->refill_lock);
	for (pfn = start & ~(BLOCK_PAGES - 1UL); pfn < end; pfn += BLOCK_PAGES) {
		b = table_lookup(&c->allocator->table, pfn);
		/* The node was set before the flag. */
		if (b && smp_load_acquire(&b->flags) & BLOCK_LIVE &&
		    (int)READ_ONCE(b->nid) == c->nid)
			owned += release_free(c, b);
		cond_resched();
	}
	heal_regions(c);
	mutex_unlock(&c->refill_lock);
	return owned;
}

void cache_forget_range(struct cache *c, unsigned long start, unsigned long end)
{
	unsigned long pfn, flags;
	struct block *b;
	struct shard *s;

	might_sleep();
	mutex_lock(&c->refill_lock);
	for (pfn = start & ~(BLOCK_PAGES - 1UL); pfn < end; pfn += BLOCK_PAGES) {
		b = table_lookup(&c->allocator->table, pfn);
		if (!b || (int)READ_ONCE(b->nid) != c->nid)
			continue;
		s = cache_shard(c, b);
		spin_lock_irqsave(&s->lock, flags);
		if ((b->flags & (BLOCK_LIVE | BLOCK_SPLIT)) == BLOCK_SPLIT) {
			block_set_flags(b, 0, BLOCK_SPLIT);
			atomic_long_add(-1, &c->nr_unhealed);
		}
		spin_unlock_irqrestore(&s->lock, flags);
	}
	mutex_unlock(&c->refill_lock);
}

/* The block a CPU is on, of which nothing is in use: a shrink drains the CPU. */
static bool whole_but_for_cpu(const struct cache_cpu *on)
{
	const struct block *b = READ_ONCE(on->active);
	unsigned int kind, free;
	u64 m;

	if (!b || READ_ONCE(b->flags) & (BLOCK_FALLBACK | BLOCK_QUARANTINED))
		return false;
	free = (unsigned int)max(atomic_read(&b->nr_free), 0);
	for (kind = 0; kind < NR_KINDS; kind++) {
		m = READ_ONCE(on->magazine[kind]);
		if (magazine_pfn(m) / BLOCK_PAGES == block_pfn(b) / BLOCK_PAGES)
			free += (unsigned int)hweight32(magazine_pages(m));
	}
	return free == BLOCK_PAGES;
}

unsigned long cache_free_in_pieces(struct cache *c)
{
	struct table *t = &c->allocator->table;
	unsigned long r, pages = 0;
	struct region *reg;
	struct block *b;

	if (!atomic_long_read(&c->nr_fallback))
		return 0;
	table_for_each_odd_region(t, r, reg) {
		for (b = reg->blocks; b < reg->blocks + REGION_BLOCKS; b++)
			if ((int)b->nid == c->nid &&
			    (b->flags & (BLOCK_FALLBACK | BLOCK_QUARANTINED)) ==
				    BLOCK_FALLBACK)
				pages += (unsigned long)max(atomic_read(&b->nr_free), 0);
	}
	return pages;
}

unsigned long cache_shrinkable(struct cache *c)
{
	unsigned long pages = cache_nr_whole(c, ~0UL) * BLOCK_PAGES;
	unsigned int cpu;

	for_each_possible_cpu(cpu)
		if (whole_but_for_cpu(per_cpu_ptr(c->cpu, cpu)))
			pages += BLOCK_PAGES;
	return pages + cache_free_in_pieces(c);
}
