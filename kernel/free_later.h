/* SPDX-License-Identifier: GPL-2.0 */
/* Pages that somebody may look at for a moment longer. */
#ifndef UNMAPPED_FREE_LATER_H
#define UNMAPPED_FREE_LATER_H

struct page;

/*
 * Free what unmapped_pages_alloc() gave, 1 << @order pages, now or when references that
 * others have are gone.  From anywhere but NMIs.
 */
void free_now_or_later(struct page *page, unsigned int order);

/* Wait until none is left.  Nobody frees any more.  May sleep. */
void free_later_exit(void);

#endif
