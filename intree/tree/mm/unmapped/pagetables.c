// SPDX-License-Identifier: GPL-2.0
/*
 * Page tables that are read-only in the direct map.
 *
 * A second allocator: what its blocks are to the direct map is read-only where
 * those of the first are absent, and all else is the same.  They are made absent
 * first, by direct_map.c, which checks and splits as need be, and then present
 * again without the right to write, before the flush that ends both.  On the way
 * back no flush is needed: a CPU that still has the old translation faults, and
 * finds the entry as it should be (spurious_kernel_fault()).
 *
 * A table is written to through a slot of the fixmap, from pte_offset_map() to
 * pte_unmap().  Processors set ACCESSED and DIRTY by physical address.
 */
#include <linux/cpuhotplug.h>
#include <linux/debugfs.h>
#include <linux/highmem.h>
#include <linux/memory.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/seq_file.h>
#include <linux/set_memory.h>
#include <linux/shrinker.h>
#include <linux/topology.h>

#include "direct_map.h"
#include "host.h"
#include "memcg.h"
#include "page.h"

static struct allocator tables;
static struct um_host_ops ops;
static DEFINE_STATIC_KEY_FALSE(enabled);

/* --- read-only instead of absent ------------------------------------------- */

static pgprot_t protection(bool writable, bool large)
{
	pgprot_t prot = large ? PAGE_KERNEL_LARGE : PAGE_KERNEL;

	/* DIRTY without RW would make it a shadow stack. */
	return writable ? prot
			: __pgprot(pgprot_val(prot) &
				   ~(pgprotval_t)(_PAGE_RW | _PAGE_DIRTY));
}

static void write_entries(pte_t *entry, unsigned long pfn, unsigned long nr, bool large,
			  bool writable)
{
	pgprot_t prot = protection(writable, large);
	unsigned long i;

	/* A PMD entry is written as CPA does it, too. */
	for (i = 0; i < nr; i++)
		set_pte(&entry[i], pfn_pte(pfn + i, prot));
}

/* The entries of a block, or of less if they are small; NULL if there are others. */
static pte_t *entries_of(unsigned long pfn, unsigned int order, bool *large)
{
	unsigned int level;
	pte_t *entry = lookup_address((unsigned long)__va(PFN_PHYS(pfn)), &level);

	*large = level == PG_LEVEL_2M;
	if (!entry || (*large ? order != BLOCK_ORDER : level != PG_LEVEL_4K))
		return NULL;
	return entry;
}

static int make_read_only(void *host, unsigned long pfn, unsigned int order)
{
	int split = direct_map_unmap(pfn, order);
	pte_t *entry;
	bool large;

	if (split < 0)
		return split;
	spin_lock(&cpa_lock);
	entry = entries_of(pfn, order, &large);
	if (entry)
		write_entries(entry, pfn, large ? 1 : 1UL << order, large, false);
	spin_unlock(&cpa_lock);
	if (entry)
		return split;
	direct_map_map(pfn, order);
	return -EBUSY;
}

static int make_writable(void *host, unsigned long pfn, unsigned int order)
{
	unsigned long i, nr;
	pte_t *entry;
	bool large;
	int err = 0;

	spin_lock(&cpa_lock);
	entry = entries_of(pfn, order, &large);
	nr = large ? 1 : 1UL << order;
	if (!entry)
		err = -EBUSY;
	for (i = 0; !err && i < nr; i++)
		if (pte_pfn(entry[i]) != pfn + i || !pte_present(entry[i]) ||
		    pte_write(entry[i]))
			err = -EBUSY;
	if (!err)
		write_entries(entry, pfn, nr, large, true);
	spin_unlock(&cpa_lock);
	return err;
}

/* --- tables ------------------------------------------------------------------ */

struct page *unmapped_pagetable_alloc(gfp_t gfp)
{
	unsigned long pfn;
	struct page *page;

	if (!static_branch_unlikely(&enabled))
		return NULL;
	if (allocator_alloc(&tables, numa_mem_id(), 0, UM_ZERO, &pfn))
		return NULL;
	page = pfn_to_page(pfn);
	init_page_count(page);
	page->private = 0; /* where the lock of the table is */
	if (gfp & __GFP_ACCOUNT && memcg_charge(page, gfp, 0)) {
		unmapped_pagetable_free(page);
		return NULL;
	}
	return page;
}

bool unmapped_pagetable_free(struct page *page)
{
	if (!static_branch_unlikely(&enabled) ||
	    !allocator_owns(&tables, page_to_pfn(page)))
		return false;
	memcg_uncharge(page, 0);
	if (!WARN_ON_ONCE(!page_ref_freeze(page, 1)))
		allocator_free(&tables, page_to_pfn(page), 0);
	return true;
}
EXPORT_SYMBOL_GPL(unmapped_pagetable_free);

