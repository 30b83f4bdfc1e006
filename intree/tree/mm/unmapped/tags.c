// SPDX-License-Identifier: GPL-2.0
/*
 * Memory allocation profiling; see tags.h.
 *
 * A block comes with a tag for all of it, or with one on each page, from
 * alloc_contig_range().  Each tag is a call in /proc/allocinfo.  Who frees a block as
 * one takes off all its bytes, but the one call of the first page; the other tags would
 * stay, and be found by who has the pages next.  Who frees a page without a tag, by
 * __free_pages(), is warned.
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

static void give(struct page *page, struct alloc_tag *tag)
{
	union pgtag_ref_handle handle;
	union codetag_ref ref;

	if (!get_page_tag_ref(page, &ref, &handle))
		return;
	/* Not one that is marked as empty. */
	ref.ct = NULL;
	alloc_tag_ref_set(&ref, tag);
	update_page_tag_ref(handle, &ref);
	put_page_tag_ref(handle);
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

void __tags_split(struct page *page, unsigned int order)
{
	struct alloc_tag *tag = tag_of(page);
	unsigned long i;

	if (!tag)
		return;
	for (i = 1; i < 1UL << order; i++)
		if (!tag_of(page + i))
			give(page + i, tag);
}
