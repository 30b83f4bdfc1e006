// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of allocation and free, up to 2 MiB.
 *
 * /sys/kernel/debug/unmapped_test/
 *	run	read: the tests, as TAP
 *	misuse	read: double and wild frees, as TAP; they leave warnings behind
 */
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/irq_work.h>
#include <linux/mm.h>
#include <linux/smp.h>
#include <linux/unmapped.h>

#include "test.h"

static void test_orders(struct seq_file *m)
{
	unsigned int order;
	struct page *page;

	for (order = 0; order <= 9; order++) {
		page = unmapped_pages_alloc(ZEROED, order);
		ok(m, page, "order %u is allocated", order);
		if (!page)
			continue;
		ok(m, !(page_to_pfn(page) & ((1UL << order) - 1)), "and aligned");
		ok(m, all_absent(page, order), "and absent");
		ok(m, all_counted(page, order), "each page has a reference");
		ok(m, holds(page, order, 0), "and reads zero");
		fill(page, order, 0x5a);
		unmapped_pages_free(page, order);
		page = unmapped_pages_alloc(ZEROED, order);
		ok(m, page && holds(page, order, 0), "zero again when used again");
		unmapped_pages_free(page, order);
	}
	ok(m, !unmapped_pages_alloc(ZEROED | __GFP_NOWARN, UNMAPPED_MAX_ORDER + 1),
	   "a larger order is refused");
	ok(m, !unmapped_pages_alloc_node(MAX_NUMNODES, ZEROED | __GFP_NOWARN, 0),
	   "a node that there is not is refused");
	unmapped_pages_free(NULL, 0);
	ok(m, true, "NULL is freed without harm");
}

static void test_split_free(struct seq_file *m)
{
	struct page *page = unmapped_pages_alloc(ZEROED, 4), *half;
	unsigned int i;

	ok(m, page, "order 4");
	if (!page)
		return;
	for (i = 0; i < 8; i++)
		unmapped_pages_free(page + i, 0);
	half = page + 8;
	ok(m, all_counted(half, 3) && holds(half, 3, 0),
	   "freed by halves: the rest stays");
	unmapped_pages_free(half, 3);
}

static void test_bulk(struct seq_file *m)
{
	const unsigned long nr = 2000;
	struct page **pages = kvcalloc(nr, sizeof(*pages), GFP_KERNEL);
	unsigned long i, got, bad = 0;

	if (!pages) {
		ok(m, false, "memory for a test");
		return;
	}
	got = unmapped_pages_alloc_bulk(NUMA_NO_NODE, ZEROED, nr, pages);
	ok(m, got == nr, "%lu of %lu pages in bulk", got, nr);
	for (i = 0; i < got; i++) {
		bad += !all_absent(pages[i], 0) || !all_counted(pages[i], 0);
		fill(pages[i], 0, (u8)i);
	}
	for (i = 0; i < got; i++)
		bad += !holds(pages[i], 0, (u8)i);
	ok(m, !bad, "all absent, counted, and none given twice (%lu are not)", bad);
	for (i = 0; i < got; i++)
		unmapped_pages_free(pages[i], 0);
	kvfree(pages);
}

/*
 * Clean pages are given first, so all there are must be taken to see the others;
 * in bulk, since to ask for one more at a time lets the cache be refilled ahead.
 */
static void test_dirty(struct seq_file *m)
{
	const unsigned long max = totalram_pages();
	struct page **pages = kvcalloc(max, sizeof(*pages), GFP_KERNEL);
	struct page *dirty = unmapped_pages_alloc(GFP_KERNEL, 9);
	unsigned long nr, i, leaks = 0, found = 0, first = 0;

	ok(m, pages && dirty, "without __GFP_ZERO");
	if (!pages || !dirty)
		goto out;
	first = page_to_pfn(dirty);
	fill(dirty, 9, 0xd1);
	unmapped_pages_free(dirty, 9);
	dirty = NULL;
	nr = unmapped_pages_alloc_bulk(
		NUMA_NO_NODE, GFP_NOWAIT | __GFP_ZERO | __GFP_NOWARN, max, pages);
	for (i = 0; i < nr; i++) {
		leaks += !holds(pages[i], 0, 0);
		found += page_to_pfn(pages[i]) - first < 512;
	}
	ok(m, found == 512, "all pages it had are used again (%lu; %lu in all)", found,
	   nr);
	ok(m, !leaks, "what it left is never seen by one who asks for zero");
	while (nr--)
		unmapped_pages_free(pages[nr], 0);
out:
	unmapped_pages_free(dirty, 9);
	kvfree(pages);
}

