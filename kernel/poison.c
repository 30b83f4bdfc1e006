// SPDX-License-Identifier: GPL-2.0
/*
 * Pages with memory errors are not used again.
 *
 * memory_failure() marks a page.  Whoever has it may live on, or die, and free it;
 * one in the cache has nobody.  So both ways are guarded, as they are in the page
 * allocator: what is marked is not freed, and what is allocated is looked at.  Such a
 * page remains allocated, with nobody who has it, and its block ours.
 */
#define pr_fmt(fmt) "unmapped: " fmt

#include <linux/atomic.h>
#include <linux/minmax.h>
#include <linux/printk.h>

#include "poison.h"

static atomic_long_t nr_poisoned;

/* In runs as long as there are. */
void free_all_but_poisoned(struct page *page, unsigned int order)
{
	unsigned long pfn = page_to_pfn(page), i;
	unsigned int run;

	for (i = 0; i < 1UL << order; i += 1UL << run) {
		run = i ? (unsigned int)__ffs(i) : order;
		while (run && any_poisoned(page + i, run))
			run--;
		if (!any_poisoned(page + i, run)) {
			allocator_free(&unmapped_allocator, pfn + i, run);
			continue;
		}
		atomic_long_inc(&nr_poisoned);
		pr_warn_ratelimited("pfn %#lx has a memory error and is not used again\n",
				    pfn + i);
	}
}

unsigned long poisoned_pages(void)
{
	return (unsigned long)atomic_long_read(&nr_poisoned);
}
