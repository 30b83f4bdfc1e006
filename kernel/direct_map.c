// SPDX-License-Identifier: GPL-2.0
/*
 * Changes of the direct map.
 *
 * All of Linux changes the direct map through one function,
 * __change_page_attr() in arch/x86/mm/pat/set_memory.c ("CPA").  Its rules:
 *
 *  - an entry is looked up and written under cpa_lock (a kernel with
 *    debug_pagealloc does without; we refuse to run there);
 *  - a table is put in place of an entry (a split) under cpa_lock and pgd_lock;
 *  - an entry that is not present loses PRESENT, PSE and GLOBAL and keeps the
 *    rest; its pfn is inverted, for L1TF (pfn_pte() sees to that);
 *  - present becomes absent: flush after; absent becomes present: no flush.
 *
 * CPA itself is of use to us only for splits of 2 MiB entries.  Whole blocks it
 * can make absent (set_memory_np()), but with two flushes and a purge of all lazy
 * vmaps for each, and not always a way back that others can use; page by
 * page (set_direct_map_*()) it always splits.  And it loses the GLOBAL bit on the
 * way.  So entries that are there are written here, by the same rules and under
 * the same locks.  That is safe for these reasons:
 *
 *  - the pages are ours from before the entry is written until after it is
 *    restored, and nobody changes the entries of pages that are not his own;
 *  - an entry is written only as large as it is found, under cpa_lock, so it
 *    can't be split or collapsed meanwhile; and a large one only when all that
 *    it maps is ours;
 *  - only entries with the attributes of ordinary memory are taken, so what is
 *    to be restored is known and need not be remembered;
 *  - only the PGD level is copied from process to process, and it is never
 *    changed here: a write is seen by all of them;
 *  - other walkers (lookup_address(), /proc/kcore) read without locks and cope
 *    with an entry that changes.  A table that goes away is freed after a
 *    flush, which the hardware walker needs, and by RCU, for theirs;
 *  - they cope with a large entry that is absent, too, of 1 GiB as of 2 MiB:
 *    none of them goes on without PRESENT (lookup_address(), walk_pud_range()
 *    for the page table dump, dump_pagetable(), remove_pud_table()), or they
 *    do not come by where all memory is in use (phys_pud_init(), which takes
 *    it for a table, is for memory that is being added).
 *
 * A region may leave as a whole, by one entry of 1 GiB.  When part of it comes
 * back, a table takes the place of that entry.  The table is set aside when the
 * region leaves, as pgtable_trans_huge_deposit() does it: the way back is
 * taken when memory is short, and must not need any.  No flush is needed then:
 * nothing caches an entry that is not present, and the new ones say the same.
 *
 * Lazy vmap aliases of the pages have no entries any more, only translations,
 * and the flush of all CPUs drops these too.
 */
#include <linux/list.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>
#include <linux/spinlock.h>
#include <linux/static_call.h>
#include <linux/vmstat.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include <asm/page.h>
#include <asm/pgtable_types.h>
#include <asm/processor.h>

#include "compat.h"
#include "direct_map.h"
#include "platform.h"
#include "symbols.h"

/* Differences that do not matter between two entries for ordinary memory. */
#define DONT_CARE \
	(_PAGE_ACCESSED | _PAGE_DIRTY | _PAGE_GLOBAL | _PAGE_SOFTW1 | _PAGE_SOFTW2 | \
	 _PAGE_SOFTW3)

/* Tables for the regions that are absent by one entry, by pfn >> REGION_ORDER. */
static DEFINE_XARRAY(deposit);

static unsigned long address_of(unsigned long pfn)
{
	return (unsigned long)__va(PFN_PHYS(pfn));
}

/* What an entry that is not present keeps of the attributes. */
static pgprot_t absent(pgprot_t prot)
{
	return __pgprot(pgprot_val(prot) & ~(_PAGE_PRESENT | _PAGE_PSE | _PAGE_GLOBAL));
}

static bool alike(pgprotval_t val, pgprot_t prot)
{
	return !((val ^ pgprot_val(prot)) & ~(pgprotval_t)DONT_CARE);
}

/* --- single entries, at the level where they are -------------------------- */

