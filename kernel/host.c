// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel under the core: struct um_host_ops on Linux.
 *
 * Pages come from the page allocator zeroed while they are still present
 * (init_on_alloc and __GFP_ZERO do that): a block of order 9 as one, with a
 * reference for its first page, anything else as single pages.  While a page is in
 * the cache its count is 0, so that a free of a page that is free already, or still
 * in use by somebody, can't go unseen.  Each 4 KiB page gets a reference of its own
 * when it is handed out: KVM and others count on that.
 */
#include <linux/cpu.h>
#include <linux/gfp.h>
#include <linux/jiffies.h>
#include <linux/mmzone.h>
#include <linux/mm.h>
#include <linux/nodemask.h>
#include <linux/page_ref.h>
#include <linux/percpu.h>
#include <linux/swap.h>
#include <linux/topology.h>
#include <linux/workqueue.h>

#include "compat.h"
#include "contig.h"
#include "direct_map.h"
#include "host.h"
#include "map_local.h"
#include "pm.h"
#include "poison.h"
#include "policy.h"

struct allocator unmapped_allocator;

/* For how long to look for a run of blocks, in ns. */
#define CONTIG_BUDGET (2 * NSEC_PER_SEC)

/* The same for a block, and after which time to look again when there was none. */
#define MAKE_BUDGET (50 * NSEC_PER_MSEC)
#define MAKE_AGAIN  HZ

/* What the cache leaves to others of what is available, in pages. */
#define LEAVE (2 * BLOCK_PAGES)

/*
 * What we hold can't be reclaimed.  If we took the last page that there is, the
 * next to need one would call the OOM killer, which knows nothing of us and
 * would kill somebody else.  So a request fails before that.  For hibernation see
 * pm.c.
 */
static bool system_has(unsigned int order)
{
	if (pm_closed())
		return false;
	return si_mem_available() + get_nr_swap_pages() > (long)(LEAVE + (1UL << order));
}

/*
 * In the cache, pages have no references: see above.  A page fresh from the system
 * may have one more than ours, for a moment: somebody looked it up in the page cache
 * before it was freed there, and has not seen yet that it is not what he wanted.
 * When he drops that it must not be the last one, with the page in use.  So what is
 * looked at goes back.
 */
static bool freeze(struct page *page, unsigned int order)
{
	unsigned long i, nr = 1UL << order;

	for (i = 0; i < nr; i++)
		if (!page_ref_freeze(page + i, 1))
			break;
	if (i == nr)
		return true;
	while (i--)
		page_ref_unfreeze(page + i, 1);
	for (i = 0; i < nr; i++)
		__free_page(page + i);
	return false;
}

/*
 * A block that came as one and goes back as one: its first page has a reference, and
 * the others none that anybody could add to.
 */
static bool freeze_block(struct page *page)
{
	if (page_ref_freeze(page, 1))
		return true;
	__free_pages(page, BLOCK_ORDER);
	return false;
}

/*
 * No block is free: move what can be moved out of one.  The page allocator's own
 * compaction, as far as __GFP_NORETRY has it, has failed.
 */
static struct page *make_block(int nid, gfp_t gfp)
{
	static u64 not_before[MAX_NUMNODES];
	struct page *page;

	if (time_before64(get_jiffies_64(), READ_ONCE(not_before[nid])))
		return NULL;
	page = contig_alloc(nid, BLOCK_ORDER, gfp, MAKE_BUDGET);
	if (!page)
		WRITE_ONCE(not_before[nid], get_jiffies_64() + MAKE_AGAIN);
	return page;
}

static int host_get(void *host, int nid, unsigned int order, unsigned int flags,
		    unsigned long *pfn)
{
	gfp_t gfp = GFP_KERNEL | __GFP_ZERO | __GFP_THISNODE | __GFP_NOWARN;
	bool at_once = false;
	struct page *page;

	if (!node_state(nid, N_MEMORY) || !system_has(order))
		return -ENOMEM;
	if (order > BLOCK_ORDER) {
		page = contig_alloc(nid, order, gfp, CONTIG_BUDGET);
	} else {
		if (flags & UM_TRY)
			gfp &= ~__GFP_DIRECT_RECLAIM;
		else if (order)
			gfp |= __GFP_NORETRY;
		page = alloc_pages_node(nid, gfp, order);
		at_once = page && order == BLOCK_ORDER;
		if (page && !at_once)
			split_page(page, order);
		else if (!page && order == BLOCK_ORDER && !(flags & UM_TRY))
			page = make_block(nid, gfp);
	}
	if (!page || !(at_once ? freeze_block(page) : freeze(page, order)))
		return -ENOMEM;
	*pfn = page_to_pfn(page);
	policy_taken();
	if (order < BLOCK_ORDER)
		policy_in_pieces();
	return 0;
}

static int host_get_near(void *host, int nid, unsigned int *order, unsigned long *pfn)
{
	gfp_t gfp = GFP_NOWAIT | __GFP_ZERO | __GFP_NOWARN;
	struct page *page;

	if (!system_has(*order))
		return -ENOMEM;
	page = contig_alloc_near(nid, *pfn, order, gfp);
	if (!page || !freeze(page, *order))
		return -ENOMEM;
	*pfn = page_to_pfn(page);
	policy_taken();
	return 0;
}

/*
 * The page allocator keeps a page with a memory error to itself when it is freed on
 * its own.  Not each kernel looks at those within more than one.
 */
