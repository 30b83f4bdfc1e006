// SPDX-License-Identifier: GPL-2.0
/*
 * page_cost - what the page allocator costs, for kernels with the series and
 * without it.
 *
 * When it is loaded it allocates and frees in loops with interrupts off, so that
 * nothing else runs, and says in the log how long each took.  With QEMU's -icount a
 * nanosecond is an instruction.
 */
#define pr_fmt(fmt) "page-cost: " fmt

#include <linux/gfp.h>
#include <linux/irqflags.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pagemap.h>

#define ROUNDS 1000
#define BATCH  512
#define LIST   16

static struct page *pages[BATCH];

/* One page at a time: from the CPU's list and back. */
static bool pairs(unsigned int order)
{
	struct page *page;
	unsigned int i;

	for (i = 0; i < ROUNDS; i++) {
		page = alloc_pages(GFP_ATOMIC | __GFP_NOWARN, order);
		if (!page)
			return false;
		__free_pages(page, order);
	}
	return true;
}

/* Freed by its last reference. */
static bool references(unsigned int order)
{
	struct page *page;
	unsigned int i;

	for (i = 0; i < ROUNDS; i++) {
		page = alloc_pages(GFP_ATOMIC | __GFP_NOWARN | __GFP_COMP, order);
		if (!page)
			return false;
		put_page(page);
	}
	return true;
}

/* More at a time than the CPU's list has: from the zone and back. */
static bool batches(unsigned int order)
{
	unsigned int i, n;
	bool good = true;

	for (i = 0; i < ROUNDS / BATCH + 1; i++) {
		for (n = 0; n < BATCH; n++) {
			pages[n] = alloc_pages(GFP_ATOMIC | __GFP_NOWARN, order);
			good &= !!pages[n];
		}
		for (n = 0; n < BATCH; n++)
			if (pages[n])
				__free_pages(pages[n], order);
	}
	return good;
}

/* Freed as a list, as munmap(2) and truncation do: from the CPU's list and back. */
static bool lists(unsigned int order)
{
	unsigned int i, n;
	bool good = true;

	for (i = 0; i < ROUNDS / LIST + 1; i++) {
		for (n = 0; n < LIST; n++) {
			pages[n] = alloc_pages(GFP_ATOMIC | __GFP_NOWARN, order);
			if (!pages[n])
				break;
		}
		good &= n == LIST;
		release_pages(pages, n);
	}
	return good;
}

static void measure(const char *name, bool (*loop)(unsigned int order),
		    unsigned int order)
{
	unsigned long flags;
	unsigned int i;
	bool good;
	u64 ns;

	/* The second time counts: code, tables and lists are there. */
	for (i = 0; i < 2; i++) {
		local_irq_save(flags);
		ns = ktime_get_raw_ns();
		good = loop(order);
		ns = ktime_get_raw_ns() - ns;
		local_irq_restore(flags);
		cond_resched();
	}
	if (good)
		pr_info("row page_%s_%u %llu\n", name, order, ns);
	else
		pr_info("no memory for %s, order %u\n", name, order);
}

static int __init page_cost_init(void)
{
	measure("pair", pairs, 0);
	measure("put", references, 0);
	measure("batch", batches, 0);
	measure("list", lists, 0);
	measure("pair", pairs, 3);
	measure("pair", pairs, 9);
	measure("put", references, 9);
	return 0;
}

module_init(page_cost_init);
MODULE_DESCRIPTION("What the page allocator costs");
MODULE_LICENSE("GPL");
