// SPDX-License-Identifier: GPL-2.0
/*
 * Memory allocation profiling; see tags.h.
 *
 * What alloc_contig_range() hands out has a tag on each page, and so has what was split.
 * Each is a call in /proc/allocinfo.  Who frees such pages as one takes off all their
 * bytes, but the one call of the first page; the other tags would stay, and be found by
 * who has the pages next.
 */
#include "tags.h"

/* NULL: it has none. */
static struct alloc_tag *tag_of(struct page *page)
{
	union pgtag_ref_handle handle;
	struct alloc_tag *tag = NULL;
	union codetag_ref ref;

	if (!get_page_tag_ref(page, &ref, &handle))
		return NULL;
	if (ref.ct && !is_codetag_empty(&ref))
		tag = ct_to_alloc_tag(ref.ct);
	put_page_tag_ref(handle);
	return tag;
}

static void take_off(struct page *page, unsigned long bytes)
{
	union pgtag_ref_handle handle;
	union codetag_ref ref;

	if (!get_page_tag_ref(page, &ref, &handle))
		return;
	alloc_tag_sub(&ref, bytes);
	update_page_tag_ref(handle, &ref);
	put_page_tag_ref(handle);
}

void __tags_join(struct page *page, unsigned int order)
{
	struct alloc_tag *tag = tag_of(page);
	unsigned long i, bytes = 0;

	if (!tag)
		return;
	/* A tag is for all pages up to the next that has one. */
	for (i = (1UL << order) - 1; i; i--) {
		bytes += PAGE_SIZE;
		if (!tag_of(page + i))
			continue;
		take_off(page + i, bytes);
		this_cpu_add(tag->counters->bytes, bytes);
		bytes = 0;
	}
}
