// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of what unmapped.ko exports, from kernel code.  For virtual machines.
 *
 * /sys/kernel/debug/unmapped_test/
 *	run	read: the tests, as TAP
 *	levels	read: for each GiB of memory the level of the entry of its first
 *		page in the direct map (1 to 3: 4 KiB, 2 MiB, 1 GiB; 0: none)
 *	misuse	read: double and wild frees, as TAP; they leave warnings behind
 *	hold	write: how many whole blocks to hold from now on
 *	runs	read: tests of orders above 9, as TAP; they want 1.5 GiB
 *	run_alloc	write: an order to allocate and fill with 0x5a; read: its
 *		first pfn and the level of its entry in the direct map, 0 0 for none
 *	run_free	write: an order, to free so much of its beginning
 *	spoil	write: a pfn; somebody else changes the direct-map entry of a block at
 *		it or above, which is free then; when that is given back it ends in
 *		quarantine, with a warning
 * and those of map_local.c, vmap.c, poison.c and bench.c.
 */
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/irq_work.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/seq_file.h>
#include <linux/smp.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include <linux/unmapped.h>
#include <asm/pgtable_types.h>

#include "test.h"

static struct dentry *dir;

unsigned int number;

/* --- what is true of a page ----------------------------------------------- */

static bool is_absent(struct page *page)
{
	unsigned int level;
	pte_t *pte = lookup_address((unsigned long)page_address(page), &level);

	return pte && !(pte_val(*pte) & _PAGE_PRESENT);
}

static unsigned int level_of(struct page *page)
{
	unsigned int level;

	return lookup_address((unsigned long)page_address(page), &level) ? level : 0;
}

static bool is_present_and_global(struct page *page)
{
	pgprotval_t want = _PAGE_PRESENT | (__default_kernel_pte_mask & _PAGE_GLOBAL);
	unsigned int level;
	pte_t *pte = lookup_address((unsigned long)page_address(page), &level);

	return pte && (pte_val(*pte) & want) == want;
}

static bool all_absent(struct page *page, unsigned int order)
{
	unsigned long i;

	for (i = 0; i < 1UL << order; i++)
		if (!is_absent(page + i))
			return false;
	return true;
}

static bool all_counted(struct page *page, unsigned int order)
{
	unsigned long i;

	for (i = 0; i < 1UL << order; i++)
		if (page_count(page + i) != 1)
			return false;
	return true;
}

bool reads(const void *addr)
{
	u64 value;

	return !copy_from_kernel_nofault(&value, addr, sizeof(value));
}

bool holds(struct page *page, unsigned int order, u8 byte)
{
	bool same = true;
	unsigned long i;
	void *addr;

	for (i = 0; same && i < 1UL << order; i++) {
		addr = unmapped_map_local(page + i);
		same = !memchr_inv(addr, byte, PAGE_SIZE);
		unmapped_unmap_local(addr);
	}
	return same;
}

void fill(struct page *page, unsigned int order, u8 byte)
{
	unsigned long i;
	void *addr;

	for (i = 0; i < 1UL << order; i++) {
		addr = unmapped_map_local(page + i);
		memset(addr, byte, PAGE_SIZE);
		unmapped_unmap_local(addr);
	}
}

/* --- tests ---------------------------------------------------------------- */

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

/* Wherever the pages came from: back in the direct map as they were there. */
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

static void test_restored(struct seq_file *m)
{
	unsigned long bad = 0, nr = 0;
	struct page *pages[64];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(pages); i++) {
		pages[i] = alloc_pages(GFP_KERNEL | __GFP_NOWARN, 9);
		if (!pages[i])
			break;
		for (nr = 0; nr < 512; nr++)
			bad += !is_present_and_global(pages[i] + nr);
	}
	ok(m, i && !bad, "free memory is present and global (%lu of it is not)", bad);
	while (i--)
		__free_pages(pages[i], 9);
}

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

/* --- orders above 9 ------------------------------------------------------- */

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
	for (i = 0; i < 512; i++)
		unmapped_pages_free(page + i, 0);
	for (; i < 1UL << order; i += 512)
		unmapped_pages_free(page + i, 9);
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

