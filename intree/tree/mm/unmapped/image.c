// SPDX-License-Identifier: GPL-2.0
/*
 * Unmapped pages in the image of a hibernation.
 *
 * Pages below kernel code, from their allocation to vfree(), and buffers of devices
 * have a mark.  They are saved and restored like any others, but read through a
 * mapping of one page, as the direct map does not have them.  All other pages of the
 * allocator are free then, since pm.c sees to it that there is no image while one is
 * not, and they are not allocated any more from when on it has looked.  They may
 * still have what somebody left behind who asked for no zeroing, so they are saved as
 * zeros, which is what all but such a client get anyway.
 *
 * While the copy is made, entries of the mappings of one page are written.  The
 * table that they are in is copied between two such mappings and not during one,
 * so in what is restored there is none.
 */
#include <linux/atomic.h>
#include <linux/jump_label.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/seq_file.h>
#include <linux/unmapped.h>

#include "host.h"
#include "image.h"
#include "page.h"

static atomic_long_t nr_saved;

/* In page->private. */
#define SAVED ((unsigned long)&nr_saved)

static void mark(struct page *page)
{
	set_page_private(page, SAVED);
}

/* Return: whether it had a mark. */
static bool unmark(struct page *page)
{
	if (page_private(page) != SAVED)
		return false;
	set_page_private(page, 0);
	return true;
}

void image_mark(struct page **pages, unsigned long nr)
{
	unsigned long i;

	for (i = 0; i < nr; i++)
		mark(pages[i]);
	atomic_long_add((long)nr, &nr_saved);
}

void unmapped_vfree_pages(struct page **pages, unsigned long nr)
{
	long marked = 0;
	unsigned long i;

	for (i = 0; i < nr; i++)
		marked += unmark(pages[i]);
	atomic_long_sub(marked, &nr_saved);
}

void image_mark_range(struct page *first, unsigned long nr)
{
	unsigned long i;

	for (i = 0; i < nr; i++)
		mark(first + i);
	atomic_long_add((long)nr, &nr_saved);
}

void image_unmark_range(struct page *first, unsigned long nr)
{
	long marked = 0;
	unsigned long i;

	for (i = 0; i < nr; i++)
		marked += unmark(first + i);
	atomic_long_sub(marked, &nr_saved);
}

unsigned long image_saved_pages(void)
{
	return (unsigned long)atomic_long_read(&nr_saved);
}

DEFINE_STATIC_KEY_FALSE(image_closed_key);

void image_close(bool closed)
{
	if (closed)
		static_branch_enable(&image_closed_key);
	else
		static_branch_disable(&image_closed_key);
}

unsigned long image_pages_refused(void)
{
	long pages = (long)host_pages_owned() - (long)image_saved_pages();
	struct allocator_report r;
	int nid;

	for (nid = 0; nid < (int)unmapped_allocator.nr_nodes; nid++) {
		allocator_report(&unmapped_allocator, nid, &r);
		pages -= (long)r.pages_free;
	}
	/* What is freed meanwhile is counted twice; in last_look() nothing is. */
	return (unsigned long)max(pages, 0L);
}

void *unmapped_image_map(struct page *page)
{
	if (!unmapped_allocator.caches || !__unmapped_owns_pfn(page_to_pfn(page)))
		return NULL;
	return unmapped_map_local(page_private(page) == SAVED ? page : ZERO_PAGE(0));
}

void image_stats_show(struct seq_file *m)
{
	seq_printf(m, "pages_to_save %lu\n", image_saved_pages());
}
