/* SPDX-License-Identifier: GPL-2.0 */
/* Moving what lives in pieces into whole blocks; see heal.c. */
#ifndef UNMAPPED_HEAL_H
#define UNMAPPED_HEAL_H

#include <linux/mm_types.h>

/**
 * struct spare - a whole block for pages that are to move
 * @nid:	its node, and theirs
 * @until:	time in ns after which no block is asked for
 * @block:	the first page
 * @used:	how many of its pages have been used
 */
struct spare {
	int nid;
	u64 until;
	struct page *block;
	unsigned int used;
};

/* Whether a page of a client is in a block that is owned in part. */
bool spare_wants(const struct spare *s, struct page *page);

/*
 * How many pages there are to move to, from another block if this one is used up;
 * 0: time is up, or there is none.  May sleep.
 */
unsigned int spare_left(struct spare *s);

/* The next of these. */
struct page *spare_page(struct spare *s);

/*
 * Ask for blocks on nodes where some are owned in part, once.  Return: whether
 * there still are any.  May sleep.
 */
bool heal_by_asking(void);

#endif /* UNMAPPED_HEAL_H */