static int levels_show(struct seq_file *m, void *v)
{
	unsigned long pfn, end = 0;
	unsigned int level;
	int nid;

	for_each_online_node(nid)
		end = max(end, node_end_pfn(nid));
	for (pfn = 0; pfn < end; pfn += 1UL << 18) {
		if (!lookup_address((unsigned long)__va(PFN_PHYS(pfn)), &level))
			level = 0;
		seq_printf(m, "%u ", level);
	}
	seq_putc(m, '\n');
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(levels);

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

/* --- blocks to hold ------------------------------------------------------- */

static struct page **held;
static unsigned long nr_held;

static int hold_set(void *unused, u64 nr)
{
	const unsigned long max = 1UL << 20;

	if (nr > max)
		return -EINVAL;
	if (!held)
		held = kvcalloc(max, sizeof(*held), GFP_KERNEL);
	if (!held)
		return -ENOMEM;
	while (nr_held > nr) {
		unmapped_pages_free(held[--nr_held], 9);
		cond_resched();
	}
	while (nr_held < nr) {
		held[nr_held] = unmapped_pages_alloc(ZEROED, 9);
		if (!held[nr_held])
			return -ENOMEM;
		nr_held++;
		cond_resched();
	}
	return 0;
}

static int hold_get(void *unused, u64 *nr)
{
	*nr = nr_held;
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(hold_fops, hold_get, hold_set, "%llu\n");

/* --- a broken block ------------------------------------------------------- */

static int spoil(struct page *page)
{
	unsigned int level;
	pte_t *entry = lookup_address((unsigned long)page_address(page), &level);

	if (!entry || level != PG_LEVEL_2M)
		return -EIO;
	set_pmd((pmd_t *)entry,
		__pmd(pte_val(pfn_pte(page_to_pfn(page), PAGE_KERNEL_LARGE))));
	return 0;
}

static int spoil_set(void *unused, u64 pfn)
{
	const unsigned int max = 4096;
	struct page **pages = kvcalloc(max, sizeof(*pages), GFP_KERNEL);
	unsigned int nr = 0;
	int err = -ENOMEM;

	if (!pages)
		return err;
	for (; err && nr < max; nr++) {
		pages[nr] = unmapped_pages_alloc(ZEROED, 9);
		if (!pages[nr])
			break;
		if (page_to_pfn(pages[nr]) >= pfn)
			err = spoil(pages[nr]);
	}
	while (nr--)
		unmapped_pages_free(pages[nr], 9);
	kvfree(pages);
	return err;
}
DEFINE_DEBUGFS_ATTRIBUTE(spoil_fops, NULL, spoil_set, "%llu\n");

/* --- a reference of somebody else, as KVM may have one for a moment -------- */

static struct page *pinned;

static int pin_set(void *unused, u64 pfn)
{
	if (pinned)
		put_page(pinned);
	pinned = NULL;
	if (!pfn)
		return 0;
	if (!pfn_valid(pfn) || !get_page_unless_zero(pfn_to_page(pfn)))
		return -ENXIO;
	pinned = pfn_to_page(pfn);
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(pin_fops, NULL, pin_set, "%llu\n");

static int __init test_init(void)
{
	dir = debugfs_create_dir("unmapped_test", NULL);
	debugfs_create_file("run", 0400, dir, NULL, &run_fops);
	debugfs_create_file("runs", 0400, dir, NULL, &runs_fops);
	debugfs_create_file("run_alloc", 0600, dir, NULL, &run_alloc_fops);
	debugfs_create_file_unsafe("run_free", 0200, dir, NULL, &run_free_fops);
	debugfs_create_file("levels", 0400, dir, NULL, &levels_fops);
	debugfs_create_file("misuse", 0400, dir, NULL, &misuse_fops);
	debugfs_create_file_unsafe("hold", 0600, dir, NULL, &hold_fops);
	debugfs_create_file_unsafe("spoil", 0200, dir, NULL, &spoil_fops);
	debugfs_create_file_unsafe("pin", 0200, dir, NULL, &pin_fops);
	bench_init(dir);
	map_local_test_init(dir);
	poison_test_init(dir);
	vmap_test_init(dir);
	return 0;
}

static void __exit test_exit(void)
{
	debugfs_remove(dir);
	vmap_test_exit();
	pin_set(NULL, 0);
	hold_set(NULL, 0);
	while (run)
		run_free_set(NULL, __ffs(run_at | run_left));
	kvfree(held);
}

module_init(test_init);
module_exit(test_exit);
MODULE_DESCRIPTION("Tests of the in-kernel API of unmapped");
MODULE_LICENSE("GPL");