/* What one who may not wait did not get is there a moment later. */
static void test_ahead(struct seq_file *m)
{
	const unsigned long max = totalram_pages();
	struct page **pages = kvcalloc(max, sizeof(*pages), GFP_KERNEL);
	struct page *page = NULL;
	unsigned long nr, i;

	if (!pages) {
		ok(m, false, "memory for a test");
		return;
	}
	nr = unmapped_pages_alloc_bulk(
		NUMA_NO_NODE, GFP_NOWAIT | __GFP_ZERO | __GFP_NOWARN, max, pages);
	for (i = 0; i < 500 && !page; i++) {
		page = unmapped_pages_alloc(GFP_NOWAIT | __GFP_ZERO | __GFP_NOWARN, 0);
		if (!page)
			msleep(20);
	}
	ok(m, i && page && is_absent(page),
	   "GFP_NOWAIT: refilled behind the one it failed (%lu ms)", i * 20);
	unmapped_pages_free(page, 0);
	while (nr--)
		unmapped_pages_free(pages[nr], 0);
	kvfree(pages);
}

struct in_irq {
	struct irq_work work;
	struct page *page;
	unsigned int order;
	bool hard;
};

static void alloc_in_irq(struct irq_work *work)
{
	struct in_irq *w = container_of(work, struct in_irq, work);

	w->hard = in_hardirq();
	w->page = unmapped_pages_alloc(GFP_ATOMIC | __GFP_ZERO, w->order);
}

static void free_in_irq(struct irq_work *work)
{
	struct in_irq *w = container_of(work, struct in_irq, work);

	unmapped_pages_free(w->page, w->order);
}

static void test_in_irq(struct seq_file *m, unsigned int order)
{
	struct page *page = unmapped_pages_alloc(ZEROED, order);
	struct in_irq w = { .order = order };

	unmapped_pages_free(page, order); /* the cache has such a one now */
	init_irq_work(&w.work, alloc_in_irq);
	irq_work_queue(&w.work);
	irq_work_sync(&w.work);
	ok(m, w.hard && w.page && all_absent(w.page, order),
	   "GFP_ATOMIC in a hard interrupt, order %u", order);
	if (!w.page)
		return;
	fill(w.page, order, 0x77);
	init_irq_work(&w.work, free_in_irq);
	irq_work_queue(&w.work);
	irq_work_sync(&w.work);
	page = unmapped_pages_alloc(GFP_NOWAIT | __GFP_ZERO | __GFP_NOWARN, order);
	ok(m, page && holds(page, order, 0), "freed in one: zero when used again");
	unmapped_pages_free(page, order);
}

static void test_contexts(struct seq_file *m)
{
	struct page *page = unmapped_pages_alloc(ZEROED, 0), *atomic;
	unsigned long flags;

	unmapped_pages_free(page, 0); /* the cache holds something now */

	local_irq_save(flags);
	atomic = unmapped_pages_alloc(GFP_NOWAIT | __GFP_ZERO, 0);
	local_irq_restore(flags);
	ok(m, atomic && is_absent(atomic), "GFP_NOWAIT with interrupts off");
	local_irq_save(flags);
	unmapped_pages_free(atomic, 0);
	local_irq_restore(flags);

	test_in_irq(m, 0);
	test_in_irq(m, 3);
	test_in_irq(m, 9);
}

