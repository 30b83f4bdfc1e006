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

#include "../internal.h"
#include "host.h"
#include "nodes.h"
#include "page.h"
#include "poison.h"
#include "trace.h"

DEFINE_STATIC_KEY_FALSE(unmapped_put_page_key);

void unmapped_put_page_enable(void)
{
	/* Always: while somebody else is at it, some branches are set and others not. */
	if (unmapped_allocator.caches)
		static_branch_enable(&unmapped_put_page_key);
}

/* Inlined, as each page that is freed comes here. */
static __always_inline bool owns(const struct allocator *a, unsigned long pfn)
{
	const struct block *b = table_lookup(&a->table, pfn);
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

bool allocator_owns(const struct allocator *a, unsigned long pfn)
{
	return owns(a, pfn);
}

bool __unmapped_owns_pfn(unsigned long pfn)
{
	return owns(&unmapped_allocator, pfn);
}

static noinline bool take_back(struct page *page, unsigned int order)
{
	trace_unmapped_free(page, order);
	/* If that fails it has warned, and the pages are lost. */
	free_pages_back(page, order);
	return true;
}

/* The callers are short of registers: nothing of the look-up is done there. */
bool __unmapped_take_back(struct page *page, unsigned int order)
{
	return owns(&unmapped_allocator, page_to_pfn(page)) && take_back(page, order);
}

/*
 * Pages come with a reference each.  A look-up in the page cache of who had one before
 * may have another for a moment.  Return: whether those from @first on have none now; if
 * not, all are freed, each by its last reference.
 */
static bool freeze_references(struct page *page, unsigned int order, unsigned long first)
{
	unsigned long i, nr = 1UL << order;

	for (i = first; i < nr && page_ref_freeze(page + i, 1); i++)
		;
	if (i == nr)
		return true;
	while (i-- > first)
		page_ref_unfreeze(page + i, 1);
	for (i = 0; i < nr; i++)
		put_page(page + i);
	return false;
}

static struct folio *unmapped_folio_alloc(gfp_t gfp, unsigned int order,
					  const struct mempolicy *policy, pgoff_t index)
{
	struct nodes nodes;
	struct page *page;

	nodes_of_task(&nodes, NUMA_NO_NODE, policy, index);
	page = unmapped_pages_alloc_nodes(nodes.first, &nodes.allowed, gfp | __GFP_NOWARN,
					  order, 1UL << order);
	if (!page)
		return NULL;
	if (!order)
		return page_folio(page);
	if (!freeze_references(page, order, 1))
		return NULL;
	prep_compound_page(page, order);
	page_rmappable_folio(page);
	return page_folio(page);
}

struct folio *unmapped_fault_folio(const struct vm_fault *vmf, gfp_t gfp,
				   unsigned int order)
{
	const struct mempolicy *policy = NULL;

	if (!unmapped_put_page_enabled())
		return NULL;
#ifdef CONFIG_NUMA
	policy = vmf->vma->vm_policy;
#endif
	return unmapped_folio_alloc(gfp | __GFP_ZERO, order, policy, vmf->pgoff);
}