static bool pte_is(pte_t pte, unsigned long pfn, bool present)
{
	pgprot_t prot = present ? PAGE_KERNEL : absent(PAGE_KERNEL);
	pgprotval_t ignore = 0;

	if (pte_none(pte) || pte_pfn(pte) != pfn)
		return false;
	/* set_direct_map_invalid_noflush(), which splits, clears this as well. */
	if (!present)
		ignore = _PAGE_RW;
	return alike(pte_flags(pte) | ignore, __pgprot(pgprot_val(prot) | ignore));
}

static void pte_make(pte_t *pte, unsigned long pfn, bool present)
{
	set_pte(pte, pfn_pte(pfn, present ? PAGE_KERNEL : absent(PAGE_KERNEL)));
}

static bool pmd_is(pmd_t pmd, unsigned long pfn, bool present)
{
	pgprot_t prot = present ? PAGE_KERNEL_LARGE : absent(PAGE_KERNEL_LARGE);

	return !pmd_none(pmd) && pmd_pfn(pmd) == pfn && alike(pmd_flags(pmd), prot);
}

/*
 * As CPA does it, with pfn_pte(): pfn_pmd() would clear the low bits of the
 * inverted pfn, and pmd_pfn() of an entry without PSE looks at these.
 */
static void pmd_make(pmd_t *pmd, unsigned long pfn, bool present)
{
	pgprot_t prot = present ? PAGE_KERNEL_LARGE : absent(PAGE_KERNEL_LARGE);

	set_pmd(pmd, __pmd(pte_val(pfn_pte(pfn, prot))));
}

static bool pud_is(pud_t pud, unsigned long pfn, bool present)
{
	pgprot_t prot = present ? PAGE_KERNEL_LARGE : absent(PAGE_KERNEL_LARGE);

	return !pud_none(pud) && pud_pfn(pud) == pfn && alike(pud_flags(pud), prot);
}

static void pud_make(pud_t *pud, unsigned long pfn, bool present)
{
	pgprot_t prot = present ? PAGE_KERNEL_LARGE : absent(PAGE_KERNEL_LARGE);

	set_pud(pud, __pud(pte_val(pfn_pte(pfn, prot))));
}

/* The PUD entry of an address; the tables above it are never changed. */
static pud_t *pud_of(unsigned long addr)
{
	pgd_t *pgd;
	p4d_t *p4d;

	preempt_disable(); /* nor is the top one freed under us */
	pgd = pgd_offset_pgd((pgd_t *)__va(read_cr3_pa()), addr);
	p4d = pgd_none(*pgd) ? NULL : p4d_offset(pgd, addr);
	preempt_enable();
	return !p4d || p4d_none(*p4d) ? NULL : pud_offset(p4d, addr);
}

/*
 * Change all entries of a range from one state to the other if every one of
 * them is in the first; cpa_lock held.  Return: the level they were found at,
 * PG_LEVEL_NONE if they were not all as they should be.
 */
static unsigned int change(unsigned long pfn, unsigned int order, bool present)
{
	unsigned long i, nr = 1UL << order;
	unsigned int level;
	pte_t *pte;

	pte = lookup_address(address_of(pfn), &level);
	if (!pte)
		return PG_LEVEL_NONE;

	if (level == PG_LEVEL_2M && order == BLOCK_ORDER) {
		if (!pmd_is(*(pmd_t *)pte, pfn, !present))
			return PG_LEVEL_NONE;
		pmd_make((pmd_t *)pte, pfn, present);
		return level;
	}
	if (level != PG_LEVEL_4K)
		return level == PG_LEVEL_2M && order == BLOCK_ORDER ? PG_LEVEL_NONE
								    : level;

	/* A naturally aligned range up to a block stands in one table. */
	for (i = 0; i < nr; i++)
		if (!pte_is(pte[i], pfn + i, !present))
			return PG_LEVEL_NONE;
	for (i = 0; i < nr; i++)
		pte_make(&pte[i], pfn + i, present);
	return level;
}

bool direct_map_unbroken(unsigned long pfn)
{
	unsigned int level;
	pte_t *pte = lookup_address(address_of(pfn), &level);

	return pte && level == PG_LEVEL_1G && pte_val(*pte) & _PAGE_PRESENT;
}

/* --- regions -------------------------------------------------------------- */

static unsigned long region_of(unsigned long pfn)
{
	return pfn & ~((1UL << REGION_ORDER) - 1);
}

