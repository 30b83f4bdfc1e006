/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Unmapped pages, for code of the kernel that gets them among ordinary ones, and
 * that may be built without them.  Pages of its own: <linux/unmapped.h>.
 */
#ifndef _LINUX_UNMAPPED_PAGE_H
#define _LINUX_UNMAPPED_PAGE_H

#include <linux/gfp_types.h>
#include <linux/highmem.h>
#include <linux/types.h>

struct page;

#ifdef CONFIG_UNMAPPED_ALLOC

/**
 * unmapped_kmap - kmap() of a page that the direct map may not have
 * @page:	any page; the caller sees to it that it is not freed, or that
 *		nobody uses the address afterwards
 *
 * An ordinary page is where kmap() has it.  Of an unmapped one this is a view
 * (unmapped_vmap()), and its end costs a flush on all CPUs.
 *
 * Context: may sleep.
 * Return: the address, until unmapped_kunmap(); NULL when there is no memory.
 */
void *unmapped_kmap(struct page *page);

/* @addr: what unmapped_kmap(@page) returned.  May sleep. */
void unmapped_kunmap(struct page *page, void *addr);

/*
 * Whether an address of unmapped_kmap() that was kept is good for @page still:
 * not if it is in the direct map, and the page has left that since.
 */
bool unmapped_kmap_valid(struct page *page, const void *addr);

/*
 * Whether @function of KVM must fail, because it would map memory of the guest
 * where unmapped_kunmap() can't be called, and current has unmapped memory mapped.
 * Logs that.  Any context.
 */
bool unmapped_kvm_refuses(const char *function);

#else

static inline void *unmapped_kmap(struct page *page)
{
	return kmap(page);
}

static inline void unmapped_kunmap(struct page *page, void *addr)
{
	kunmap(page);
}

static inline bool unmapped_kmap_valid(struct page *page, const void *addr)
{
	return true;
}

static inline bool unmapped_kvm_refuses(const char *function)
{
	return false;
}

#endif /* CONFIG_UNMAPPED_ALLOC */
#endif /* _LINUX_UNMAPPED_PAGE_H */
