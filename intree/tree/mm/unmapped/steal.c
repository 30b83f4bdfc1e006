// SPDX-License-Identifier: GPL-2.0
/*
 * Stealing: the rest of a block that is owned in part, page by page as it is freed.
 *
 * When memory was short of blocks, pieces were taken and their entry split.  Pages
 * of programs can't be moved out of such a block (memfd_secret(2)'s can't), so it
 * heals only with the rest of it becoming ours.  The free path sees each of these
 * pages; here it is kept from the lists of free ones, while that is wanted.
 *
 * The free path may be in any context.  It puts the page on a list without a lock,
 * and that is all: to make it absent takes a flush on all CPUs.  The work that heals
 * does that for all of the list.  Until then such pages are neither free nor in
 * use: no references, prepared as for the lists, in nobody's count but ours.
 *
 * What waits is bounded by .room, which is 0 but for nodes that have blocks in
 * pieces, and have memory: nothing is taken while a zone is below its high
 * watermark, so that kswapd works on it, nor for a while after a shrinker was
 * called, which gives back first what waits, and then the rest as ever.
 *
 * What the allocator itself gives back of such a block it frees with refill_lock held.
 * The free path looks for that, or it would take it again.
 */
#include <linux/jiffies.h>
#include <linux/llist.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/nodemask.h>
#include <linux/seq_file.h>
#include <linux/vmstat.h>

#include "../internal.h"
#include "core/adopt.h"
#include "host.h"
#include "pm.h"
#include "poison.h"
#include "steal.h"

/* Of a node's memory: what waits, and what is free of blocks in pieces. */
#define WAIT_SHARE 64
#define FREE_SHARE 8
/* After reclaim. */
#define PAUSE (2 * HZ)
/* With one flush. */
#define ADOPT_MAX 256

static bool steal = true;
module_param(steal, bool, 0644);
MODULE_PARM_DESC(steal, "complete blocks that are owned in part out of what others free");

bool unmapped_stealing __read_mostly;

static struct waiting {
	struct llist_head pages;
	atomic_long_t nr;
	long room; /* no lock */
	unsigned long not_before;
} waiting[MAX_NUMNODES];

static atomic_long_t nr_stolen;
/* From the list to the allocator, or back to the system. */
static DEFINE_MUTEX(steal_lock);

/* --- in the free path ------------------------------------------------------ */

static bool has_enough(struct zone *zone)
{
	return zone_page_state(zone, NR_FREE_PAGES) > high_wmark_pages(zone);
}

bool steal_wants(struct page *page)
{
	return allocator_in_pieces(&unmapped_allocator, page_to_pfn(page)) &&
	       get_pageblock_migratetype(page) < MIGRATE_PCPTYPES &&
	       has_enough(page_zone(page));
}

bool __unmapped_steal(struct page *page, unsigned int order)
{
	int nid = page_to_nid(page);
	struct waiting *w = &waiting[nid];

	/* Of a whole block nothing is ours; of a part of one a page may be bad. */
	if (order >= BLOCK_ORDER || !steal_wants(page) ||
	    mutex_is_locked(&allocator_cache(&unmapped_allocator, nid)->refill_lock) ||
	    any_poisoned(page, order))
		return false;
	if (atomic_long_add_return(1L << order, &w->nr) > READ_ONCE(w->room)) {
		atomic_long_sub(1L << order, &w->nr);
		return false;
	}
	set_page_private(page, order);
	llist_add((struct llist_node *)&page->lru, &w->pages);
	return true;
}

/* --- from the list --------------------------------------------------------- */

/* The first of a list, as if it had just been allocated; one reference for each page. */
static struct page *next_page(struct llist_node **list, unsigned int *order, gfp_t gfp)
{
	struct list_head *first = (struct list_head *)*list;
	struct page *page = list_entry(first, struct page, lru);

	*list = (*list)->next;
	*order = page_private(page);
	post_alloc_hook(page, *order, gfp);
	/* If the hook has not done that. */
	if (!page_ref_count(page))
		set_page_refcounted(page);
	split_page(page, *order);
	return page;
}

static void give_back(struct page *page, unsigned int order)
{
	unsigned long i;

	for (i = 0; i < 1UL << order; i++)
		__free_page(page + i);
}

