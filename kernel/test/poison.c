// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of pages with memory errors.
 *
 * /sys/kernel/debug/unmapped_test/
 *	poison		read: the tests, as TAP; each takes a few pages for good
 *	poison-page	write 1: a page is freed that has an error, 2: a page that is
 *			free already has one from now on
 *	poison-outside	read: "N of M": how many of all free blocks of the system have
 *			the page of poison-page
 */
#include <linux/debugfs.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/page-flags.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/unmapped.h>

#include "test.h"

#define MANY 4096UL

static struct page *poisoned; /* by poison-page */

/* Whether a page is among all that can be had without a refill, and many more. */
static bool is_given(struct page *page)
{
	struct page **pages = kvcalloc(MANY, sizeof(*pages), GFP_KERNEL);
	unsigned long got, i;
	bool found = false;

	if (!pages)
		return true;
	got = unmapped_pages_alloc_bulk(NUMA_NO_NODE, ZEROED, MANY, pages);
	for (i = 0; i < got; i++)
		found |= pages[i] == page;
	while (got)
		unmapped_pages_free(pages[--got], 0);
	kvfree(pages);
	return found;
}

static void test_in_use(struct seq_file *m, unsigned int order, unsigned int index)
{
	struct page *page = unmapped_pages_alloc(ZEROED, order);

	ok(m, page, "order %u", order);
	if (!page)
		return;
	SetPageHWPoison(page + index);
	unmapped_pages_free(page, order);
	ok(m, !is_given(page + index), "page %u of it had an error: it is not given out",
	   index);
	ok(m, !order || is_given(page + (index ? index - 1 : 1)), "the one beside it is");
}

static void test_in_cache(struct seq_file *m)
{
	struct page *page = unmapped_pages_alloc(ZEROED, 0), *next;

	ok(m, page, "a page");
	if (!page)
		return;
	unmapped_pages_free(page, 0);
	next = unmapped_pages_alloc(ZEROED, 0);
	ok(m, next == page, "control: the next one is the same");
	unmapped_pages_free(next, 0);
	SetPageHWPoison(page);
	next = unmapped_pages_alloc(ZEROED, 0);
	ok(m, next && next != page, "after an error: another one");
	unmapped_pages_free(next, 0);
	ok(m, !is_given(page), "nor later");
}

static void test_bulk(struct seq_file *m)
{
	struct page *pages[16], *bad;
	unsigned long got, i;
	bool good = true;

	got = unmapped_pages_alloc_bulk(NUMA_NO_NODE, ZEROED, 16, pages);
	ok(m, got == 16, "16 pages");
	if (!got)
		return;
	bad = pages[0];
	while (got)
		unmapped_pages_free(pages[--got], 0);
	SetPageHWPoison(bad);
	got = unmapped_pages_alloc_bulk(NUMA_NO_NODE, ZEROED, 16, pages);
	for (i = 0; i < got; i++)
		good &= pages[i] != bad && page_count(pages[i]) == 1;
	ok(m, good && got == 15, "with an error in one: the %lu others", got);
	while (got)
		unmapped_pages_free(pages[--got], 0);
}

static int poison_show(struct seq_file *m, void *v)
{
	if (!IS_ENABLED(CONFIG_MEMORY_FAILURE)) {
		seq_puts(m, "1..0 # SKIP this kernel knows of no memory errors\n");
		return 0;
	}
	number = 0;
	test_in_use(m, 0, 0);
	test_in_use(m, 3, 0);
	test_in_use(m, 3, 5);
	test_in_use(m, 9, 511);
	test_in_use(m, 9, 256);
	test_in_cache(m);
	test_bulk(m);
	seq_printf(m, "1..%u\n", number);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(poison);

static int poison_page_set(void *unused, u64 val)
{
	if (!IS_ENABLED(CONFIG_MEMORY_FAILURE))
		return -EOPNOTSUPP;
	if (val != 1 && val != 2)
		return -EINVAL;
	poisoned = unmapped_pages_alloc(ZEROED, 0);
	if (!poisoned)
		return -ENOMEM;
	if (val == 1)
		SetPageHWPoison(poisoned);
	unmapped_pages_free(poisoned, 0);
	SetPageHWPoison(poisoned);
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(poison_page_fops, NULL, poison_page_set, "%llu\n");

/*
 * Takes all free blocks there are, without making any.  A CPU keeps some for either
 * kind of request.
 */
static int poison_outside_show(struct seq_file *m, void *v)
{
	gfp_t gfp = GFP_NOWAIT | __GFP_NOWARN | __GFP_MEMALLOC;
	unsigned long nr = 0, found = 0;
	struct page *page, *next;
	LIST_HEAD(blocks);

	if (!poisoned)
		return -ENODATA;
	for (;;) {
		page = alloc_pages(gfp | __GFP_MOVABLE, BLOCK_ORDER);
		if (!page)
			page = alloc_pages(gfp, BLOCK_ORDER);
		if (!page)
			break;
		list_add(&page->lru, &blocks);
		found += poisoned >= page && poisoned < page + BLOCK_PAGES;
		nr++;
		cond_resched();
	}
	list_for_each_entry_safe(page, next, &blocks, lru) {
		list_del(&page->lru);
		__free_pages(page, BLOCK_ORDER);
	}
	seq_printf(m, "%lu of %lu\n", found, nr);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(poison_outside);

void poison_test_init(struct dentry *dir)
{
	debugfs_create_file("poison", 0400, dir, NULL, &poison_fops);
	debugfs_create_file_unsafe("poison-page", 0200, dir, NULL, &poison_page_fops);
	debugfs_create_file("poison-outside", 0400, dir, NULL, &poison_outside_fops);
}
