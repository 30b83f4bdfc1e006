/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * A block: 512 pages that one PMD entry maps, and which of them are free.
 *
 * words[] has a bit for each page, 1 = free.  nr_free says how many of these
 * bits may be claimed, and a claim always goes through it first:
 *
 *	claim	nr_free -= n (fails when less than n are left), then clear bits
 *	free	set bits, then nr_free += n
 *
 * so that there are never fewer bits than nr_free and the claims under way
 * ask for.  Whoever takes nr_free from 512 to 0 in one step owns the whole
 * block: no other claim is under way, nor can one begin.  That is how a block
 * is allocated whole and how it is released, and why a stale pointer to a block
 * does no harm: blocks live as long as the allocator, and a claim on one that
 * is not in use finds nr_free at 0.
 *
 * No function here takes a lock, sleeps or disables anything.  They may be
 * called in any context, on the same block at the same time.
 */
#ifndef UM_BLOCK_H
#define UM_BLOCK_H

#include "platform.h"

#define BLOCK_WORDS (BLOCK_PAGES / BITS_PER_LONG)
#define WORD_ORDER  6U /* pages of a word, as an order */

/* Pages that one magazine holds, and that one claim for it takes. */
#define HALF_PAGES 32U
#define HALF_SHIFT 5U

/* block.flags; changed under the lock of its shard, read without it here and there. */
#define BLOCK_LIVE	  (1U << 0) /* in use by its cache */
#define BLOCK_FALLBACK	  (1U << 1) /* owned page by page: see masks */
#define BLOCK_SPLIT	  (1U << 2) /* we split its 2 MiB entry */
#define BLOCK_QUARANTINED (1U << 3) /* found broken: never served again */
#define BLOCK_ASSEMBLED	  (1U << 4) /* wholly owned, but came page by page */

/* block.list_id of a block that is on no list; and of one that a CPU serves from. */
#define BLOCK_UNLISTED 0xff
#define BLOCK_ACTIVE   0xfe

/**
 * struct block_masks - what only some blocks need to know
 * @owned:	pages that are the allocator's (fallback blocks); changed under
 *		the lock of its shard
 * @dirty:	pages with a client's content that need not be zeroed for a
 *		client that does not ask for it; of a page in use: its client
 *		did not ask for it
 */
struct block_masks {
	unsigned long owned[BLOCK_WORDS];
	atomic_long_t dirty[BLOCK_WORDS];
};

/**
 * struct block - 512 naturally aligned pages
 * @words:	1 = free
 * @nr_free:	pages that may be claimed
 * @number:	pfn of the first page >> BLOCK_ORDER
 * @masks:	NULL when all pages are owned and none was ever dirty
 * @list:	on a list of its shard, under that one's lock
 * @nr_owned:	pages that are the allocator's; 0 when the block is not in use
 * @nid:	node of its pages
 * @list_id:	the list that @list is on
 * @max_order:	upper bound for the largest free order, a hint
 * @flags:	BLOCK_*
 *
 * Blocks share no cache line: CPUs are on different blocks, often neighbours.
 */
struct block {
	atomic_long_t words[BLOCK_WORDS];
	atomic_t nr_free;
	u32 number;
	struct block_masks *masks;
	struct list_head list;
	u16 nr_owned;
	u16 nid;
	u8 list_id;
	u8 max_order;
	u8 flags;
} ____cacheline_aligned;

_Static_assert(sizeof(struct block) <= 128, "128 bytes for all of a block");

/* The masks, filled in; NULL if there are none. */
static inline struct block_masks *block_masks(const struct block *b)
{
	/* Pairs with the cmpxchg() of block_get_masks(). */
	return smp_load_acquire(&b->masks);
}

static inline void block_set_flags(struct block *b, unsigned int set, unsigned int clear)
{
	/* Who finds a block in use finds its node, too. */
	smp_store_release(&b->flags, (u8)((b->flags & ~clear) | set));
}

static inline unsigned long block_pfn(const struct block *b)
{
	return (unsigned long)b->number << BLOCK_ORDER;
}

static inline unsigned long word_mask(unsigned int bit, unsigned int order)
{
	return order >= WORD_ORDER ? ~0UL : ((1UL << (1U << order)) - 1) << bit;
}

/* The last word of its block that a range has pages in. */
static inline unsigned int last_word(unsigned int index, unsigned int order)
{
	return (index + (1U << order) - 1) / BITS_PER_LONG;
}

/**
 * block_alloc - claim 2^@order naturally aligned free pages
 * @avoid_dirty:	take no dirty page
 *
 * Return: the index of the first page in the block, or -ENOMEM.
 */
int block_alloc(struct block *b, unsigned int order, bool avoid_dirty);

/**
 * block_take_half - claim free pages of one aligned run of 32
 * @avoid_dirty:	take no dirty page
 * @half:	which run, 0 to 15
 *
 * Return: a bit for each page claimed; 0 when there was none.
 */
u32 block_take_half(struct block *b, bool avoid_dirty, unsigned int *half);

/**
 * block_take_all - claim all free pages, dirty ones too
 * @bits:	BLOCK_WORDS words, receive a bit for each page claimed
 *
 * Return: how many were claimed.
 */
unsigned int block_take_all(struct block *b, unsigned long *bits);

/**
 * block_take_whole - claim the block if all of its pages are free
 */
bool block_take_whole(struct block *b);

/**
 * block_free - give claimed pages back
 * @index:	first page, a multiple of 2^@order
 *
 * Return: how many pages are free now, or -EEXIST if one of them already was:
 * then the block is no longer to be trusted.
 */
int block_free(struct block *b, unsigned int index, unsigned int order);

/**
 * block_put_bits - give claimed pages back, of one word
 * @bits:	the pages, none of them free
 *
 * Return: as block_free().
 */
int block_put_bits(struct block *b, unsigned int word, unsigned long bits);

/**
 * block_largest - the largest order that is free now
 *
 * Return: 0 to 9, or -1 if no page is free.
 */
int block_largest(const struct block *b);

/* The masks of a block, made if there are none; NULL when out of memory. */
struct block_masks *block_get_masks(struct block *b, gfp_t gfp);

#endif /* UM_BLOCK_H */
