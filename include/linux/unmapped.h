/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Pages that the kernel's direct map does not reach.
 *
 * Such a page has a struct page with a reference count of its own, whatever
 * order it was allocated in, but no address: page_address() of it faults.  It
 * is reached through a mapping made for the purpose: unmapped_map_local(),
 * unmapped_vmap(), or vmf_insert_pfn() into user space.  Not vmap(): /proc/kcore
 * would read through the direct map what is mapped there.
 *
 * GPL exports of the module unmapped.ko.
 */
#ifndef _LINUX_UNMAPPED_H
#define _LINUX_UNMAPPED_H

#include <linux/gfp.h>
#include <linux/mm_types.h>
#include <linux/nodemask.h>
#include <linux/numa.h>
#include <linux/pgtable.h>

/* The largest order, 1 GiB. */
#define UNMAPPED_MAX_ORDER 18U

/**
 * unmapped_pages_alloc_node - allocate 2^@order contiguous unmapped pages
 * @nid:	node to ask first, or NUMA_NO_NODE for that of this CPU
 * @gfp:	__GFP_ZERO: the pages read as zero; without it they hold nothing
 *		but what another client that did not ask for zeroed pages left,
 *		or an object of UNMAPPED_CREATE_NO_ZERO.
 *		__GFP_THISNODE: no other node will do.
 *		__GFP_ACCOUNT: charge the pages to the memory cgroup of the
 *		caller until they are freed.  Over its limit the allocation
 *		fails, after reclaim in the cgroup; nobody is killed for it.
 *		__GFP_NOWARN: do not log a failure.
 *		__GFP_NORETRY: fail soon, as one who can do with less should.
 *		Without __GFP_DIRECT_RECLAIM (GFP_NOWAIT, GFP_ATOMIC) only what
 *		the cache holds is used; __GFP_IO and __GFP_FS are honoured when
 *		the system is asked for more.  Other flags have no meaning here.
 * @order:	0 to UNMAPPED_MAX_ORDER; the pages are naturally aligned
 *
 * Up to order 9 (2 MiB) pages come from the cache.  More is mostly taken from
 * the system for the request: what is in the way is moved, which may take
 * seconds, and fails where it can't be.  All of it leaves the direct map with
 * one flush, order 18 by one entry of 1 GiB where the direct map has one.
 *
 * From when the system prepares to hibernate until it is back nothing can be
 * allocated; and it does not hibernate while any page is that was asked for here.
 *
 * Context: may sleep if @gfp has __GFP_DIRECT_RECLAIM, else any.
 * Return: the first page, with a reference count of 1 as all of them; NULL if
 * there is none, or @order or @nid is out of range.
 */
struct page *unmapped_pages_alloc_node(int nid, gfp_t gfp, unsigned int order);

/* The same, from the node of this CPU. */
struct page *unmapped_pages_alloc(gfp_t gfp, unsigned int order);

/**
 * unmapped_pages_alloc_nodes - the same, from some nodes, for one who asks for more
 * @nodes:	nodes that will do; NULL is all.  @nid comes first if it is one of
 *		them, then the others by their distance from it.
 * @want:	pages that will be asked for, these included: at least 1 << @order
 *
 * What the cache lacks of them is taken from the system together, with one
 * flush for up to 32 blocks.  It stays in the cache, and whoever asks gets it.
 */
struct page *unmapped_pages_alloc_nodes(int nid, const nodemask_t *nodes, gfp_t gfp,
					unsigned int order, unsigned long want);

/**
 * unmapped_pages_alloc_bulk - allocate @nr single unmapped pages
 * @nid, @gfp:	as for unmapped_pages_alloc_node()
 * @nr:		how many, any number
 * @pages:	receives them
 *
 * What the cache lacks is taken from the system together, with one flush for
 * up to 32 blocks.
 *
 * Return: how many were allocated, 0 to @nr; the rest of @pages is undefined.
 */
unsigned long unmapped_pages_alloc_bulk(int nid, gfp_t gfp, unsigned long nr,
					struct page **pages);

/**
 * unmapped_pages_free - free 2^@order unmapped pages
 * @page:	the first; NULL is ignored
 * @order:	pages may be freed in other orders than they were allocated in
 *
 * Each page must have a reference count of 1 and be mapped nowhere.  A page
 * that is still referenced is not reused: it is logged once and lost.  The
 * pages are zeroed, unless they were allocated without __GFP_ZERO; that of large
 * orders takes its time, so free them where that is no harm, or piecemeal.
 *
 * Context: any.
 */
void unmapped_pages_free(struct page *page, unsigned int order);

/**
 * unmapped_map_local - map one page, for this CPU and for now
 * @page:	any page
 *
 * One entry is written, and no other CPU is told.  Mappings nest, at least
 * four deep, and are undone in reverse order.  Preemption is off in between.
 *
 * Context: any.
 * Return: the address; NULL, after a warning, when nested too deep.
 */
void *unmapped_map_local(struct page *page);
void unmapped_unmap_local(void *addr);

/**
 * unmapped_vmap - map pages side by side, for all CPUs and for long
 * @pages:	any pages, each of them any number of times
 * @nr:		how many, 1 to totalram_pages()
 * @prot:	PAGE_KERNEL or PAGE_KERNEL_RO; never executable
 *
 * Whole blocks (512 consecutive pages, the first with a pfn that is a multiple
 * of 512) have one PMD entry each if their distance in @pages from the first
 * whole block is a multiple of 512; all else has PTEs.  No reference is taken:
 * the pages must not be freed before unmapped_vunmap() has returned.  The view
 * is not in /proc/kcore.
 *
 * Context: may sleep.
 * Return: the address, never NULL; ERR_PTR(-EINVAL) for a @nr or @prot other than
 * that, or if one of @pages is NULL; ERR_PTR(-ENOMEM).
 */
void *unmapped_vmap(struct page **pages, unsigned long nr, pgprot_t prot);

/**
 * unmapped_vunmap - end a view
 * @view:	what unmapped_vmap() returned, no error; NULL is ignored
 *
 * On return no CPU has a translation left, and the pages may be freed.  This
 * costs a flush on all CPUs.  What is not the address of a view is warned of and
 * left alone.
 *
 * Context: may sleep.
 */
void unmapped_vunmap(void *view);

/**
 * unmapped_vmap_protect - change the permissions of a part of a view
 * @view:	what unmapped_vmap() returned
 * @first:	the first page of the part, counted from 0
 * @nr:		how many pages, at least 1
 * @prot:	PAGE_KERNEL or PAGE_KERNEL_RO
 *
 * On return the permissions are those on all CPUs.  Calls for one view must not
 * overlap with each other or with its end.
 *
 * Context: may sleep.
 * Return: 0; -EINVAL, with nothing changed, if the part begins or ends inside a
 * PMD entry or is not within the view, or for another @prot or @view.
 */
int unmapped_vmap_protect(void *view, unsigned long first, unsigned long nr,
			  pgprot_t prot);

#endif /* _LINUX_UNMAPPED_H */
