/* SPDX-License-Identifier: GPL-2.0 */
/* Code in the image of a hibernation. */
#ifndef UNMAPPED_IMAGE_H
#define UNMAPPED_IMAGE_H

#include <linux/jump_label.h>
#include <linux/types.h>

#include "host.h"

struct page;
struct seq_file;

#ifdef CONFIG_UNMAPPED_EXECMEM

/* Pages that code will stand on: they may be saved. */
void image_mark_code(struct page **pages, unsigned long nr);

/* How many there are. */
unsigned long image_code_pages(void);

/*
 * Pages for which there must be no image: what is in use and not code, or on its
 * way from the system or to it.
 */
unsigned long image_pages_refused(void);

/* What is free stays in the cache with code, but nobody gets it.  May sleep. */
DECLARE_STATIC_KEY_FALSE(image_closed_key);
void image_close(bool closed);

static __always_inline bool image_closed(void)
{
	return static_branch_unlikely(&image_closed_key);
}

/* For unmapped/stats. */
void image_stats_show(struct seq_file *m);

#else

static inline unsigned long image_code_pages(void)
{
	return 0;
}

/* All must have been given back: what is absent could not be copied. */
static inline unsigned long image_pages_refused(void)
{
	return host_pages_owned();
}

/* The cache is empty then. */
static inline void image_close(bool closed)
{
}

static inline bool image_closed(void)
{
	return false;
}

static inline void image_stats_show(struct seq_file *m)
{
}

#endif /* CONFIG_UNMAPPED_EXECMEM */
#endif /* UNMAPPED_IMAGE_H */
