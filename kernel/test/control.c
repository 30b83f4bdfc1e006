// SPDX-License-Identifier: GPL-2.0
/*
 * What tests of programs ask of the kernel.
 *
 * /sys/kernel/debug/unmapped_test/
 *	levels	read: for each GiB of memory the level of the entry of its first
 *		page in the direct map (1 to 3: 4 KiB, 2 MiB, 1 GiB; 0: none)
 *	hold	write: how many whole blocks to hold from now on
 *	spoil	write: a pfn; somebody else changes the direct-map entry of a block at
 *		it or above, which is free then; when that is given back it ends in
 *		quarantine, with a warning
 *	pin	write: a pfn, to hold a reference to its page until the next write;
 *		0 for none
 */
#include <linux/debugfs.h>
#include <linux/mm.h>
#include <linux/nodemask.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/unmapped.h>
#include <asm/pgtable_types.h>

#include "test.h"

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
		unmapped_pages_free(held[--nr_held], BLOCK_ORDER);
		cond_resched();
	}
	while (nr_held < nr) {
		held[nr_held] = unmapped_pages_alloc(ZEROED, BLOCK_ORDER);
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
		pages[nr] = unmapped_pages_alloc(ZEROED, BLOCK_ORDER);
		if (!pages[nr])
			break;
		if (page_to_pfn(pages[nr]) >= pfn)
			err = spoil(pages[nr]);
	}
	while (nr--)
		unmapped_pages_free(pages[nr], BLOCK_ORDER);
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

void control_init(struct dentry *dir)
{
	debugfs_create_file("levels", 0400, dir, NULL, &levels_fops);
	debugfs_create_file_unsafe("hold", 0600, dir, NULL, &hold_fops);
	debugfs_create_file_unsafe("spoil", 0200, dir, NULL, &spoil_fops);
	debugfs_create_file_unsafe("pin", 0200, dir, NULL, &pin_fops);
}

void control_exit(void)
{
	pin_set(NULL, 0);
	hold_set(NULL, 0);
	kvfree(held);
}
