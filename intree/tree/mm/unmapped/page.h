/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Unmapped pages that are freed by their last reference, as those of the page
 * cache are.
 *
 * Nothing in struct page tells them apart: the page allocator asks the table of
 * blocks, and gives back what is of one.  It asks only from when on somebody
 * frees pages so, and until then jumps over the question.
 */
#ifndef UNMAPPED_PAGE_H
#define UNMAPPED_PAGE_H

#include <linux/jump_label.h>
#include <linux/mm.h>
#include <linux/mm_types.h>

struct allocator;
struct vm_fault;

#ifdef CONFIG_UNMAPPED_ALLOC

DECLARE_STATIC_KEY_FALSE(unmapped_put_page_key);

/* Of one of the kernel's allocators: whether it has the page, in use or free. */
bool allocator_owns(const struct allocator *a, unsigned long pfn);
bool __unmapped_owns_pfn(unsigned long pfn);
bool __unmapped_take_back(struct page *page, unsigned int order);

/* For who is going to free pages so; without effect if there is no allocator. */
void unmapped_put_page_enable(void);

static __always_inline bool unmapped_put_page_enabled(void)
{
	return static_branch_unlikely(&unmapped_put_page_key);
}

/* Whether the page is of a block of the allocator's, in use or free. */
static __always_inline bool unmapped_owns(const struct page *page)
{
	return unmapped_put_page_enabled() && __unmapped_owns_pfn(page_to_pfn(page));
}

/*
 * In the course of freeing pages, none of which has references: if they are
 * unmapped ones they are free when this returns, and may be somebody else's.
 */
static __always_inline bool unmapped_take_back(struct page *page, unsigned int order)
{
	return unmapped_put_page_enabled() && __unmapped_take_back(page, order);
}

/*
 * A zeroed folio for a fault, from nodes as the policy of the mapping or of the
 * task, and the cpuset, have it.  NULL also if unmapped_put_page_enable() had no
 * effect.
 */
struct folio *unmapped_fault_folio(const struct vm_fault *vmf, gfp_t gfp,
				   unsigned int order);

#else

static inline void unmapped_put_page_enable(void)
{
}

static inline bool unmapped_put_page_enabled(void)
{
	return false;
}

static inline bool unmapped_owns(const struct page *page)
{
	return false;
}

static inline bool unmapped_take_back(struct page *page, unsigned int order)
{
	return false;
}

static inline struct folio *unmapped_fault_folio(const struct vm_fault *vmf, gfp_t gfp,
						 unsigned int order)
{
	return NULL;
}

#endif /* CONFIG_UNMAPPED_ALLOC */
#endif /* UNMAPPED_PAGE_H */
