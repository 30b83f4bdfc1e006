// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of orders above 9.
 *
 * /sys/kernel/debug/unmapped_test/
 *	runs		read: the tests, as TAP; they want 1.5 GiB
 *	run_alloc	write: an order to allocate and fill with 0x5a; read: its
 *			first pfn and the level of its entry in the direct map, 0 0 for
 *			none
 *	run_free	write: an order, to free so much of its beginning
 */
#include <linux/debugfs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/uaccess.h>
#include <linux/unmapped.h>

#include "test.h"

/* Of every 512 pages one, and it is 1 GiB that is filled and looked at. */
#define SAMPLE 512UL

static bool run_holds(struct page *page, unsigned int order, u8 byte)
{
	unsigned long i;

	for (i = 0; i < 1UL << order; i += SAMPLE)
		if (!holds(page + i + i / SAMPLE % SAMPLE, 0, byte))
			return false;
	return true;
}

static void run_fill(struct page *page, unsigned int order, u8 byte)
{
	unsigned long i;

	for (i = 0; i < 1UL << order; i += SAMPLE)
		fill(page + i + i / SAMPLE % SAMPLE, 0, byte);
}

static void test_run(struct seq_file *m, unsigned int order)
{
	struct page *page = unmapped_pages_alloc(ZEROED, order), *again;
	unsigned long i;

	ok(m, page, "order %u is allocated", order);
	if (!page)
		return;
	ok(m, !(page_to_pfn(page) & ((1UL << order) - 1)), "and aligned");
	ok(m, all_absent(page, order), "and absent");
	ok(m, all_counted(page, order), "each page has a reference");
	ok(m, run_holds(page, order, 0), "and reads zero");
	run_fill(page, order, 0x5a);
	for (i = 0; i < BLOCK_PAGES; i++)
		unmapped_pages_free(page + i, 0);
	for (; i < 1UL << order; i += BLOCK_PAGES)
		unmapped_pages_free(page + i, BLOCK_ORDER);
	again = unmapped_pages_alloc(GFP_NOWAIT | __GFP_ZERO | __GFP_NOWARN, order - 1);
	ok(m, again && run_holds(again, order - 1, 0),
	   "freed block by block: the cache has half of it, zeroed");
	unmapped_pages_free(again, order - 1);
}

/* More than there can be: some succeed, the next fails and takes nothing. */
static void test_exhaustion(struct seq_file *m)
{
	struct page *pages[64];
	unsigned int nr = 0;

	while (nr < ARRAY_SIZE(pages)) {
		pages[nr] = unmapped_pages_alloc(GFP_KERNEL | __GFP_NOWARN, 18);
		if (!pages[nr])
			break;
		nr++;
	}
	ok(m, nr && nr < ARRAY_SIZE(pages), "%u times 1 GiB, and then no more", nr);
	while (nr--)
		unmapped_pages_free(pages[nr], 18);
}

static int runs_show(struct seq_file *m, void *v)
{
	number = 0;
	test_run(m, 10);
	test_run(m, 13);
	test_run(m, 18);
	ok(m,
	   !unmapped_pages_alloc(GFP_NOWAIT | __GFP_NOWARN, 18) ||
		   !unmapped_pages_alloc(GFP_NOWAIT | __GFP_NOWARN, 18),
	   "without sleeping only what is cached is given");
	test_exhaustion(m);
	test_restored(m);
	seq_printf(m, "1..%u\n", number);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(runs);

static struct page *run;
static unsigned long run_left; /* pages of it, at its end */
static unsigned long run_at;

static int run_free_set(void *unused, u64 order)
{
	if (!run || order > UNMAPPED_MAX_ORDER || 1UL << order > run_left)
		return -EINVAL;
	unmapped_pages_free(run + run_at, (unsigned int)order);
	run_at += 1UL << order;
	run_left -= 1UL << order;
	if (!run_left)
		run = NULL;
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(run_free_fops, NULL, run_free_set, "%llu\n");

static ssize_t run_alloc_write(struct file *file, const char __user *ubuf, size_t len,
			       loff_t *pos)
{
	unsigned int order;
	int err = kstrtouint_from_user(ubuf, len, 0, &order);

	if (err)
		return err;
	if (run)
		return -EBUSY;
	run = unmapped_pages_alloc(ZEROED | __GFP_NOWARN, order);
	if (!run)
		return -ENOMEM;
	run_at = 0;
	run_left = 1UL << order;
	run_fill(run, order, 0x5a);
	return (ssize_t)len;
}

static int run_alloc_show(struct seq_file *m, void *v)
{
	seq_printf(m, "%lu %u\n", run ? page_to_pfn(run) : 0, run ? level_of(run) : 0);
	return 0;
}

static int run_alloc_open(struct inode *inode, struct file *file)
{
	return single_open(file, run_alloc_show, NULL);
}

static const struct file_operations run_alloc_fops = {
	.owner = THIS_MODULE,
	.open = run_alloc_open,
	.read = seq_read,
	.write = run_alloc_write,
	.llseek = seq_lseek,
	.release = single_release,
};

void runs_test_init(struct dentry *dir)
{
	debugfs_create_file("runs", 0400, dir, NULL, &runs_fops);
	debugfs_create_file("run_alloc", 0600, dir, NULL, &run_alloc_fops);
	debugfs_create_file_unsafe("run_free", 0200, dir, NULL, &run_free_fops);
}

void runs_test_exit(void)
{
	while (run)
		run_free_set(NULL, __ffs(run_at | run_left));
}
