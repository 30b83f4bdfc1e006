// SPDX-License-Identifier: GPL-2.0
/*
 * Contiguous unmapped pages of any number, as buffers of devices are.
 *
 * They are the first of 2^order pages, the rest of which goes back at once, in
 * pieces as large as they are aligned.
 *
 * No driver asks for them before the allocator has started, or has found that it
 * can't.
 */
#include <linux/mm.h>
#include <linux/unmapped.h>
#include <linux/unmapped_page.h>

#include "free_later.h"
#include "host.h"
#include "page.h"

static void free_range(struct page *first, unsigned long from, unsigned long to,
		       void (*free)(struct page *page, unsigned int order))
{
	unsigned int order;

	for (; from < to; from += 1UL << order) {
		order = __fls(to - from);
		if (from)
			order = min_t(unsigned int, order, __ffs(from));
		free(first + from, order);
	}
}

struct page *unmapped_alloc_exact(int nid, gfp_t gfp, size_t size)
{
	unsigned long nr = PAGE_ALIGN(size) >> PAGE_SHIFT;
	unsigned int order = get_order(size);
	struct page *page;

	if (!unmapped_allocator.caches || order > UNMAPPED_MAX_ORDER)
		return NULL;
	page = unmapped_pages_alloc_node(nid, gfp, order);
	if (!page)
		return NULL;
	free_range(page, nr, 1UL << order, free_now_or_later);
	return page;
}

bool unmapped_free_exact(struct page *page, size_t size)
{
	unsigned long nr = PAGE_ALIGN(size) >> PAGE_SHIFT;

	if (!unmapped_allocator.caches || !__unmapped_owns_pfn(page_to_pfn(page)))
		return false;
	free_range(page, 0, nr, unmapped_pages_free);
	return true;
}
