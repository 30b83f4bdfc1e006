// SPDX-License-Identifier: GPL-2.0
/* What other kernel code calls; the contract is in include/linux/unmapped.h. */
#include <linux/export.h>
#include <linux/mm.h>
#include <linux/page_ref.h>
#include <linux/ratelimit.h>
#include <linux/sched/mm.h>
#include <linux/topology.h>
#include <linux/unmapped.h>

#include "host.h"
#include "memcg.h"
#include "poison.h"
#include "trace.h"

static unsigned int core_flags(gfp_t gfp)
{
	unsigned int flags = 0;

	if (gfp & __GFP_ZERO)
		flags |= UM_ZERO;
	if (gfp & __GFP_THISNODE)
		flags |= UM_THISNODE;
	if (gfp & __GFP_NORETRY)
		flags |= UM_TRY;
	if (!gfpflags_allow_blocking(gfp))
		flags |= UM_NOWAIT;
	return flags;
}

/*
 * A refill allocates with GFP_KERNEL, here and in CPA when it splits: what the
 * caller must not wait for, the task must not either.
 */
static __always_inline unsigned int scope_enter(gfp_t gfp)
{
	if (!gfpflags_allow_blocking(gfp))
		return 0;
	if (!(gfp & __GFP_IO))
		return memalloc_noio_save();
	if (!(gfp & __GFP_FS))
		return memalloc_nofs_save();
	return 0;
}

static __always_inline void scope_leave(gfp_t gfp, unsigned int saved)
{
	if (!gfpflags_allow_blocking(gfp))
		return;
	if (!(gfp & __GFP_IO))
		memalloc_noio_restore(saved);
	else if (!(gfp & __GFP_FS))
		memalloc_nofs_restore(saved);
}

/* Whether what was allocated can be used; if not it is free again, in part. */
static __always_inline bool is_good(unsigned long pfn, unsigned int order)
{
	if (likely(!any_poisoned(pfn_to_page(pfn), order)))
		return true;
	free_all_but_poisoned(pfn_to_page(pfn), order);
	return false;
}

/* Return: @page; NULL if it can't be charged, and then it is free again. */
static struct page *hand_out(struct page *page, gfp_t gfp, unsigned int order, int nid)
{
	unsigned long i;

	for (i = 0; i < 1UL << order; i++)
		init_page_count(page + i);
	trace_unmapped_alloc(page, order, gfp, nid);
	if (gfp & __GFP_ACCOUNT && unlikely(memcg_charge(page, gfp, order))) {
		unmapped_pages_free(page, order);
		return NULL;
	}
	return page;
}

static void warn_failed(gfp_t gfp, unsigned int order, int nid)
{
	static DEFINE_RATELIMIT_STATE(limit, DEFAULT_RATELIMIT_INTERVAL,
				      DEFAULT_RATELIMIT_BURST);

	if (!(gfp & __GFP_NOWARN) && __ratelimit(&limit))
		pr_warn("unmapped: %s: allocation failed: order:%u, node:%d, gfp:%pGg\n",
			current->comm, order, nid, &gfp);
}

static __always_inline struct page *handed_out(int err, unsigned long pfn, gfp_t gfp,
					       unsigned int order, int nid)
{
	if (err) {
		trace_unmapped_alloc(NULL, order, gfp, nid);
		warn_failed(gfp, order, nid);
		return NULL;
	}
	return hand_out(pfn_to_page(pfn), gfp, order, nid);
}

struct page *unmapped_pages_alloc_node(int nid, gfp_t gfp, unsigned int order)
{
	unsigned long pfn;
	unsigned int saved;
	int err;

	if (nid == NUMA_NO_NODE)
		nid = numa_mem_id();
	saved = scope_enter(gfp);
	do {
		err = allocator_alloc(&unmapped_allocator, nid, order, core_flags(gfp),
				      &pfn);
	} while (!err && !is_good(pfn, order));
	scope_leave(gfp, saved);
	return handed_out(err, pfn, gfp, order, nid);
}
EXPORT_SYMBOL_GPL(unmapped_pages_alloc_node);

struct page *unmapped_pages_alloc(gfp_t gfp, unsigned int order)
{
	return unmapped_pages_alloc_node(NUMA_NO_NODE, gfp, order);
}
EXPORT_SYMBOL_GPL(unmapped_pages_alloc);

struct page *unmapped_pages_alloc_nodes(int nid, const nodemask_t *nodes, gfp_t gfp,
					unsigned int order, unsigned long want)
{
	unsigned long pfn;
	unsigned int saved;
	int err;

	if (nid == NUMA_NO_NODE)
		nid = numa_mem_id();
	saved = scope_enter(gfp);
	do {
		err = allocator_alloc_nodes(&unmapped_allocator, nid,
					    nodes ? nodes_addr(*nodes) : NULL, order,
					    core_flags(gfp), want, &pfn);
	} while (!err && !is_good(pfn, order));
	scope_leave(gfp, saved);
	return handed_out(err, pfn, gfp, order, nid);
}
EXPORT_SYMBOL_GPL(unmapped_pages_alloc_nodes);

unsigned long unmapped_pages_alloc_bulk(int nid, gfp_t gfp, unsigned long nr,
					struct page **pages)
{
	/* The core's pfns and our pointers are of a size, and share the array. */
	unsigned long *pfns = (unsigned long *)pages;
	unsigned long i, got, given = 0;
	unsigned int saved;

	BUILD_BUG_ON(sizeof(*pfns) != sizeof(*pages));
	if (nid == NUMA_NO_NODE)
		nid = numa_mem_id();
	saved = scope_enter(gfp);
	got = allocator_alloc_bulk(&unmapped_allocator, nid, core_flags(gfp), nr, pfns);
	scope_leave(gfp, saved);
	if (got < nr)
		warn_failed(gfp, 0, nid);
	for (i = 0; i < got; i++) {
		if (!is_good(pfns[i], 0))
			continue;
		pages[given] = hand_out(pfn_to_page(pfns[i]), gfp, 0, nid);
		if (unlikely(!pages[given]))
			break;
		given++;
	}
	while (++i < got)
		free_pages_back(pfn_to_page(pfns[i]), 0);
	return given;
}
EXPORT_SYMBOL_GPL(unmapped_pages_alloc_bulk);

/* Return: NULL; or a page that has not one reference, and then nothing was done. */
static __always_inline struct page *free_unreferenced(struct page *page,
						      unsigned int order)
{
	bool charged = false;
	struct page *used;
	unsigned long i;

	for (i = 0; i < 1UL << order; i++) {
		charged |= memcg_charged(page + i);
		if (likely(page_ref_freeze(page + i, 1)))
			continue;
		used = page + i;
		while (i--)
			page_ref_unfreeze(page + i, 1);
		return used;
	}
	if (unlikely(charged))
		memcg_uncharge(page, order);
	trace_unmapped_free(page, order);
	free_pages_back(page, order);
	return NULL;
}

void unmapped_pages_free(struct page *page, unsigned int order)
{
	/* Somebody uses it, or it is free already: all stays as it was. */
	struct page *used = page ? free_unreferenced(page, order) : NULL;

	WARN_ONCE(used, "unmapped: broken: pfn %#lx freed with %d references, not 1\n",
		  page_to_pfn(used), page_count(used));
}
EXPORT_SYMBOL_GPL(unmapped_pages_free);

bool host_try_free(struct page *page, unsigned int order)
{
	return !free_unreferenced(page, order);
}
