/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Pages that come without having been asked for; see adopt.c. */
#ifndef UM_ADOPT_H
#define UM_ADOPT_H

#include "allocator.h"

/**
 * cache_adopt - pages beside ours, in blocks of this node that are owned in part
 * @pieces:	.pfn and .order are set, less than a block each; present, zero,
 *		and as get() would give them
 *
 * One flush for all.  What does not belong to such a block, or is above the limit,
 * goes back to the system.  A block that is complete now is healed.
 *
 * Return: pages that are the cache's now.  May sleep.
 */
unsigned long cache_adopt(struct cache *c, struct piece *pieces, unsigned int nr);

/* Whether a block is one of this node that is owned in part.  Any context. */
bool cache_owns_in_part(const struct cache *c, const struct block *b);

/*
 * Whether some block is owned in part of which nothing is in use; and give back those
 * that are, so that they heal.  What is free of others stays, as the rest may still
 * come.  Magazines are drained.  May sleep.
 */
bool cache_has_idle_pieces(struct cache *c);
void cache_release_idle_pieces(struct cache *c);

#endif /* UM_ADOPT_H */
