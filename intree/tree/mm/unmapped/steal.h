/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Blocks that are owned in part are completed out of what others free in them; see
 * steal.c.
 */
#ifndef UNMAPPED_STEAL_H
#define UNMAPPED_STEAL_H

#include <linux/compiler.h>
#include <linux/mm_types.h>

#include "page.h"

struct seq_file;

#ifdef CONFIG_UNMAPPED_ALLOC

extern bool unmapped_stealing;

bool __unmapped_steal(struct page *page, unsigned int order);

static __always_inline bool unmapped_steal_enabled(void)
{
	return unmapped_put_page_enabled() && unlikely(READ_ONCE(unmapped_stealing));
}

/*
 * Pages that are about to enter the lists of free ones, free_pages_prepare() having
 * returned true.  Return: whether they must not, as they are the allocator's now.
 * Any context, NMI included; takes no lock.
 */
static __always_inline bool unmapped_steal(struct page *page, unsigned int order)
{
	return unmapped_steal_enabled() && __unmapped_steal(page, order);
}

/*
 * Take over what was freed since the last call, and say how much more may be.
 * Return: whether to call again.  May sleep.
 */
bool steal_adopt(void);

/* Whether a page would be taken now if it were freed, but for .room.  Any context. */
bool steal_wants(struct page *page);

/* Pages not taken over yet, which steal_give_back() gives back.  Any context. */
unsigned long steal_pending(int nid);

/*
 * To the system with these, and no more for a moment.  @wait: unless somebody is at
 * it, who may be waiting for us.  Return: pages.  May sleep.
 */
unsigned long steal_give_back(int nid, bool wait);
void steal_give_back_all(void);

/* What healing by asking (heal.c) gives back: not what may yet be completed. */
bool steal_may_release(int nid);
void steal_release(int nid);

void steal_stats_show(struct seq_file *m);

#else

static inline bool unmapped_steal_enabled(void)
{
	return false;
}

static inline bool unmapped_steal(struct page *page, unsigned int order)
{
	return false;
}

#endif /* CONFIG_UNMAPPED_ALLOC */
#endif /* UNMAPPED_STEAL_H */
