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
 *    pages, without regard to faults on 6.1.  It leaves out what is VM_IOREMAP,
 *    which is all that the flag does but for aligning the area to its size.
 *
 * Entries of a view change in their permissions only, each as large as it is:
 * a PMD entry is never split.
 */
#include <linux/err.h>
#include <linux/export.h>
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/static_call.h>
#include <linux/unmapped.h>
#include <linux/vmalloc.h>
#include <linux/xarray.h>
#include <asm/pgtable_types.h>

#include "symbols.h"
#include "vmap.h"

/* The areas of all views, by the address of the view. */
static DEFINE_XARRAY(views);

static unsigned long index_of(const void *view)
{
	return ((unsigned long)view - VMALLOC_START) >> PAGE_SHIFT;
}

static unsigned long nr_pages(struct vm_struct *area, const void *view)
{
	return (area->addr + get_vm_area_size(area) - view) >> PAGE_SHIFT;
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

/* How many pages from a multiple of 2 MiB on a view should begin. */
static unsigned long place(struct page **pages, unsigned long nr)
{
	unsigned long i;

	for (i = 0; i < nr; i++)
		if (begins_block(pages + i, nr - i))
			return -i % PTRS_PER_PTE;
	return 0;
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

void *unmapped_vmap(struct page **pages, unsigned long nr, pgprot_t prot)
{
	unsigned long i, before;
	struct vm_struct *area;
	void *view;
	int err;

	might_sleep();
	if (!nr || nr > totalram_pages() || !permitted(prot))
		return ERR_PTR(-EINVAL);
	for (i = 0; i < nr; i++)
		if (!pages[i])
			return ERR_PTR(-EINVAL);
	before = place(pages, nr);
	area = static_call(um_get_vm_area_caller)((before + nr) << PAGE_SHIFT, VM_IOREMAP,
						  __builtin_return_address(0));
	if (!area)
		return ERR_PTR(-ENOMEM);
	view = area->addr + (before << PAGE_SHIFT);
	err = xa_insert(&views, index_of(view), area, GFP_KERNEL);
	if (err) {
		free_vm_area(area);
		return ERR_PTR(err);
	}
	err = map((unsigned long)view, pages, nr, prot);
	if (err) {
		unmapped_vunmap(view);
		return ERR_PTR(err);
	}
	return view;
}
EXPORT_SYMBOL_GPL(unmapped_vmap);

void unmapped_vunmap(void *view)
{
	unsigned long start = (unsigned long)view, end;
	struct vm_struct *area;

	might_sleep();
	if (!view)
		return;
	area = PAGE_ALIGNED(view) ? xa_erase(&views, index_of(view)) : NULL;
	if (WARN(!area, "unmapped: no view at %p to unmap\n", view))
		return;
	end = start + nr_pages(area, view) * PAGE_SIZE;
	vunmap(area->addr);
	/* Others may have the addresses by now, but not yet the pages. */
	static_call(um_flush_tlb_kernel_range)(start, end);
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
	unsigned long start, end, addr, all;
	struct vm_struct *area;
	void *entry;
	bool large;

	might_sleep();
	area = PAGE_ALIGNED(view) ? xa_load(&views, index_of(view)) : NULL;
	if (!area || !permitted(prot))
		return -EINVAL;
	all = nr_pages(area, view);
	if (!nr || first >= all || nr > all - first)
		return -EINVAL;
	start = (unsigned long)view + first * PAGE_SIZE;
	end = start + nr * PAGE_SIZE;
	if (inside_large(start) || (first + nr < all && inside_large(end)))
		return -EINVAL;
	for (addr = start; addr < end; addr += large ? PMD_SIZE : PAGE_SIZE) {
		entry = entry_of(addr, &large);
		if (large)
			set_pmd(entry, pfn_pmd(pmd_pfn(*(pmd_t *)entry),
					       __pgprot(pgprot_val(prot) | _PAGE_PSE)));
		else
			set_pte(entry, pfn_pte(pte_pfn(*(pte_t *)entry), prot));
	}
	static_call(um_flush_tlb_kernel_range)(start, end);
	return 0;
}
EXPORT_SYMBOL_GPL(unmapped_vmap_protect);

void vmap_exit(void)
{
	WARN_ONCE(!xa_empty(&views), "unmapped: leak: views are left\n");
	xa_destroy(&views);
}
