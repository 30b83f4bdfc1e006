/* SPDX-License-Identifier: GPL-2.0 */
/* Memory of the page allocator by address; see contig.c. */
#ifndef UNMAPPED_CONTIG_H
#define UNMAPPED_CONTIG_H

#include <linux/gfp.h>

/**
 * contig_alloc - allocate 2^@order naturally aligned pages, moving what is there
 * @order:	at least BLOCK_ORDER
 * @gfp:	__GFP_ZERO; what migration may do to make room
 * @budget_ns:	no other place is tried after so much time
 *
 * Return: the first page, each with a reference count of 1; or NULL.  May sleep.
 */
struct page *contig_alloc(int nid, unsigned int order, gfp_t gfp,
			  unsigned long budget_ns);

/**
 * contig_alloc_near - take the first that is free of the 1 GiB around @pfn
 * @pfn:	and not below it
 * @order:	2^*@order pages at most, at least a block; set to what was taken
 *
 * Nothing is moved.  Return: as contig_alloc().  May sleep.
 */
struct page *contig_alloc_near(int nid, unsigned long pfn, unsigned int *order,
			       gfp_t gfp);

#endif /* UNMAPPED_CONTIG_H */
