/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Memory allocation profiling: tags of pages, by which /proc/allocinfo knows who has
 * them.
 *
 * The kernel expects one tag at the head of what is freed or split as one, and one on
 * each page that is freed alone.  So each page of the allocator's has its own, but a
 * folio has one for all, and so has what goes back to the page allocator as one.
 */
#ifndef UNMAPPED_TAGS_H
#define UNMAPPED_TAGS_H

#include <linux/alloc_tag.h>
#include <linux/mm.h>
#include <linux/pgalloc_tag.h>

void __tags_join(struct page *page, unsigned int order);
void __tags_split(struct page *page, unsigned int order);

/* The tag of the first page is that of all from now on.  Context: any. */
static inline void tags_join(struct page *page, unsigned int order)
{
	if (mem_alloc_profiling_enabled())
		__tags_join(page, order);
}

/* Each page has one of its own from now on, if it had none.  Context: any. */
static inline void tags_split(struct page *page, unsigned int order)
{
	if (mem_alloc_profiling_enabled())
		__tags_split(page, order);
}

#endif /* UNMAPPED_TAGS_H */
