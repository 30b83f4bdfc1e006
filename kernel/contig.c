// SPDX-License-Identifier: GPL-2.0
/*
 * Memory of the page allocator by address.
 *
 * alloc_contig_range() takes a range of pages away from the page allocator: it
 * isolates the pageblocks, moves what can be moved, and takes what is free.  That
 * costs all CPUs a drain of their lists, and fails late, so look first, without
 * locks, whether a range is worth it: wholly free ones come first, then ones that
 * hold nothing but movable pages.  What the look finds may be wrong by the time
 * it is acted upon; alloc_contig_range() looks again, under the zone's lock.
 *
 * Ranges that would break a 1 GiB entry of the direct map come after those where
 * it is broken already; unless they are of 1 GiB themselves, as these leave by
 * that one entry.
 */
#include <linux/ktime.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/sched.h>
#include <linux/vmstat.h>

#include "compat.h"
#include "contig.h"
#include "direct_map.h"
#include "host.h"
#include "platform.h"

/* How often what looked free may turn out not to be. */
#define TRIES_NEAR 3

/*
 * Whether the lower zones keep what they hold back for those who can use no
 * other memory.  The page allocator sees to that itself; a range is not asked.
 */
static bool zone_spares(struct zone *zone, unsigned long nr)
{
	unsigned long keep = zone->lowmem_reserve[ZONE_NORMAL];

	return !keep ||
	       zone_page_state(zone, NR_FREE_PAGES) > keep + high_wmark_pages(zone) + nr;
}

/* The order of a free page; 0 also when it is not free or no longer. */
static unsigned int free_order(struct page *page)
{
	unsigned long order;

	if (!PageBuddy(page))
		return 0;
	order = READ_ONCE(page->private);
	return order < NR_PAGE_ORDERS ? order : 0;
}

/* Whether a block is free, alone or as part of something larger. */
static bool is_free(unsigned long pfn)
{
	unsigned int order;

	for (order = BLOCK_ORDER; order < NR_PAGE_ORDERS; order++)
		if (free_order(pfn_to_page(pfn & (~0UL << order))) >= order)
			return true;
	return false;
}

/* Whether all that is in a block can probably be moved away. */
static bool is_movable(unsigned long pfn)
{
	unsigned long end = pfn + BLOCK_PAGES;
	struct page *page;

	for (; pfn < end; pfn += 1UL << free_order(page)) {
		page = pfn_to_page(pfn);
		if (PageReserved(page) || PageSlab(page))
			return false;
		if (page_ref_count(page) && !PageLRU(page) && !page_has_movable_ops(page))
			return false;
	}
	return true;
}

/* Free pages of a block of ours look like pages that can be had, and can't. */
static bool is_ours(unsigned long pfn)
{
	const struct block *b = table_lookup(&unmapped_allocator.table, pfn);

	return b && READ_ONCE(b->flags) & BLOCK_LIVE;
}

/* Whether a range is memory of one zone that serves the kernel, and free or so. */
static bool is_candidate(int nid, unsigned long pfn, unsigned long nr, bool move)
{
	struct zone *zone = NULL;
	unsigned long i;
	struct page *page;

	for (i = pfn; i < pfn + nr; i += BLOCK_PAGES) {
		page = pfn_to_online_page(i);
		if (!page || page_to_nid(page) != nid || is_ours(i))
			return false;
		if (!zone)
			zone = page_zone(page);
		if (page_zone(page) != zone || zone_idx(zone) > ZONE_NORMAL)
			return false;
		if (!is_free(i) && (!move || !is_movable(i)))
			return false;
		cond_resched();
	}
	return zone_spares(zone, nr);
}

static struct page *take(unsigned long pfn, unsigned long nr, gfp_t gfp)
{
	struct page *page = pfn_to_page(pfn);
	unsigned long i;

	/* Other flags are not for it, or are refused. */
	if (alloc_contig_range(pfn, pfn + nr, ACR_FLAGS_NONE,
			       gfp & (GFP_KERNEL | __GFP_NOWARN)))
		return NULL;
	for (i = 0; gfp & __GFP_ZERO && !want_init_on_alloc(0) && i < nr; i++) {
		clear_page(page_address(page + i));
		cond_resched();
	}
	return page;
}

struct page *contig_alloc(int nid, unsigned int order, gfp_t gfp, unsigned long budget_ns)
{
	unsigned long end, pfn, nr = 1UL << order;
	u64 until = ktime_get_ns() + budget_ns;
	struct page *page;
	unsigned int pass;
	bool unbroken;

	/* Who wants one block has asked for a free one already. */
	for (pass = order == BLOCK_ORDER ? 2 : 0; pass < 4; pass++) {
		/* From the top: what is low may be needed by devices. */
		end = ALIGN_DOWN(node_end_pfn(nid), nr);
		for (pfn = end; pfn >= node_start_pfn(nid) + nr;) {
			pfn -= nr;
			cond_resched();
			if (ktime_get_ns() > until || fatal_signal_pending(current))
				return NULL;
			unbroken = direct_map_unbroken(pfn);
			if ((unbroken == (order >= REGION_ORDER)) == pass % 2 ||
			    !is_candidate(nid, pfn, nr, pass / 2))
				continue;
			page = take(pfn, nr, gfp);
			if (page)
				return page;
		}
	}
	return NULL;
}

struct page *contig_alloc_near(int nid, unsigned long pfn, unsigned int *order, gfp_t gfp)
{
	unsigned long end = ALIGN(pfn + 1, 1UL << REGION_ORDER);
	unsigned int tries = 0, largest = *order;
	struct page *page;

	for (; pfn < end && tries < TRIES_NEAR; pfn += BLOCK_PAGES) {
		if (!is_candidate(nid, pfn, BLOCK_PAGES, false))
			continue;
		for (*order = BLOCK_ORDER; *order < largest; ++*order)
			if (pfn & 1UL << *order ||
			    !is_candidate(nid, pfn, 2UL << *order, false))
				break;
		page = take(pfn, 1UL << *order, gfp);
		if (page)
			return page;
		tries++;
	}
	return NULL;
}
