/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * All that the core needs from where it runs.
 *
 * The core is kernel C: it is written with the kernel's own names (atomic_t,
 * list_head, spinlock_t, this_cpu_cmpxchg(), ...).  In the kernel those come
 * from the kernel's headers; elsewhere platform_user.h defines the few that
 * are used here, and is stricter about them than the kernel is.  Everything
 * that touches memory or the direct map goes through struct um_host_ops.
 *
 * No file of the core includes anything but this header and the core's own.
 */
#ifndef UM_PLATFORM_H
#define UM_PLATFORM_H

#ifdef __KERNEL__
#include "platform_kernel.h"
#else
#include "platform_user.h"
#endif

/* A block is what one PMD entry of the direct map covers, a region a PUD. */
#define BLOCK_ORDER   9U
#define BLOCK_PAGES   (1U << BLOCK_ORDER)
#define REGION_ORDER  18U
#define REGION_BLOCKS (1U << (REGION_ORDER - BLOCK_ORDER))

/* Metadata is asked for while memory is short: rather fail than kill for it. */
#define GFP_METADATA (GFP_KERNEL | __GFP_RETRY_MAYFAIL | __GFP_NOWARN)

/* Request flags of the core; see struct um_host_ops for those of get(). */
#define UM_ZERO	    (1U << 0) /* the pages must read as zero */
#define UM_NOWAIT   (1U << 1) /* only what the cache holds; any context */
#define UM_THISNODE (1U << 2) /* no other node will do */
/*
 * Give up soon.  get(): rather than reclaim.  A request: rather than ask a node
 * again that had nothing a moment ago.
 */
#define UM_TRY (1U << 3)

/* What unmap() and map() had to split, as bits of their return value. */
#define UM_SPLIT_2M  (1 << 0) /* a 2 MiB entry into 4 KiB entries */
#define UM_SPLIT_1G  (1 << 1) /* a 1 GiB entry into 2 MiB entries */
#define UM_ONE_ENTRY (1 << 2) /* nothing: unmap() made a 1 GiB entry absent */

/*
 * What the core tells of itself: tracepoints in the kernel (trace.h says
 * what the arguments are), nothing in user space.
 *
 *	um_trace_refill(nid, order, want, blocks, pieces, err)
 *	um_trace_fallback(nid, order, largest, pieces)
 *	um_trace_shrink(nid, nr, released)
 *	um_trace_split(pfn, order)
 *	um_trace_heal(pfn, order)
 */

struct allocator;

/**
 * struct um_host_ops - the machine under the core
 * @get:	take 2^@order naturally aligned pages of node @nid from the
 *		system, present in the direct map and zeroed.  @flags: UM_TRY.
 *		Return: 0 with *@pfn set, or -ENOMEM.  May sleep.
 * @get_near:	the same of what is free now of one region, that of *@pfn, the
 *		first of it from *@pfn on: a block at least, 2^*@order pages at
 *		most.  Return: 0 with both set to what was taken, or -ENOMEM.
 *		May sleep.
 * @put:	give 2^@order pages back to the system.  They are present.
 *		Does not sleep.
 * @unmap:	make 2^@order pages absent.  An entry that maps no other page
 *		stays as large as it is.  Others are split: to 2 MiB for blocks
 *		and more, to 4 KiB for less.  Stale translations may remain
 *		until @flush.  Return: UM_SPLIT_* bits, UM_ONE_ENTRY, or a
 *		negative errno with every page of the range present.  May sleep.
 * @map:	make 2^@order absent pages present again, by the entries there
 *		are.  Up to BLOCK_ORDER; a block of a region that is absent by
 *		one entry splits that.  REGION_ORDER: such a region, in one
 *		step.  Return: 0, UM_SPLIT_1G, or a negative errno when the
 *		entries are not what @unmap left, and then nothing was changed.
 *		Does not sleep, and needs no memory.
 * @flush:	drop all stale kernel translations on every CPU.  May sleep.
 * @heal:	make the 4 KiB entries of the block at @pfn one 2 MiB entry,
 *		if they are alike (all present, or all absent).
 *		Return: 0, or -EBUSY with nothing changed.  May sleep.
 * @heal_region: the same for the 2 MiB entries of the region at @pfn.
 * @unbroken:	whether one present entry of 1 GiB maps the page at @pfn, so that
 *		to take a block there is to split it.  Does not sleep.
 * @zero:	clear 2^@order absent pages.  NULL where memory need not be
 *		clean.  Does not sleep.
 * @now:	a clock in nanoseconds that never goes back.
 * @wake:	call allocator_balance() for node @nid soon.  Any context.  NULL
 *		where nothing can be done later.
 * @drain:	call allocator_drain_cpu() on every CPU that holds something
 *		(allocator_cpu_holds()).  May sleep.
 * @nearest_node:	the node to ask after @prev for a request that prefers @nid,
 *		or -1 at the end.  The first call has @prev == -1.
 *
 * get() to heal_region() are never called with a lock of the core held other
 * than the cache's refill mutex.
 */
struct um_host_ops {
	int (*get)(void *host, int nid, unsigned int order, unsigned int flags,
		   unsigned long *pfn);
	int (*get_near)(void *host, int nid, unsigned int *order, unsigned long *pfn);
	void (*put)(void *host, unsigned long pfn, unsigned int order);
	int (*unmap)(void *host, unsigned long pfn, unsigned int order);
	int (*map)(void *host, unsigned long pfn, unsigned int order);
	void (*flush)(void *host);
	int (*heal)(void *host, unsigned long pfn);
	int (*heal_region)(void *host, unsigned long pfn);
	bool (*unbroken)(void *host, unsigned long pfn);
	void (*zero)(void *host, unsigned long pfn, unsigned int order);
	u64 (*now)(void *host);
	void (*wake)(void *host, int nid);
	void (*drain)(void *host, struct allocator *a);
	int (*nearest_node)(void *host, int nid, int prev);
};

/*
 * Test builds (-DUM_BREAK) break one invariant on purpose, um_break, to show
 * that a test notices.  docs/invariants.md names the test for each.
 */
#define UM_BREAK_ABSENT	  1  /* handed out while still present */
#define UM_BREAK_FLUSH	  2  /* handed out before the flush */
#define UM_BREAK_PRESENT  3  /* released while absent */
#define UM_BREAK_CLEAN	  4  /* not zeroed when freed */
#define UM_BREAK_WHOLE	  5  /* a block taken out page by page */
#define UM_BREAK_HEAL	  6  /* split entries left behind */
#define UM_BREAK_METADATA 7  /* metadata in unmapped memory */
#define UM_BREAK_CONTEXT  8  /* refill where it may not sleep */
#define UM_BREAK_TRACE	  9  /* a failed step not unwound */
#define UM_BREAK_TWICE	  10 /* a page handed out twice */
#define UM_BREAK_DIRTY	  11 /* dirty page given as a zero one */

#ifdef UM_BREAK
extern int um_break;
#define UM_BROKEN(what) (um_break == (what))
#else
#define UM_BROKEN(what) false
#endif

#endif /* UM_PLATFORM_H */