static void put_one_by_one(struct page *page, unsigned int order)
{
	unsigned long i;

	split_page(page, order);
	for (i = 0; i < 1UL << order; i++)
		__free_page(page + i);
}

static void host_put(void *host, unsigned long pfn, unsigned int order)
{
	unsigned long end = pfn + (1UL << order);
	struct page *page;

	/*
	 * Pages of a higher order that is no compound one look like this: the
	 * first has a reference and the others none.  So they go back at once.
	 */
	order = min(order, BLOCK_ORDER);
	for (; pfn < end; pfn += 1UL << order) {
		page = pfn_to_page(pfn);
		page_ref_unfreeze(page, 1);
		if (unlikely(any_poisoned(page, order)))
			put_one_by_one(page, order);
		else
			__free_pages(page, order);
	}
}

static int host_unmap(void *host, unsigned long pfn, unsigned int order)
{
	return direct_map_unmap(pfn, order);
}

static int host_map(void *host, unsigned long pfn, unsigned int order)
{
	return direct_map_map(pfn, order);
}

static void host_flush(void *host)
{
	direct_map_flush();
}

static int host_heal(void *host, unsigned long pfn)
{
	return direct_map_heal(pfn);
}

static int host_heal_region(void *host, unsigned long pfn)
{
	return direct_map_heal_region(pfn);
}

static bool host_unbroken(void *host, unsigned long pfn)
{
	return direct_map_unbroken(pfn);
}

static void host_zero(void *host, unsigned long pfn, unsigned int order)
{
	map_local_zero(pfn, order);
}

static u64 host_now(void *host)
{
	return get_jiffies_64() * (NSEC_PER_SEC / HZ); /* fine enough, and cheap */
}

static struct workqueue_struct *drains;
static DEFINE_PER_CPU(struct work_struct, drain_works);

static void drain_this_cpu(struct work_struct *work)
{
	allocator_drain_cpu(&unmapped_allocator);
}

/*
 * By work and not by interrupt: it takes the cache's lock, which in a hard
 * interrupt PREEMPT_RT does not allow.  Only where there is something: reclaim waits
 * for this, and a CPU that has nothing to do with us may be kept from its works.  A
 * work that waits already serves us as well.  That of a CPU that goes offline meanwhile
 * runs on another, and what the CPU had was drained when it went: see hotplug.c.
 */
static void host_drain(void *host, struct allocator *a)
{
	int cpu;

	for_each_online_cpu(cpu) {
		if (allocator_cpu_holds(a, (unsigned int)cpu))
			queue_work_on(cpu, drains, per_cpu_ptr(&drain_works, cpu));
	}
	for_each_possible_cpu(cpu)
		flush_work(per_cpu_ptr(&drain_works, cpu));
}

/* By distance from @nid, and of those as far away, by number. */
static int host_nearest_node(void *host, int nid, int prev)
{
	int n, best = -1;

	for_each_node_state(n, N_MEMORY) {
		if (prev >= 0 &&
		    (node_distance(nid, n) < node_distance(nid, prev) ||
		     (node_distance(nid, n) == node_distance(nid, prev) && n <= prev)))
			continue;
		if (best < 0 || node_distance(nid, n) < node_distance(nid, best))
			best = n;
	}
	return best;
}

static const struct um_host_ops host_ops = {
	.get = host_get,
	.get_near = host_get_near,
	.put = host_put,
	.unmap = host_unmap,
	.map = host_map,
	.flush = host_flush,
	.heal = host_heal,
	.heal_region = host_heal_region,
	.unbroken = host_unbroken,
	.zero = host_zero,
	.now = host_now,
	.wake = policy_wake,
	.drain = host_drain,
	.nearest_node = host_nearest_node,
};

unsigned long host_shrink(unsigned long nr)
{
	return allocator_shrink(&unmapped_allocator, -1, nr, 0);
}

void host_mark_dirty(struct page *page)
{
	allocator_mark_dirty(&unmapped_allocator, page_to_pfn(page));
}

unsigned long host_pages_owned(void)
{
	return (unsigned long)atomic_long_read(&unmapped_allocator.owned);
}

unsigned long host_pages_allocated(void)
{
	struct allocator_report r;
	unsigned long pages = 0;
	int nid;

	for (nid = 0; nid < (int)unmapped_allocator.nr_nodes; nid++) {
		allocator_report(&unmapped_allocator, nid, &r);
		pages += r.pages_owned - r.pages_free;
	}
	return pages;
}

unsigned long host_end_pfn(void)
{
	unsigned long end = 0;
	int nid;

	for_each_online_node(nid)
		end = max(end, node_end_pfn(nid));
	return end;
}

int host_init(void)
{
	int cpu, err;

	/* The shrinker drains, too. */
	drains = alloc_workqueue("unmapped_drain", WQ_MEM_RECLAIM | WQ_PERCPU, 0);
	if (!drains)
		return -ENOMEM;
	for_each_possible_cpu(cpu)
		INIT_WORK(per_cpu_ptr(&drain_works, cpu), drain_this_cpu);
	err = allocator_init(&unmapped_allocator, &host_ops, NULL, nr_node_ids,
			     host_end_pfn());
	if (err)
		destroy_workqueue(drains);
	return err;
}

void host_exit(void)
{
	unsigned long left;

	host_shrink(ULONG_MAX);
	left = host_pages_allocated() - poisoned_pages();
	WARN_ONCE(left, "unmapped: leak: %lu pages remain absent for good\n", left);
	allocator_destroy(&unmapped_allocator);
	destroy_workqueue(drains);
	direct_map_exit();
}
