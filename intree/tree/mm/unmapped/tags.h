/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Memory allocation profiling: tags of pages, by which /proc/allocinfo knows who has
 * them.
 */
#ifndef UNMAPPED_TAGS_H
#define UNMAPPED_TAGS_H

#include <linux/alloc_tag.h>
#include <linux/mm_types.h>

void __tags_join(struct page *page, unsigned int order);

/*
 * 2^@order pages are about to be freed as one, all of them from one caller of the page
 * allocator: the tag of the first is that of all.  Context: any.
 */
static inline void tags_join(struct page *page, unsigned int order)
{
	if (mem_alloc_profiling_enabled())
		__tags_join(page, order);
}

#endif /* UNMAPPED_TAGS_H */
