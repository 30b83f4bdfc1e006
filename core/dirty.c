// SPDX-License-Identifier: GPL-2.0 OR MIT
/* See dirty.h. */
#include "dirty.h"

/* What of a range is dirty in one word of its block. */
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

void dirty_prepare(struct cache *c, struct block *b, unsigned int index,
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
			dirty_mark(c, m, word, word_mask(index % BITS_PER_LONG, order));
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

bool dirty_clean(struct cache *c, struct block *b, unsigned int index, unsigned int order)
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