/*
 * A table in place of a 1 GiB entry, with the same state for each block;
 * cpa_lock held.  As in CPA, nobody may change the new entries while a CPU can
 * still have a translation from the large one: flush under the locks.
 */
static void split_pud(pud_t *pud, unsigned long pfn, struct page *table, bool present)
{
	pmd_t *pmd = (pmd_t *)page_address(table);
	unsigned int i;

	for (i = 0; i < REGION_BLOCKS; i++)
		pmd_make(&pmd[i], pfn + i * BLOCK_PAGES, present);
	spin_lock(um_pgd_lock);
	set_pud(pud, __pud(PFN_PHYS(page_to_pfn(table)) | _KERNPG_TABLE));
	if (present)
		direct_map_flush();
	spin_unlock(um_pgd_lock);
	static_call_cond(um_update_page_count)(PG_LEVEL_1G, -1UL);
	static_call_cond(um_update_page_count)(PG_LEVEL_2M, REGION_BLOCKS);
	count_vm_event(DIRECT_MAP_LEVEL3_SPLIT);
}

/*
 * Blocks inside a 1 GiB entry: it is split; or, if they are all of it, made
 * absent.  Return: UM_SPLIT_1G, UM_ONE_ENTRY, -ENOMEM; 0 if it is no such entry.
 */
static int unmap_from_1g(unsigned long pfn, unsigned int order)
{
	const gfp_t gfp = GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN;
	struct page *table = compat_alloc_kernel_table(gfp);
	unsigned long first = region_of(pfn);
	bool all = order == REGION_ORDER;
	int ret = 0;
	pud_t *pud;

	if (!table)
		return -ENOMEM;
	if (all && xa_err(xa_store(&deposit, pfn >> REGION_ORDER, table, gfp))) {
		compat_free_kernel_table(table);
		return -ENOMEM;
	}
	spin_lock(um_cpa_lock);
	pud = pud_of(address_of(pfn));
	if (pud && pud_is(*pud, first, true)) {
		if (all)
			pud_make(pud, first, false);
		else
			split_pud(pud, first, table, true);
		ret = all ? UM_ONE_ENTRY : UM_SPLIT_1G;
	}
	spin_unlock(um_cpa_lock);
	if (ret)
		return ret;
	if (all)
		xa_erase(&deposit, pfn >> REGION_ORDER);
	compat_free_kernel_table(table);
	return 0;
}

/*
 * The way back of a region that is absent by one entry, of all of it or with a
 * table for a part; cpa_lock held.  Return: 0, UM_SPLIT_1G, or -EBUSY if it is
 * no such region.
 */
static int map_from_1g(unsigned long pfn, unsigned int order)
{
	pud_t *pud = pud_of(address_of(pfn));
	unsigned long first = region_of(pfn);
	struct page *table;

	if (!pud || !pud_is(*pud, first, false))
		return -EBUSY;
	table = xa_erase(&deposit, pfn >> REGION_ORDER);
	if (WARN_ON_ONCE(!table))
		return -EBUSY;
	if (order != REGION_ORDER) {
		split_pud(pud, first, table, false);
		return UM_SPLIT_1G;
	}
	pud_make(pud, first, true);
	compat_free_kernel_table(table);
	return 0;
}

/* --- out and back --------------------------------------------------------- */

/*
 * A split takes a page for the new table with GFP_KERNEL, in the course of
 * which the OOM killer may be called; a cache is not worth that.  So see first
 * that there is memory, gently, and then keep CPA from reclaiming.
 */
static bool split_begin(unsigned int *saved)
{
	/* Two: a 1 GiB entry may have to become 4 KiB entries. */
	struct page *page = alloc_pages(GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN, 1);

	if (!page)
		return false;
	__free_pages(page, 1);
	*saved = memalloc_noreclaim_save();
	return true;
}

static void split_end(unsigned int saved)
{
	memalloc_noreclaim_restore(saved);
}

