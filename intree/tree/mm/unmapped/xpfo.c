// SPDX-License-Identifier: GPL-2.0
/*
 * Pages of programs from the allocator.
 *
 * Who asks for a page with __GFP_HIGHMEM and __GFP_MOVABLE has promised to reach
 * it by kmap_local_page() and has it put on an LRU list, from where it may be
 * moved to a page of any kind.
 */
#include <linux/gfp.h>
#include <linux/mempolicy.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/unmapped.h>

#include "page.h"

DEFINE_STATIC_KEY_FALSE(unmapped_xpfo_key);

#define FOR_PROGRAMS (__GFP_HIGHMEM | __GFP_MOVABLE | __GFP_DIRECT_RECLAIM)

struct folio *__unmapped_user_folio(gfp_t gfp)
{
	struct page *page;

	if ((gfp & FOR_PROGRAMS) != FOR_PROGRAMS || gfp & __GFP_THISNODE)
		return NULL;
	gfp = (gfp & ~__GFP_ACCOUNT) | __GFP_ZERO | __GFP_NOWARN;
	page = unmapped_pages_alloc_node(mempolicy_slab_node(), gfp, 0);
	return page ? page_folio(page) : NULL;
}

bool unmapped_is_absent(const struct page *page)
{
	return unmapped_needs_kmap(page);
}

static bool xpfo = true;
module_param(xpfo, bool, 0444);
MODULE_PARM_DESC(xpfo, "memory of programs is not in the direct map (default 1)");

static int __init unmapped_xpfo_init(void)
{
	if (!xpfo)
		return 0;
	unmapped_put_page_enable();
	if (!unmapped_put_page_enabled())
		return 0;
	/* Before there is a page that has to be mapped. */
	static_branch_enable(&unmapped_kmap_key);
	static_branch_enable(&unmapped_xpfo_key);
	return 0;
}
device_initcall_sync(unmapped_xpfo_init);