static void adopt(struct waiting *w, struct cache *c)
{
	/* What comes from here on waits for the next time. */
	struct llist_node *list = llist_del_all(&w->pages);
	static struct piece pieces[ADOPT_MAX]; /* under steal_lock */
	struct page *page;
	unsigned int nr;

	while (list) {
		for (nr = 0; list && nr < ADOPT_MAX;) {
			page = next_page(&list, &pieces[nr].order,
					 GFP_KERNEL | __GFP_ZERO);
			atomic_long_sub(1L << pieces[nr].order, &w->nr);
			pieces[nr].pfn = page_to_pfn(page);
			/* It may have gone bad while it waited. */
			if (any_poisoned(page, pieces[nr].order))
				give_back(page, pieces[nr].order);
			else if (host_freeze(page, pieces[nr].order))
				nr++;
		}
		atomic_long_add((long)cache_adopt(c, pieces, nr), &nr_stolen);
		cond_resched();
	}
}

/* How many pages may wait until the next look. */
static long room(int nid)
{
	struct cache *c = allocator_cache(&unmapped_allocator, nid);
	unsigned long present = node_present_pages(nid), free;
	unsigned long limit = READ_ONCE(unmapped_allocator.limit);
	unsigned long owned = host_pages_owned();

	if (!READ_ONCE(steal) || !unmapped_put_page_enabled() ||
	    !allocator_has_pieces(&unmapped_allocator, nid) ||
	    time_before(jiffies, READ_ONCE(waiting[nid].not_before)))
		return 0;
	free = cache_free_in_pieces(c);
	if (free >= present / FREE_SHARE || (limit && owned >= limit))
		return 0;
	present = min(present / WAIT_SHARE, present / FREE_SHARE - free);
	return (long)(limit ? min(present, limit - owned) : present);
}

bool steal_adopt(void)
{
	struct waiting *w;
	struct cache *c;
	bool any = false;
	int nid;

	/* Nothing is taken while an image of memory is made. */
	if (!pm_enter())
		return true;
	mutex_lock(&steal_lock);
	for_each_node_state(nid, N_MEMORY) {
		c = allocator_cache(&unmapped_allocator, nid);
		if (!c)
			continue;
		w = &waiting[nid];
		adopt(w, c);
		WRITE_ONCE(w->room, room(nid));
		any |= w->room || !llist_empty(&w->pages);
	}
	WRITE_ONCE(unmapped_stealing, any);
	mutex_unlock(&steal_lock);
	pm_leave();
	return any;
}

unsigned long steal_pending(int nid)
{
	return (unsigned long)max(atomic_long_read(&waiting[nid].nr), 0L);
}

unsigned long steal_give_back(int nid, bool wait)
{
	struct waiting *w = &waiting[nid];
	struct llist_node *list;
	unsigned long nr = 0;
	unsigned int order;
	struct page *page;

	/* Also for somebody who is at it now. */
	WRITE_ONCE(w->not_before, jiffies + PAUSE);
	WRITE_ONCE(w->room, 0);
	if (wait)
		mutex_lock(&steal_lock);
	else if (!mutex_trylock(&steal_lock))
		return 0;
	list = llist_del_all(&w->pages);
	while (list) {
		page = next_page(&list, &order, GFP_NOWAIT | __GFP_NOWARN);
		give_back(page, order);
		nr += 1UL << order;
	}
	atomic_long_sub((long)nr, &w->nr);
	mutex_unlock(&steal_lock);
	return nr;
}

void steal_give_back_all(void)
{
	int nid;

	for_each_node_state(nid, N_MEMORY)
		steal_give_back(nid, true);
	WRITE_ONCE(unmapped_stealing, false); /* until the work looks again */
}

/* --- for others ------------------------------------------------------------ */

bool steal_may_release(int nid)
{
	struct cache *c = allocator_cache(&unmapped_allocator, nid);

	if (!READ_ONCE(steal))
		return allocator_free_in_pieces(&unmapped_allocator, nid);
	return c && cache_has_idle_pieces(c);
}

void steal_release(int nid)
{
	struct cache *c = allocator_cache(&unmapped_allocator, nid);

	if (!READ_ONCE(steal))
		allocator_release_pieces(&unmapped_allocator, nid);
	else if (c)
		cache_release_idle_pieces(c);
}

void steal_stats_show(struct seq_file *m)
{
	unsigned long pending = 0;
	int nid;

	for_each_node_state(nid, N_MEMORY)
		pending += steal_pending(nid);
	seq_printf(m, "stolen %lu\nstolen_pending %lu\n",
		   (unsigned long)atomic_long_read(&nr_stolen), pending);
}