/* Pages inside a large entry: CPA splits that, and makes the first absent. */
static int unmap_from_large(unsigned long pfn, unsigned int order, unsigned int level)
{
	int split = UM_SPLIT_2M | (level == PG_LEVEL_1G ? UM_SPLIT_1G : 0);
	unsigned long i, nr = 1UL << order;
	unsigned int saved;
	int err;

	if (!split_begin(&saved))
		return -ENOMEM;
	err = static_call(um_set_direct_map_invalid_noflush)(pfn_to_page(pfn));
	split_end(saved);
	if (err)
		return err;
	spin_lock(um_cpa_lock);
	for (i = 1; i < nr; i++)
		if (change(pfn + i, 0, false) != PG_LEVEL_4K)
			break;
	if (i < nr)
		while (i--)
			change(pfn + i, 0, true);
	spin_unlock(um_cpa_lock);
	/* The split itself stays: 4 KiB entries of ordinary memory do no harm. */
	return i < nr ? -EBUSY : split;
}

static unsigned int change_locked(unsigned long pfn, unsigned int order, bool present)
{
	unsigned int level;

	spin_lock(um_cpa_lock);
	level = change(pfn, order, present);
	spin_unlock(um_cpa_lock);
	return level;
}

/* Whether change() changed something, from the level that it returned. */
static bool changed(unsigned int level, unsigned int order)
{
	return level == PG_LEVEL_4K || (level == PG_LEVEL_2M && order == BLOCK_ORDER);
}

static int unmap_blocks(unsigned long pfn, unsigned int order)
{
	unsigned long i, nr = 1UL << order;
	int split = 0;

	if (direct_map_unbroken(pfn)) {
		split = unmap_from_1g(pfn, order);
		if (split < 0 || split & UM_ONE_ENTRY)
			return split;
	}
	for (i = 0; i < nr; i += BLOCK_PAGES)
		if (!changed(change_locked(pfn + i, BLOCK_ORDER, false), BLOCK_ORDER))
			break;
	if (i == nr)
		return split;
	while (i) {
		i -= BLOCK_PAGES;
		change_locked(pfn + i, BLOCK_ORDER, true);
	}
	if (split)
		direct_map_heal_region(region_of(pfn));
	return -EBUSY;
}

int direct_map_unmap(unsigned long pfn, unsigned int order)
{
	unsigned int level;

	might_sleep();
	if (order >= BLOCK_ORDER)
		return unmap_blocks(pfn, order);
	level = change_locked(pfn, order, false);
	if (changed(level, order))
		return 0;
	if (level == PG_LEVEL_1G || level == PG_LEVEL_2M)
		return unmap_from_large(pfn, order, level);
	return -EBUSY;
}

int direct_map_map(unsigned long pfn, unsigned int order)
{
	unsigned int level = PG_LEVEL_1G;
	int ret = 0;

	spin_lock(um_cpa_lock);
	if (order <= BLOCK_ORDER)
		level = change(pfn, order, true);
	if (level == PG_LEVEL_1G)
		ret = map_from_1g(pfn, order);
	if (ret == UM_SPLIT_1G)
		level = change(pfn, order, true);
	spin_unlock(um_cpa_lock);
	return ret < 0 || order == REGION_ORDER || changed(level, order) ? ret : -EBUSY;
}

void direct_map_flush(void)
{
	static_call_cond(um_flush_tlb_all)();
}

/* --- heal ----------------------------------------------------------------- */

/*
 * Tables that nobody reads any more.  They are freed by a work: where an IOMMU shares
 * page tables (7.x, SVA) that takes a lock that interrupts, and so RCU's callbacks,
 * must not take.
 */
static LIST_HEAD(unused_tables);
static DEFINE_SPINLOCK(unused_lock);

static void free_tables(struct work_struct *work)
{
	struct page *table, *next;
	LIST_HEAD(tables);

	spin_lock_irq(&unused_lock);
	list_splice_init(&unused_tables, &tables);
	spin_unlock_irq(&unused_lock);
	list_for_each_entry_safe(table, next, &tables, lru) {
		list_del(&table->lru);
		compat_free_kernel_table(table);
	}
}
static DECLARE_WORK(free_tables_work, free_tables);

static void table_unused(struct rcu_head *head)
{
	unsigned long flags;

	spin_lock_irqsave(&unused_lock, flags);
	list_add(&container_of(head, struct page, rcu_head)->lru, &unused_tables);
	spin_unlock_irqrestore(&unused_lock, flags);
	schedule_work(&free_tables_work);
}

void direct_map_exit(void)
{
	rcu_barrier();
	flush_work(&free_tables_work);
}

