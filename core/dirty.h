/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * What is in a page: all that is free reads as zero, but for pages that a client
 * had who does not care, and which stay dirty until one comes who does.
 */
#ifndef UM_DIRTY_H
#define UM_DIRTY_H

#include "cache.h"

/* Pages of this word are in the hands of a client that does not care. */
static inline void dirty_mark(struct cache *c, struct block_masks *m, unsigned int word,
			      unsigned long pages)
{
	if (!READ_ONCE(c->any_dirty))
		WRITE_ONCE(c->any_dirty, true);
	if (~(unsigned long)atomic_long_read(&m->dirty[word]) & pages)
		atomic_long_fetch_or((long)pages, &m->dirty[word]);
}

/*
 * What the client asked for becomes true of pages just claimed: zero, or in
 * the hands of a client that does not care.  Any context.
 */
void dirty_prepare(struct cache *c, struct block *b, unsigned int index,
		   unsigned int order, unsigned int flags);

/*
 * Zero what a client is done with, but for pages that may stay dirty.
 * Return: whether any of it did.  Any context.
 */
bool dirty_clean(struct cache *c, struct block *b, unsigned int index,
		 unsigned int order);

#endif /* UM_DIRTY_H */
