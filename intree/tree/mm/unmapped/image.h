/* SPDX-License-Identifier: GPL-2.0 */
/* Unmapped pages in the image of a hibernation. */
#ifndef UNMAPPED_IMAGE_H
#define UNMAPPED_IMAGE_H

#include <linux/jump_label.h>
#include <linux/types.h>

struct page;
struct seq_file;

/*
 * Pages that may be saved, and are to be: those that code will stand on, until
 * unmapped_vfree_pages(), and buffers of devices.
 */
void image_mark(struct page **pages, unsigned long nr);
void image_mark_range(struct page *first, unsigned long nr);
void image_unmark_range(struct page *first, unsigned long nr);

/* How many there are. */
unsigned long image_saved_pages(void);

/*
 * Pages for which there must be no image: what is in use and has no mark, or is on
 * its way from the system or to it.
 */
unsigned long image_pages_refused(void);

/* What is free stays in the cache, but nobody gets it.  May sleep. */
DECLARE_STATIC_KEY_FALSE(image_closed_key);
void image_close(bool closed);

static __always_inline bool image_closed(void)
{
	return static_branch_unlikely(&image_closed_key);
}

/* For unmapped/stats. */
void image_stats_show(struct seq_file *m);

#endif /* UNMAPPED_IMAGE_H */
