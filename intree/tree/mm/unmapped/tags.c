// SPDX-License-Identifier: GPL-2.0
/*
 * Memory allocation profiling; see tags.h.
 *
 * What alloc_contig_range() hands out has a tag on each page, and what was a folio and
 * was split one on each part.  Both are one call each in /proc/allocinfo, and the bytes
 * of all together.  Who frees the pages as one takes off all bytes, but the one call of
 * the first page's tag; the others would stay, and be found by who has the pages next.
 */
#include <linux/mm.h>
#include <linux/pgalloc_tag.h>

#include "tags.h"

/* No bytes: those are left to the first page. */
static void drop(struct page *page)
{
	union pgtag_ref_handle handle;
	union codetag_ref ref;

	if (!get_page_tag_ref(page, &ref, &handle))
		return;
	if (ref.ct && !is_codetag_empty(&ref)) {
		alloc_tag_sub(&ref, 0);
		update_page_tag_ref(handle, &ref);
	}
	put_page_tag_ref(handle);
}

void __tags_join(struct page *page, unsigned int order)
{
	unsigned long i;

	for (i = 1; i < 1UL << order; i++)
		drop(page + i);
}
