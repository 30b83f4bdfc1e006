// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Taking memory from the system into a cache: several blocks, one flush.
 *
 *	get -> unmap -> (all of the batch) -> flush -> publish
 *
 * Nothing is published before the flush.  What can't be unmapped goes back at the
 * end, so that the system does not offer it again meanwhile.  When the system has
 * no whole block, pieces of the highest order that it has are taken instead: their
 * block is then owned in part, and is healed when all of it has become ours.
 *
 * The first block taken of a region splits its 1 GiB entry.  So when the system
 * offers one of a region that is not broken yet, one that is free in a broken
 * region is taken instead, if it is soon found: all that is taken one after the
 * other fills one region before it breaks the next.
 *
 * A batch doubles with each refill that follows soon after the last.  From then
 * on a low mark has the next one made before the cache is empty (policy.c).
 */
#include "allocator.h"
#include "lists.h"

/* Stop taking pieces when this many pages have come together. */
#define PIECES_ENOUGH 64U
/* And anything at all when so many could not be unmapped. */
#define BAD_ENOUGH 4U
/* In how many broken regions a refill looks for blocks in vain. */
#define LOOK_IN 8U

/* Where a piece is recorded; -ENOMEM when there is no memory for that. */
static int make_room(struct cache *c, struct piece *p)
{
	p->b = table_get(&c->allocator->table, p->pfn);
	if (!p->b)
		return -ENOMEM;
	if (p->order < BLOCK_ORDER && !block_get_masks(p->b, GFP_METADATA))
		return -ENOMEM;
	return 0;
}

static int unmap(struct cache *c, const struct piece *p)
{
	const struct um_host_ops *ops = c->allocator->ops;
	void *host = c->allocator->host;
	unsigned int i;
	int ret, bits = 0;

	if (UM_BROKEN(UM_BREAK_ABSENT))
		return 0;
	if (!UM_BROKEN(UM_BREAK_WHOLE))
		return ops->unmap(host, p->pfn, p->order);
	for (i = 0; i < 1U << p->order; i++) {
		ret = ops->unmap(host, p->pfn + i, 0);
		if (ret < 0)
			return ret;
		bits |= ret;
	}
	return bits;
}

void cache_unmap(struct cache *c, struct piece *p)
{
	p->split = make_room(c, p);
	if (!p->split)
		p->split = unmap(c, p);
}

/*
 * Blocks of a region that is broken already, from where the last ones were on,
 * 2^@order pages of them at most.
 */
static int get_in_broken(struct cache *c, struct piece *p, unsigned int order)
{
	const struct um_host_ops *ops = c->allocator->ops;
	const struct table *t = &c->allocator->table;
	void *host = c->allocator->host;
	unsigned long r, n, nr = table_nr_regions(t);

	for (n = 0; n <= nr && c->look_in; n++) {
		r = c->look_at >> REGION_ORDER;
		if (r >= nr)
			r = c->look_at = 0;
		if (!ops->unbroken(host, c->look_at) &&
		    table_nr_blocks(t, r) < REGION_BLOCKS) {
			p->order = order;
			p->pfn = c->look_at;
			if (!cache_get_near(c, &p->order, &p->pfn)) {
				c->look_at = p->pfn + (1UL << p->order);
				return 0;
			}
			c->look_in--;
		}
		c->look_at = (r + 1) << REGION_ORDER;
	}
	return -ENOMEM;
}

/*
 * A block, or up to 2^@order pages of a better place: once the system has offered
 * a block that would break a region, look for such first, as long as there are.
 */
static int get_blocks(struct cache *c, struct piece *p, unsigned int order,
		      unsigned int flags)
{
	const struct um_host_ops *ops = c->allocator->ops;
	void *host = c->allocator->host;
	unsigned long offered;
	int err;

	if (c->look_first && !get_in_broken(c, p, order))
		return 0;
	c->look_first = false;
	err = cache_get(c, BLOCK_ORDER, flags, &offered);
	if (err)
		return err;
	if (c->look_in && ops->unbroken(host, offered)) {
		c->look_first = !get_in_broken(c, p, order);
		if (c->look_first) {
			cache_put(c, offered, BLOCK_ORDER);
			return 0;
		}
		c->look_at = offered; /* the region that is broken now */
	}
	p->pfn = offered;
	p->order = BLOCK_ORDER;
	return 0;
}

