/* SPDX-License-Identifier: GPL-2.0 */
/* __GFP_ACCOUNT: pages are charged to the memory cgroup of who allocates them. */
#ifndef UNMAPPED_MEMCG_H
#define UNMAPPED_MEMCG_H

#include <linux/mm_types.h>

#ifdef CONFIG_MEMCG

/*
 * Charge 2^@order pages that nobody else has yet to the cgroup of the caller.
 * Over its limit, what can be reclaimed in the cgroup is; nobody is killed.
 *
 * Return: 0 or -ENOMEM.  Context: as @gfp says.
 */
int memcg_charge(struct page *page, gfp_t gfp, unsigned int order);

/* Take the charge back from those of the pages that have one.  Any context. */
void memcg_uncharge(struct page *page, unsigned int order);

/* The charge of one page becomes that of another, which has none.  Any context. */
static inline void memcg_move(struct page *to, struct page *from)
{
	to->memcg_data = from->memcg_data;
	from->memcg_data = 0;
}

static inline bool memcg_charged(const struct page *page)
{
	return page->memcg_data;
}

#else

static inline int memcg_charge(struct page *page, gfp_t gfp, unsigned int order)
{
	return 0;
}

static inline void memcg_uncharge(struct page *page, unsigned int order)
{
}

static inline void memcg_move(struct page *to, struct page *from)
{
}

static inline bool memcg_charged(const struct page *page)
{
	return false;
}

#endif /* CONFIG_MEMCG */
#endif /* UNMAPPED_MEMCG_H */
