// SPDX-License-Identifier: GPL-2.0
/*
 * Unmapped pages below modules and other kernel code.
 *
 * An area of vmalloc() with VM_FLUSH_RESET_PERMS is one whose permissions will be
 * changed, and with them those of its pages in the direct map.  So its pages are
 * such as the direct map does not have: there is nothing to change, to split or
 * to reset then.  Each page is asked for, not the area: one from before the
 * allocator was there, or when it had no more, has ordinary pages, or some of
 * both kinds.
 *
 * What is allocated keeps its block where it is, so the answer for a page of an
 * area can't change as long as the area is there.
 */
#include <linux/init.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/string.h>
#include <linux/unmapped.h>
#include <linux/vmalloc.h>
#include <linux/vmstat.h>

#include "page.h"

static bool execmem __ro_after_init = true;
module_param(execmem, bool, 0444);
MODULE_PARM_DESC(execmem, "code is outside of the direct map (default 1)");

static bool is_used(void)
{
	return unmapped_put_page_enabled() && execmem;
}

unsigned long unmapped_vm_flags(void)
{
	return is_used() ? VM_FLUSH_RESET_PERMS | VM_ALLOW_HUGE_VMAP : 0;
}

bool pfn_unmapped(unsigned long pfn)
{
	return unmapped_put_page_enabled() && __unmapped_owns_pfn(pfn);
}

unsigned long unmapped_vmalloc_pages(int nid, gfp_t gfp, unsigned int order,
				     unsigned long nr, struct page **pages)
{
	unsigned long i, got = 0;
	struct page *page;

	if (!is_used())
		return 0;
	gfp |= __GFP_ZERO | __GFP_NOWARN;
	if (!order) {
		got = unmapped_pages_alloc_bulk(nid, gfp, nr, pages);
		/* The page allocator's bulk allocation leaves alone what is not NULL. */
		memset(pages + got, 0, (nr - got) * sizeof(*pages));
	}
	for (; order && got < nr; got += 1UL << order) {
		page = unmapped_pages_alloc_node(nid, gfp, order);
		if (!page)
			break;
		for (i = 0; i < 1UL << order; i++)
			pages[got + i] = page + i;
	}
	for (i = 0; i < got; i++)
		mod_lruvec_page_state(pages[i], NR_VMALLOC, 1);
	return got;
}

/*
 * From the beginning, and not with the first area: who asks for one may hold
 * locks that switching the key takes.  After main.c, by the order in the Makefile.
 */
static int __init unmapped_execmem_init(void)
{
	if (execmem)
		unmapped_put_page_enable();
	return 0;
}
pure_initcall(unmapped_execmem_init);
