/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Memory allocation profiling: tags of pages, by which /proc/allocinfo knows who has
 * them.
 *
 * Pages come from the page allocator with one tag for all, or each with its own.  The
 * page allocator and those who split folios must find what they expect: one at the head
 * of what is freed or split as one, one on each page that is freed alone.
 */
#ifndef UNMAPPED_TAGS_H
#define UNMAPPED_TAGS_H

#include <linux/alloc_tag.h>
#include <linux/mm.h>
#include <linux/pgalloc_tag.h>

void __tags_join(struct page *page, unsigned int order);

/* The tag of the first page is that of all from now on.  Context: any. */
static inline void tags_join(struct page *page, unsigned int order)
{
	if (mem_alloc_profiling_enabled())
		__tags_join(page, order);
}

/* Each page has one of its own from now on.  Context: any. */
static inline void tags_split(struct page *page, unsigned int order)
{
	if (order)
		pgalloc_tag_split(page_folio(page), order, 0);
}

#endif /* UNMAPPED_TAGS_H */
