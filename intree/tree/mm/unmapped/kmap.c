// SPDX-License-Identifier: GPL-2.0
/*
 * kmap() for who may find an unmapped page where ordinary ones are usual, on a
 * machine without highmem.
 *
 * What undoes a mapping goes by its address, not by the page: that may be
 * somebody else's by then, and of the other kind.
 */
#include <linux/err.h>
#include <linux/export.h>
#include <linux/mm.h>
#include <linux/unmapped.h>
#include <linux/unmapped_page.h>
#include <linux/vmalloc.h>

#include "host.h"
#include "kvm.h"
#include "page.h"

static bool is_unmapped(const struct page *page)
{
	return unmapped_allocator.caches && __unmapped_owns_pfn(page_to_pfn(page));
}

void *unmapped_kmap(struct page *page)
{
	void *view;

	if (!is_unmapped(page))
		return page_address(page);
	view = unmapped_vmap(&page, 1, PAGE_KERNEL);
	return IS_ERR(view) ? NULL : view;
}
EXPORT_SYMBOL_GPL(unmapped_kmap);

void unmapped_kunmap(struct page *page, void *addr)
{
	if (is_vmalloc_addr(addr))
		unmapped_vunmap(addr);
}
EXPORT_SYMBOL_GPL(unmapped_kunmap);

bool unmapped_kmap_valid(struct page *page, const void *addr)
{
	return is_vmalloc_addr(addr) || !is_unmapped(page);
}
EXPORT_SYMBOL_GPL(unmapped_kmap_valid);

bool unmapped_kvm_refuses(const char *function)
{
	return kvm_guard_refuses(function, "SEV-ES");
}
EXPORT_SYMBOL_GPL(unmapped_kvm_refuses);