pte_t *__pte_map(pmd_t *pmd, unsigned long address)
{
	unsigned long pfn = pmd_pfn(*pmd);
	void *table;

	if (!static_branch_unlikely(&enabled) || !allocator_owns(&tables, pfn))
		return pte_offset_kernel(pmd, address);
	table = __kmap_local_pfn_prot(pfn, PAGE_KERNEL);
	return (pte_t *)table + pte_index(address);
}

/* --- what goes on beside it ---------------------------------------------------- */

static unsigned long count(struct shrinker *s, struct shrink_control *sc)
{
	return allocator_shrinkable(&tables, sc->nid);
}

static unsigned long scan(struct shrinker *s, struct shrink_control *sc)
{
	unsigned long done = allocator_shrink(&tables, sc->nid, sc->nr_to_scan, UM_TRY);

	sc->nr_scanned = done;
	return done ? done : SHRINK_STOP;
}

void unmapped_pagetables_drain_cpu(void)
{
	if (static_key_enabled(&enabled))
		allocator_drain_cpu(&tables);
}

static int cpu_dead(unsigned int cpu)
{
	allocator_drain_dead_cpu(&tables, cpu);
	return 0;
}

static int memory_event(struct notifier_block *nb, unsigned long event, void *data)
{
	const struct memory_notify *m = data;
	unsigned long end = m->start_pfn + m->nr_pages;

	switch (event) {
	case MEM_GOING_ONLINE:
		return notifier_from_errno(allocator_grow(&tables, end));
	case MEM_GOING_OFFLINE:
		if (allocator_release_range(&tables, m->start_pfn, end))
			return notifier_from_errno(-EBUSY);
	}
	return NOTIFY_DONE;
}

static struct notifier_block memory_notifier = {
	.notifier_call = memory_event,
};

static int pagetables_show(struct seq_file *m, void *v)
{
	struct allocator_report r;
	unsigned int nid;
	unsigned long owned = 0, free = 0, stats[NR_CACHE_STATS] = {};
	unsigned int i;

	for (nid = 0; nid < tables.nr_nodes; nid++) {
		allocator_report(&tables, nid, &r);
		owned += r.pages_owned;
		free += r.pages_free;
		for (i = 0; i < NR_CACHE_STATS; i++)
			stats[i] += r.stats[i];
	}
	seq_printf(m, "pages_owned %lu\npages_allocated %lu\n", owned, owned - free);
	seq_printf(m, "blocks_taken %lu\npieces_taken %lu\nblocks_released %lu\n",
		   stats[STAT_BLOCKS_TAKEN], stats[STAT_PIECES_TAKEN],
		   stats[STAT_BLOCKS_RELEASED]);
	seq_printf(m, "flushes %lu\nquarantined %lu\n", stats[STAT_FLUSHES],
		   stats[STAT_QUARANTINED]);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(pagetables);

static bool pagetables = true;
module_param(pagetables, bool, 0444);
MODULE_PARM_DESC(pagetables, "page tables are read-only in the direct map (default 1)");

static int __init unmapped_pagetables_init(void)
{
	struct shrinker *shrinker;
	int err, state;

	/* Without the first allocator it is the wrong machine for this one, too. */
	if (!pagetables || !unmapped_allocator.caches)
		return 0;
	ops = host_ops;
	ops.unmap = make_read_only;
	ops.map = make_writable;
	ops.wake = NULL; /* refills the first */
	shrinker = shrinker_alloc(SHRINKER_NUMA_AWARE, "unmapped-pagetables");
	if (!shrinker)
		return -ENOMEM;
	err = allocator_init(&tables, &ops, NULL, nr_node_ids, host_end_pfn());
	if (err)
		goto err_shrinker;
	state = cpuhp_setup_state_nocalls(CPUHP_BP_PREPARE_DYN, "mm/pagetables:dead",
					  NULL, cpu_dead);
	err = min(state, 0);
	if (err)
		goto err_allocator;
	err = register_memory_notifier(&memory_notifier);
	if (err)
		goto err_state;
	tables.batch_limit = 1;
	shrinker->count_objects = count;
	shrinker->scan_objects = scan;
	shrinker->seeks = DEFAULT_SEEKS;
	shrinker->batch = BLOCK_PAGES;
	shrinker_register(shrinker);
	debugfs_create_file("unmapped_pagetables", 0400, NULL, NULL, &pagetables_fops);
	static_branch_enable(&enabled);
	return 0;

err_state:
	cpuhp_remove_state_nocalls(state);
err_allocator:
	allocator_destroy(&tables);
err_shrinker:
	shrinker_free(shrinker);
	return err;
}
device_initcall_sync(unmapped_pagetables_init);
