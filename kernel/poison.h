/* SPDX-License-Identifier: GPL-2.0 */
/* Pages with memory errors. */
#ifndef UNMAPPED_POISON_H
#define UNMAPPED_POISON_H

#include <linux/compiler.h>
#include <linux/mm.h>
#include <linux/page-flags.h>

#include "host.h"

static __always_inline bool any_poisoned(struct page *page, unsigned int order)
{
#ifdef CONFIG_MEMORY_FAILURE
	unsigned long i;

	for (i = 0; i < 1UL << order; i++)
		if (unlikely(PageHWPoison(page + i)))
			return true;
#endif
	return false;
}

/* Pages to which nobody has a reference.  Any context. */
void free_all_but_poisoned(struct page *page, unsigned int order);

static __always_inline void free_pages_back(struct page *page, unsigned int order)
{
	if (unlikely(any_poisoned(page, order)))
		free_all_but_poisoned(page, order);
	else
		allocator_free(&unmapped_allocator, page_to_pfn(page), order);
}

/* How many were kept. */
unsigned long poisoned_pages(void);

#endif /* UNMAPPED_POISON_H */