/*
 * Take one piece: at most @pages in whole blocks, or if *order is less the
 * largest there is down to @least.
 */
static int get(struct cache *c, struct piece *p, unsigned int *order, unsigned int least,
	       unsigned int pages, unsigned int flags)
{
	unsigned int most = BLOCK_ORDER;
	int err;

	while (2U << most <= pages)
		most++;
	for (;; --*order) {
		p->order = *order;
		err = *order == BLOCK_ORDER ? get_blocks(c, p, most, flags)
					    : cache_get(c, *order, flags, &p->pfn);
		if (!err || *order == least)
			break;
	}
	if (err)
		return err;
	cache_unmap(c, p);
	return 0;
}

/*
 * Fill an array with pieces of at most @order, at least of order @least, until
 * there are @enough pages.  Return: how many pieces, with those that could not
 * be unmapped.
 */
static unsigned int gather(struct cache *c, struct piece *taken, unsigned int order,
			   unsigned int least, unsigned int enough)
{
	unsigned int nr = 0, bad = 0, pages = 0;

	c->look_in = LOOK_IN;
	while (nr < REFILL_MAX && pages < enough && bad < BAD_ENOUGH &&
	       !get(c, &taken[nr], &order, least, enough - pages, pages ? UM_TRY : 0)) {
		if (taken[nr].split < 0)
			bad++;
		else
			pages += 1U << taken[nr].order;
		nr++;
	}
	return nr;
}

static void own(struct block *b, const struct piece *p)
{
	unsigned int index = p->pfn % BLOCK_PAGES;
	unsigned int i, word = index / BITS_PER_LONG;
	unsigned int words = p->order > WORD_ORDER ? 1U << (p->order - WORD_ORDER) : 1;
	unsigned long mask = word_mask(index % BITS_PER_LONG, p->order);

	for (i = word; i < word + words; i++)
		WRITE_ONCE(b->masks->owned[i], b->masks->owned[i] | mask);
}

/* The pages of a piece are ours, and in nobody's hands yet; lock held. */
static void take_over(struct cache *c, struct block *b, const struct piece *p)
{
	struct region *r = table_region(&c->allocator->table, p->pfn);
	unsigned int pieces = p->order < BLOCK_ORDER ? BLOCK_FALLBACK : 0;
	unsigned int i;

	if (!(b->flags & BLOCK_LIVE)) {
		if (b->flags & BLOCK_SPLIT)
			atomic_long_add(-1, &c->nr_unhealed);
		atomic_inc(&r->nr_blocks);
		WRITE_ONCE(b->nid, (u16)c->nid);
		b->nr_owned = 0;
		for (i = 0; b->masks && i < BLOCK_WORDS; i++)
			WRITE_ONCE(b->masks->owned[i], pieces ? 0 : ~0UL);
		/* At once: who asks whose a page is takes no lock. */
		block_set_flags(b, BLOCK_LIVE | pieces,
				BLOCK_FALLBACK | BLOCK_QUARANTINED);
		atomic_long_add(!!pieces, &c->nr_fallback);
	}
	if (pieces)
		own(b, p);
	b->nr_owned = (u16)(b->nr_owned + (1U << min(p->order, BLOCK_ORDER)));
	if (p->split & UM_SPLIT_2M)
		block_set_flags(b, BLOCK_SPLIT, 0);
	/* After the flags: see still_odd(). */
	if (b->flags & (BLOCK_FALLBACK | BLOCK_SPLIT))
		atomic_xchg(&r->odd, 1);
	if (p->split & UM_SPLIT_1G)
		atomic_set(&r->split, 1);
	if (p->split & UM_ONE_ENTRY)
		atomic_set(&r->one_entry, 1);
}

