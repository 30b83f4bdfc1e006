/* SPDX-License-Identifier: GPL-2.0 */
/* The one allocator of this kernel, and what connects the core to it. */
#ifndef UNMAPPED_HOST_H
#define UNMAPPED_HOST_H

#include "allocator.h"

extern struct allocator unmapped_allocator;

/* Return: 0 or -ENOMEM.  May sleep. */
int host_init(void);
/* Gives everything back that is free; warns of what is not. */
void host_exit(void);

/* One more than the highest pfn there is now; hotplug.c sees what comes later. */
unsigned long host_end_pfn(void);

/* Give back up to @nr free pages of all nodes.  Return: how many.  May sleep. */
unsigned long host_shrink(unsigned long nr);

/* Pages that are not the system's, or on their way from or to it. */
unsigned long host_pages_owned(void);

/*
 * unmapped_pages_free(), but for pages that somebody else may have a reference to.
 * Return: whether they were freed; if not, nothing was done.  Any context.
 */
bool host_try_free(struct page *page, unsigned int order);

/* A block in use need not be zeroed when it is freed: see allocator_mark_dirty(). */
void host_mark_dirty(struct page *page);

/* Pages that clients hold. */
unsigned long host_pages_allocated(void);

#endif /* UNMAPPED_HOST_H */
