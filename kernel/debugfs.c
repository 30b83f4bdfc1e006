// SPDX-License-Identifier: GPL-2.0
/*
 * /sys/kernel/debug/unmapped/
 *
 *	pagetypeinfo	free runs per node and order, blocks per node and kind
 *	stats		counters since the start, and what is held
 *	holders		who holds how much: each object with the process that made
 *			it, and the sum of all kernel callers
 *	shrink		write a number of pages, or "all": give that much back
 */
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/kstrtox.h>
#include <linux/nodemask.h>
#include <linux/seq_file.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "debugfs.h"
#include "holders.h"
#include "host.h"
#include "poison.h"

static struct dentry *dir;

static const char *const stat_names[NR_CACHE_STATS] = {
	[STAT_REFILLS] = "refills",
	[STAT_FLUSHES] = "flushes",
	[STAT_SPLITS_2M] = "splits_2m",
	[STAT_SPLITS_1G] = "splits_1g",
	[STAT_HEALS_2M] = "heals_2m",
	[STAT_HEALS_1G] = "heals_1g",
	[STAT_HEAL_ASKED] = "heal_asked",
	[STAT_HEAL_GOT] = "heal_got",
	[STAT_HEAL_MOVED] = "heal_moved",
	[STAT_BLOCKS_TAKEN] = "blocks_taken",
	[STAT_BLOCKS_RELEASED] = "blocks_released",
	[STAT_PIECES_TAKEN] = "pieces_taken",
	[STAT_PAGES_RELEASED] = "pages_released",
	[STAT_FAILURES] = "failures",
	[STAT_QUARANTINED] = "quarantined",
	[STAT_PAGES_OWNED] = "pages_owned",
};

static int pagetypeinfo_show(struct seq_file *m, void *v)
{
	struct allocator_report r;
	unsigned int order;
	int nid;

	seq_printf(m, "Page block order: %u\nPages per block:  %u\n\n", BLOCK_ORDER,
		   BLOCK_PAGES);
	seq_puts(m, "Free pages count per order ");
	for (order = 0; order <= BLOCK_ORDER; order++)
		seq_printf(m, "%6u ", order);
	seq_putc(m, '\n');
	for_each_node_state(nid, N_MEMORY) {
		allocator_report(&unmapped_allocator, nid, &r);
		seq_printf(m, "Node %4d, type %11s ", nid, "Unmapped");
		for (order = 0; order <= BLOCK_ORDER; order++)
			seq_printf(m, "%6lu ", r.free[order]);
		seq_putc(m, '\n');
	}
	seq_puts(m, "\nNumber of blocks          whole  partial     full fallback\n");
	for_each_node_state(nid, N_MEMORY) {
		allocator_report(&unmapped_allocator, nid, &r);
		seq_printf(m, "Node %4d,             %9lu %8lu %8lu %8lu\n", nid, r.whole,
			   r.partial, r.full, r.fallback);
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(pagetypeinfo);

static int stats_show(struct seq_file *m, void *v)
{
	unsigned long sum[NR_CACHE_STATS] = {}, pages_free = 0;
	struct allocator_report r;
	unsigned int i;
	int nid;

	for (nid = 0; nid < (int)unmapped_allocator.nr_nodes; nid++) {
		allocator_report(&unmapped_allocator, nid, &r);
		for (i = 0; i < NR_CACHE_STATS; i++)
			sum[i] += r.stats[i];
		pages_free += r.pages_free;
	}
	for (i = 0; i < NR_CACHE_STATS; i++)
		seq_printf(m, "%s %lu\n", stat_names[i], sum[i]);
	seq_printf(m, "pages_free %lu\npages_allocated %lu\n", pages_free,
		   sum[STAT_PAGES_OWNED] - pages_free);
	/* Of those that are allocated. */
	seq_printf(m, "pages_poisoned %lu\n", poisoned_pages());
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(stats);

static int holders_file_show(struct seq_file *m, void *v)
{
	holders_show(m);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(holders_file);

static ssize_t shrink_write(struct file *file, const char __user *ubuf, size_t len,
			    loff_t *pos)
{
	unsigned long nr = ULONG_MAX;
	char buf[24] = {};
	int err;

	if (len >= sizeof(buf))
		return -EINVAL;
	if (copy_from_user(buf, ubuf, len))
		return -EFAULT;
	strim(buf);
	if (strcmp(buf, "all")) {
		err = kstrtoul(buf, 0, &nr);
		if (err)
			return err;
	}
	host_shrink(nr);
	return (ssize_t)len;
}

static const struct file_operations shrink_fops = {
	.owner = THIS_MODULE,
	.open = nonseekable_open,
	.write = shrink_write,
};

void unmapped_debugfs_init(void)
{
	/* As everywhere in the kernel: without debugfs there is just none. */
	dir = debugfs_create_dir("unmapped", NULL);
	debugfs_create_file("pagetypeinfo", 0400, dir, NULL, &pagetypeinfo_fops);
	debugfs_create_file("stats", 0400, dir, NULL, &stats_fops);
	debugfs_create_file("holders", 0400, dir, NULL, &holders_file_fops);
	debugfs_create_file("shrink", 0200, dir, NULL, &shrink_fops);
}

void unmapped_debugfs_exit(void)
{
	debugfs_remove(dir);
}