static void count_taken(struct cache *c, const struct piece *p)
{
	cache_count(c, STAT_PAGES_OWNED, 1L << p->order);
	if (p->order < BLOCK_ORDER)
		cache_count(c, STAT_PIECES_TAKEN, 1);
	else
		cache_count(c, STAT_BLOCKS_TAKEN, 1L << (p->order - BLOCK_ORDER));
	cache_count(c, STAT_SPLITS_2M, !!(p->split & UM_SPLIT_2M));
	cache_count(c, STAT_SPLITS_1G, !!(p->split & UM_SPLIT_1G));
	if (p->split & UM_SPLIT_1G)
		um_trace_split(p->pfn, REGION_ORDER);
	if (p->split & UM_SPLIT_2M)
		um_trace_split(p->pfn, BLOCK_ORDER);
}

/* From here on the pages of a piece can be allocated. */
static void publish(struct cache *c, const struct piece *p)
{
	unsigned int order = min(p->order, BLOCK_ORDER);
	unsigned int nr = 1U << (p->order - order);
	unsigned long flags;
	struct shard *s;
	struct block *b;
	int nr_free;

	/* What an allocator that keeps its lists in the pages would do. */
	if (UM_BROKEN(UM_BREAK_METADATA))
		WRITE_ONCE(*(unsigned long *)um_page_address(p->pfn), p->pfn);

	for (b = p->b; b < p->b + nr; b++) {
		s = cache_shard(c, b);
		spin_lock_irqsave(&s->lock, flags);
		take_over(c, b, p);
		nr_free = block_free(b, p->pfn % BLOCK_PAGES, order);
		lists_update_locked(c, b);
		spin_unlock_irqrestore(&s->lock, flags);
		if (nr_free < 0)
			cache_quarantine(c, b, "a page that was taken is free already");
	}
	count_taken(c, p);
}

/*
 * When all 512 pages have become ours, one absent entry serves for them.  Until
 * the block's mark is gone nobody else releases it: blocks owned in part are
 * released under refill_lock.
 */
static void owned_wholly(struct cache *c, struct block *b)
{
	const struct um_host_ops *ops = c->allocator->ops;
	struct shard *s = cache_shard(c, b);
	bool wholly, split, healed;
	unsigned long flags;

	spin_lock_irqsave(&s->lock, flags);
	wholly = b->flags & BLOCK_FALLBACK && b->nr_owned == BLOCK_PAGES;
	split = b->flags & BLOCK_SPLIT;
	spin_unlock_irqrestore(&s->lock, flags);
	if (!wholly)
		return;
	healed = split && !UM_BROKEN(UM_BREAK_HEAL) &&
		 !ops->heal(c->allocator->host, block_pfn(b));

	spin_lock_irqsave(&s->lock, flags);
	block_set_flags(b, BLOCK_ASSEMBLED, BLOCK_FALLBACK | (healed ? BLOCK_SPLIT : 0));
	spin_unlock_irqrestore(&s->lock, flags);
	atomic_long_add(-1, &c->nr_fallback);
	cache_count(c, STAT_HEALS_2M, healed);
	if (healed)
		um_trace_heal(block_pfn(b), BLOCK_ORDER);
}

unsigned int cache_take(struct cache *c, const struct piece *taken, unsigned int nr)
{
	const struct um_host_ops *ops = c->allocator->ops;
	unsigned int good = 0, i;

	for (i = 0; i < nr; i++)
		good += taken[i].split >= 0;
	if (good && !UM_BROKEN(UM_BREAK_FLUSH))
		ops->flush(c->allocator->host);
	for (i = 0; i < nr; i++) {
		if (taken[i].split >= 0) {
			/* Split by us some time ago, and ours again in one piece. */
			if (taken[i].order == BLOCK_ORDER)
				cache_heal(c, taken[i].b);
			publish(c, &taken[i]);
			continue;
		}
		if (!UM_BROKEN(UM_BREAK_TRACE))
			cache_put(c, taken[i].pfn, taken[i].order);
	}
	for (i = 0; i < nr; i++)
		if (taken[i].split >= 0 && taken[i].order < BLOCK_ORDER)
			owned_wholly(c, taken[i].b);
	if (good) {
		cache_count(c, STAT_FLUSHES, 1);
		cache_count(c, STAT_REFILLS, 1);
		WRITE_ONCE(c->refills, c->refills + 1);
	}
	return good;
}