/*
 * A table is taken away under all the locks under which tables are read:
 * ptdump, and CPA where it collapses entries itself, hold init_mm's mmap_lock.
 * One of those that do (hugetlb's of the vmemmap) allocates meanwhile, and may
 * wait for the reclaim that we are part of.  (The bare lock: init_mm has no VMAs
 * that mmap_write_lock() would have to mark.)
 */
static bool tables_lock(void)
{
	if (!down_write_trylock(&um_init_mm->mmap_lock)) {
		if (current->flags & PF_MEMALLOC)
			return false;
		/* A fault holds the mmap_lock of its own mm. */
		down_write_nested(&um_init_mm->mmap_lock, SINGLE_DEPTH_NESTING);
	}
	return true;
}

static void tables_unlock(void)
{
	up_write(&um_init_mm->mmap_lock);
}

/* The entry was put in place of @table: count it, flush, let the table go. */
static void replaced(struct page *table, int level)
{
	compat_count_collapse(level);
	static_call_cond(um_update_page_count)(level, 1);
	static_call_cond(um_update_page_count)(level - 1, -512UL);
	direct_map_flush();
	call_rcu(&table->rcu_head, table_unused);
}

static bool is_table(unsigned long entry)
{
	return (entry & (_PAGE_PRESENT | _PAGE_PSE)) == _PAGE_PRESENT;
}

/* Tables of boot do not come from the page allocator. */
static bool can_be_freed(struct page *table)
{
	return !PageReserved(table) && page_count(table) == 1;
}

static struct page *heal_pmd(unsigned long pfn)
{
	unsigned long addr = address_of(pfn);
	struct page *table;
	unsigned int i;
	bool present;
	pud_t *pud = pud_of(addr);
	pmd_t *pmd;
	pte_t *pte;

	/* Tables of memory that is gone may be on their way, without these locks. */
	if (!pud || !is_table(pud_val(*pud)) || !pfn_to_online_page(pfn))
		return NULL;
	pmd = pmd_offset(pud, addr);
	if (!is_table(pmd_val(*pmd)))
		return NULL;
	table = pmd_page(*pmd);
	pte = (pte_t *)page_address(table);
	if (!can_be_freed(table))
		return NULL;
	present = pte_val(*pte) & _PAGE_PRESENT;
	if (present && compat_stays_split())
		return NULL;
	for (i = 0; i < BLOCK_PAGES; i++)
		if (!pte_is(pte[i], pfn + i, present))
			return NULL;
	pmd_make(pmd, pfn, present);
	return table;
}

int direct_map_heal(unsigned long pfn)
{
	struct page *table;

	might_sleep();
	if (!tables_lock())
		return -EBUSY;
	spin_lock(um_cpa_lock);
	spin_lock(um_pgd_lock);
	table = heal_pmd(pfn);
	spin_unlock(um_pgd_lock);
	spin_unlock(um_cpa_lock);
	tables_unlock();
	if (!table)
		return -EBUSY;
	replaced(table, PG_LEVEL_2M);
	return 0;
}

static struct page *heal_pud(unsigned long pfn)
{
	unsigned long addr = address_of(pfn);
	pud_t *pud = pud_of(addr);
	struct page *table;
	unsigned int i;
	pmd_t *pmd;

	if (!pud || !is_table(pud_val(*pud)))
		return NULL;
	table = pud_page(*pud);
	pmd = (pmd_t *)page_address(table);
	if (!can_be_freed(table))
		return NULL;
	for (i = 0; i < REGION_BLOCKS; i++)
		if (!pmd_is(pmd[i], pfn + i * BLOCK_PAGES, true) ||
		    !pfn_to_online_page(pfn + i * BLOCK_PAGES))
			return NULL;
	pud_make(pud, pfn, true);
	return table;
}

int direct_map_heal_region(unsigned long pfn)
{
	struct page *table;

	might_sleep();
	if (!boot_cpu_has(X86_FEATURE_GBPAGES) || compat_stays_split())
		return -EBUSY;
	if (!tables_lock())
		return -EBUSY;
	spin_lock(um_cpa_lock);
	spin_lock(um_pgd_lock);
	table = heal_pud(pfn);
	spin_unlock(um_pgd_lock);
	spin_unlock(um_cpa_lock);
	tables_unlock();
	if (!table)
		return -EBUSY;
	replaced(table, PG_LEVEL_1G);
	return 0;
}
