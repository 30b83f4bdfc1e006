// SPDX-License-Identifier: GPL-2.0
/*
 * Unmapped pages that are freed by their last reference; see page.h.
 *
 * A page that is allocated keeps its block where it is: what the look-up finds
 * of the page's own state can't change under it.  Of a block that others are
 * releasing, or taking over piece by piece, that is the bit of this page in
 * the mask of owned ones.  A page that was released has been through the locks
 * of the page allocator before anybody could free it again.
 */
#include <linux/mempolicy.h>
#include <linux/mm.h>
#include <linux/unmapped.h>

#include "host.h"
#include "page.h"
#include "trace.h"

DEFINE_STATIC_KEY_FALSE(unmapped_put_page_key);

void unmapped_put_page_enable(void)
{
	if (!unmapped_allocator.caches || unmapped_put_page_enabled())
		return;
	static_branch_enable(&unmapped_put_page_key);
}

bool __unmapped_owns(const struct page *page)
{
	unsigned long pfn = page_to_pfn(page);
	const struct block *b = table_lookup(&unmapped_allocator.table, pfn);
	unsigned int i = pfn % BLOCK_PAGES;
	unsigned int flags;

	if (!b)
		return false;
	/* Who finds a block in use finds its masks, too. */
	flags = smp_load_acquire(&b->flags);
	if (!(flags & BLOCK_LIVE))
		return false;
	return !(flags & BLOCK_FALLBACK) ||
	       READ_ONCE(block_masks(b)->owned[i / BITS_PER_LONG]) &
		       BIT(i % BITS_PER_LONG);
}

void __unmapped_take_back(struct page *page, unsigned int order)
{
	trace_unmapped_free(page, order);
	/* If that fails it has warned, and the pages are lost. */
	allocator_free(&unmapped_allocator, page_to_pfn(page), order);
}

struct page *unmapped_page_alloc(gfp_t gfp)
{
	int nid = NUMA_NO_NODE;

	if (!unmapped_put_page_enabled())
		return NULL;
#ifdef CONFIG_NUMA
	nid = mempolicy_slab_node();
#endif
	return unmapped_pages_alloc_node(nid, gfp | __GFP_ZERO | __GFP_NOWARN, 0);
}