/* How much to take now, in blocks. */
static unsigned int next_batch(struct cache *c, unsigned long want)
{
	u64 now = c->allocator->ops->now(c->allocator->host);
	u64 idle = (now - c->last_refill) / BATCH_DECAY;
	unsigned int most = READ_ONCE(c->allocator->batch_limit);
	unsigned int blocks = (unsigned int)min((want + BLOCK_PAGES - 1) / BLOCK_PAGES,
						(unsigned long)most);
	unsigned int batch = c->batch;

	batch = idle < 6 ? min(max(batch >> idle, 1U), most) : 1;
	c->batch = min(batch * 2, most);
	/* Refill ahead only for those who come again and again. */
	WRITE_ONCE(c->low, idle ? 0 : batch / 4);
	return max(blocks, batch);
}

int cache_refill(struct cache *c, unsigned int order, unsigned long want,
		 unsigned long seen)
{
	struct piece taken[REFILL_MAX];
	const struct um_host_ops *ops = c->allocator->ops;
	void *host = c->allocator->host;
	unsigned int nr, blocks = 0, pieces = 0, i;
	int err = -ENOMEM;

	might_sleep();
	mutex_lock(&c->refill_lock);
	if (c->refills != seen) {
		mutex_unlock(&c->refill_lock);
		return 0;
	}

	nr = gather(c, taken, BLOCK_ORDER, BLOCK_ORDER,
		    next_batch(c, want) * BLOCK_PAGES);
	/* Nothing whole to be had: pieces, the largest that there are. */
	if (!nr && order < BLOCK_ORDER) {
		nr = gather(c, taken, BLOCK_ORDER - 1, order, PIECES_ENOUGH);
		um_trace_fallback(c->nid, order, nr ? taken[0].order : 0, nr);
	}

	for (i = 0; i < nr; i++) {
		if (taken[i].split < 0)
			err = taken[i].split;
		else if (taken[i].order < BLOCK_ORDER)
			pieces++;
		else
			blocks += 1U << (taken[i].order - BLOCK_ORDER);
	}
	if (cache_take(c, taken, nr)) {
		c->last_refill = ops->now(host);
		err = 0;
	} else {
		WRITE_ONCE(c->retry_after, ops->now(host) + REFILL_BACKOFF);
	}
	mutex_unlock(&c->refill_lock);
	um_trace_refill(c->nid, order, want, blocks, pieces, err);
	return err;
}

int cache_take_run(struct cache *c, unsigned int order, unsigned long *pfn)
{
	const struct um_host_ops *ops = c->allocator->ops;
	void *host = c->allocator->host;
	struct piece p = { .order = order };
	unsigned long flags;
	struct shard *s;
	unsigned int i;
	int err;

	might_sleep();
	/* Without the lock: others need not wait until memory has been moved. */
	err = cache_get(c, order, 0, &p.pfn);
	if (err)
		return err;

	mutex_lock(&c->refill_lock);
	cache_unmap(c, &p);
	if (p.split >= 0) {
		if (!UM_BROKEN(UM_BREAK_FLUSH))
			ops->flush(host);
		for (i = 0; i < 1U << (order - BLOCK_ORDER); i++) {
			s = cache_shard(c, &p.b[i]);
			spin_lock_irqsave(&s->lock, flags);
			take_over(c, &p.b[i], &p);
			spin_unlock_irqrestore(&s->lock, flags);
		}
		count_taken(c, &p);
		cache_count(c, STAT_FLUSHES, 1);
		cache_count(c, STAT_REFILLS, 1);
		*pfn = p.pfn;
	}
	mutex_unlock(&c->refill_lock);
	um_trace_refill(c->nid, order, 1UL << order,
			p.split < 0 ? 0 : 1U << (order - BLOCK_ORDER), 0,
			min(p.split, 0));
	if (p.split < 0 && !UM_BROKEN(UM_BREAK_TRACE))
		cache_put(c, p.pfn, order);
	return min(p.split, 0);
}
