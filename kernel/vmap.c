// SPDX-License-Identifier: GPL-2.0
/*
 * Views: many pages side by side at one address in the vmalloc area.
 *
 * vmap() with these differences:
 *
 *  - whole blocks have one PMD entry.  The kernel's own code writes it, as for
 *    huge vmalloc(); what it asks for is found here: the place of the view in
 *    its area is such that the first whole block begins at a multiple of 2 MiB.
 *  - an end is an end: vunmap() leaves translations in TLBs until so many have
 *    come together that a flush is worth it.  Pages of a view may have another
 *    owner by then, so they are flushed before unmapped_vunmap() returns.
 *  - /proc/kcore reads vmalloc areas by the direct map addresses of their
 *    pages, and may not mind faults.  It leaves out what is VM_IOREMAP,
 *    which is all that the flag does but for aligning the area to its size.
 *
 * Entries of a view change in their permissions only, each as large as it is:
 * a PMD entry is never split.
 */
#include <linux/err.h>
#include <linux/export.h>
#include <linux/hashtable.h>
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/static_call.h>
#include <linux/unmapped.h>
#include <linux/vmalloc.h>
#include <asm/pgtable_types.h>

#include "symbols.h"
#include "vmap.h"

struct view {
	struct hlist_node node; /* in views, by address */
	void *addr;
	unsigned long nr; /* pages */
	struct vm_struct *area;
};

static DEFINE_HASHTABLE(views, 8);
static DEFINE_SPINLOCK(views_lock);

static struct view *find(const void *addr)
{
	struct view *v;

	lockdep_assert_held(&views_lock);
	hash_for_each_possible(views, v, node, (unsigned long)addr)
		if (v->addr == addr)
			return v;
	return NULL;
}

/* Data only, writable or not; cached, as others have these pages cached. */
static bool permitted(pgprot_t prot)
{
	return pgprot_val(prot) == pgprot_val(PAGE_KERNEL) ||
	       pgprot_val(prot) == pgprot_val(PAGE_KERNEL_RO);
}

static bool begins_block(struct page **pages, unsigned long nr)
{
	unsigned long i;

	if (nr < PTRS_PER_PTE || page_to_pfn(pages[0]) % PTRS_PER_PTE)
		return false;
	for (i = 1; i < PTRS_PER_PTE; i++)
		if (pages[i] != pages[0] + i)
			return false;
	return true;
}

/*
 * How many pages from a multiple of 2 MiB on a view should begin, so that its
 * first whole block is aligned; -EINVAL if there is no page where one should be.
 */
static long place(struct page **pages, unsigned long nr)
{
	unsigned long i;
	long at = -1;

	for (i = 0; i < nr; i++) {
		if (!pages[i])
			return -EINVAL;
		if (!begins_block(pages + i, nr - i))
			continue;
		if (at < 0)
			at = -i % PTRS_PER_PTE;
		i += PTRS_PER_PTE - 1;
	}
	return max(at, 0L);
}

static int map(unsigned long addr, struct page **pages, unsigned long nr, pgprot_t prot)
{
	unsigned int shift;
	unsigned long n;
	int err;

	for (; nr; addr += n * PAGE_SIZE, pages += n, nr -= n) {
		n = min(nr, (pmd_addr_end(addr, ULONG_MAX) - addr) >> PAGE_SHIFT);
		shift = n == PTRS_PER_PTE && begins_block(pages, n) ? PMD_SHIFT
								    : PAGE_SHIFT;
		err = static_call(um_vmap_pages_range_noflush)(addr, addr + n * PAGE_SIZE,
							       prot, pages, shift);
		if (err)
			return err;
	}
	return 0;
}

static void end_view(struct view *v)
{
	unsigned long addr = (unsigned long)v->addr;

	vunmap(v->area->addr);
	/* Others may have the addresses by now, but not yet the pages. */
	static_call(um_flush_tlb_kernel_range)(addr, addr + v->nr * PAGE_SIZE);
	kfree(v);
}

void *unmapped_vmap(struct page **pages, unsigned long nr, pgprot_t prot)
{
	struct view *v;
	long before;
	int err;

	might_sleep();
	if (!nr || nr > totalram_pages() || !permitted(prot))
		return ERR_PTR(-EINVAL);
	before = place(pages, nr);
	if (before < 0)
		return ERR_PTR(before);
	v = kmalloc(sizeof(*v), GFP_KERNEL);
	if (!v)
		return ERR_PTR(-ENOMEM);
	v->nr = nr;
	v->area = static_call(um_get_vm_area_caller)(
		(before + nr) << PAGE_SHIFT, VM_IOREMAP, __builtin_return_address(0));
	if (!v->area) {
		kfree(v);
		return ERR_PTR(-ENOMEM);
	}
	v->addr = v->area->addr + (before << PAGE_SHIFT);
	err = map((unsigned long)v->addr, pages, nr, prot);
	if (err) {
		end_view(v);
		return ERR_PTR(err);
	}
	spin_lock(&views_lock);
	hash_add(views, &v->node, (unsigned long)v->addr);
	spin_unlock(&views_lock);
	return v->addr;
}
EXPORT_SYMBOL_GPL(unmapped_vmap);

void unmapped_vunmap(void *addr)
{
	struct view *v;

	might_sleep();
	if (!addr)
		return;
	spin_lock(&views_lock);
	v = find(addr);
	if (v)
		hash_del(&v->node);
	spin_unlock(&views_lock);
	if (!WARN(!v, "unmapped: no view at %p to unmap\n", addr))
		end_view(v);
}
EXPORT_SYMBOL_GPL(unmapped_vunmap);

static void *entry_of(unsigned long addr, bool *large)
{
	unsigned int level;
	pte_t *entry = lookup_address(addr, &level);

	*large = level == PG_LEVEL_2M;
	return entry;
}

static bool inside_large(unsigned long addr)
{
	bool large;

	entry_of(addr, &large);
	return large && !IS_ALIGNED(addr, PMD_SIZE);
}

int unmapped_vmap_protect(void *view, unsigned long first, unsigned long nr,
			  pgprot_t prot)
{
	unsigned long start, stop, addr, all;
	struct view *v;
	void *entry;
	bool large;

	might_sleep();
	spin_lock(&views_lock);
	v = find(view);
	all = v ? v->nr : 0;
	spin_unlock(&views_lock);
	if (!nr || first >= all || nr > all - first || !permitted(prot))
		return -EINVAL;
	start = (unsigned long)view + first * PAGE_SIZE;
	stop = start + nr * PAGE_SIZE;
	if (inside_large(start) || (first + nr < all && inside_large(stop)))
		return -EINVAL;
	for (addr = start; addr < stop; addr += large ? PMD_SIZE : PAGE_SIZE) {
		entry = entry_of(addr, &large);
		if (large)
			set_pmd(entry, pfn_pmd(pmd_pfn(*(pmd_t *)entry),
					       __pgprot(pgprot_val(prot) | _PAGE_PSE)));
		else
			set_pte(entry, pfn_pte(pte_pfn(*(pte_t *)entry), prot));
	}
	static_call(um_flush_tlb_kernel_range)(start, stop);
	return 0;
}
EXPORT_SYMBOL_GPL(unmapped_vmap_protect);

void vmap_exit(void)
{
	WARN_ONCE(!hash_empty(views), "unmapped: leak: views are left\n");
}