static void test_map_local(struct seq_file *m)
{
	struct page *pages[4];
	void *addr[4];
	bool good = true;
	int i;

	for (i = 0; i < 4; i++)
		pages[i] = unmapped_pages_alloc(ZEROED, 0);
	for (i = 0; i < 4; i++)
		addr[i] = unmapped_map_local(pages[i]);
	for (i = 0; i < 4; i++)
		memset(addr[i], 0x10 + i, PAGE_SIZE);
	for (i = 3; i >= 0; i--)
		unmapped_unmap_local(addr[i]);
	for (i = 0; i < 4; i++)
		good &= holds(pages[i], 0, (u8)(0x10 + i));
	ok(m, good, "unmapped_map_local() nests four deep");
	for (i = 0; i < 4; i++)
		unmapped_pages_free(pages[i], 0);
}

#ifdef CONFIG_MEMCG
static bool all_charged(struct page *page, unsigned int order, unsigned long charge)
{
	unsigned long i;

	for (i = 0; i < 1UL << order; i++)
		if (page[i].memcg_data != charge)
			return false;
	return true;
}

/* In the root cgroup nothing is charged: tests/vm/guest/memcg.c runs this in another. */
static void test_account(struct seq_file *m)
{
	struct page *run, *block, *single[8];
	unsigned long charge, i, got;

	run = unmapped_pages_alloc(ZEROED | __GFP_ACCOUNT, 3);
	block = unmapped_pages_alloc(ZEROED | __GFP_ACCOUNT, 9);
	got = unmapped_pages_alloc_bulk(NUMA_NO_NODE, ZEROED | __GFP_ACCOUNT,
					ARRAY_SIZE(single), single);
	ok(m, run && block && got == ARRAY_SIZE(single), "with __GFP_ACCOUNT");
	if (!run || !block)
		return;
	charge = run->memcg_data;
	ok(m, all_charged(run, 3, charge) && all_charged(block, 9, charge),
	   "all pages %s",
	   charge ? "are charged" : "of the root cgroup's are not charged");
	for (i = 0; i < 8; i++)
		unmapped_pages_free(run + i, 0);
	unmapped_pages_free(block, 8);
	for (i = 256; i < 512; i += 4)
		unmapped_pages_free(block + i, 2);
	for (i = 0; i < got; i++)
		unmapped_pages_free(single[i], 0);
	ok(m, all_charged(run, 3, 0) && all_charged(block, 9, 0), "until they are freed");
}
#else
static void test_account(struct seq_file *m)
{
}
#endif

static int run_show(struct seq_file *m, void *v)
{
	number = 0;
	test_orders(m);
	test_split_free(m);
	test_bulk(m);
	test_dirty(m);
	test_ahead(m);
	test_contexts(m);
	test_map_local(m);
	test_account(m);
	test_restored(m);
	seq_printf(m, "1..%u\n", number);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(run);

static int misuse_show(struct seq_file *m, void *v)
{
	struct page *page, *other;

	number = 0;
	page = unmapped_pages_alloc(ZEROED, 0);
	ok(m, page, "a page");
	if (!page)
		return 0;
	get_page(page);
	unmapped_pages_free(page, 0);
	ok(m, page_count(page) == 2 && is_absent(page), "freed while referenced: kept");
	put_page(page);
	unmapped_pages_free(page, 0);
	unmapped_pages_free(page, 0);
	other = unmapped_pages_alloc(ZEROED, 0);
	ok(m, page_count(page) == (other == page), "freed twice: refused");
	page = unmapped_pages_alloc(ZEROED, 0);
	ok(m, page && page != other, "and not given twice");
	unmapped_pages_free(other, 0);
	unmapped_pages_free(page, 0);

	page = alloc_page(GFP_KERNEL);
	unmapped_pages_free(page, 0);
	ok(m, page && page_count(page) == 0 && !is_absent(page),
	   "a page of others: refused, and present");
	seq_printf(m, "1..%u\n", number);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(misuse);

void api_test_init(struct dentry *dir)
{
	debugfs_create_file("run", 0400, dir, NULL, &run_fops);
	debugfs_create_file("misuse", 0400, dir, NULL, &misuse_fops);
}
