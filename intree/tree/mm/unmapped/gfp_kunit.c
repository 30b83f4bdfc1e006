// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of __GFP_UNMAPPED: pages of the usual calls that are unmapped, and
 * what these cost, the same pages by the API, and ordinary ones.
 */
#include <kunit/test.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/timex.h>
#include <linux/unmapped.h>

#include "host.h"
#include "page.h"

#define ROUNDS 1000

#ifdef CONFIG_UNMAPPED_GFP

static bool present(struct page *page)
{
	unsigned int level;
	pte_t *pte = lookup_address((unsigned long)page_address(page), &level);

	return pte && pte_val(*pte) & _PAGE_PRESENT;
}

static bool is_zero(struct page *page)
{
	void *addr = unmapped_map_local(page);
	bool zero = !memchr_inv(addr, 0, PAGE_SIZE);

	unmapped_unmap_local(addr);
	return zero;
}

static void scribble(struct page *page)
{
	void *addr = unmapped_map_local(page);

	memset(addr, 0x5a, PAGE_SIZE);
	unmapped_unmap_local(addr);
}

/* Twice: what was written the first time must be gone the second. */
static void by_flag(struct kunit *test)
{
	static const unsigned int orders[] = { 0, 3, 9 };
	unsigned long before = host_pages_allocated();
	unsigned int i, order, round;
	unsigned long n;
	struct page *page;

	for (i = 0; i < 2 * ARRAY_SIZE(orders); i++) {
		order = orders[i % ARRAY_SIZE(orders)];
		round = i / ARRAY_SIZE(orders);
		page = alloc_pages(GFP_KERNEL | __GFP_UNMAPPED, order);
		KUNIT_ASSERT_NOT_NULL(test, page);
		KUNIT_EXPECT_EQ(test, 1, page_count(page));
		for (n = 0; n < 1UL << order; n++) {
			KUNIT_EXPECT_FALSE(test, present(page + n));
			KUNIT_EXPECT_TRUE_MSG(test, is_zero(page + n),
					      "order %u, round %u", order, round);
			scribble(page + n);
		}
		KUNIT_EXPECT_EQ(test, before + (1UL << order), host_pages_allocated());
		__free_pages(page, order);
		KUNIT_EXPECT_EQ(test, before, host_pages_allocated());
	}
}

static void in_bulk(struct kunit *test)
{
	unsigned long before = host_pages_allocated(), got, total;
	struct page *pages[8] = {};

	/* It may give fewer than it was asked for. */
	for (total = 0; total < ARRAY_SIZE(pages); total = got) {
		got = alloc_pages_bulk(GFP_KERNEL | __GFP_UNMAPPED, ARRAY_SIZE(pages),
				       pages);
		KUNIT_ASSERT_GT(test, got, total);
	}
	KUNIT_EXPECT_EQ(test, before + total, host_pages_allocated());
	while (total--) {
		KUNIT_EXPECT_FALSE(test, present(pages[total]));
		__free_page(pages[total]);
	}
	KUNIT_EXPECT_EQ(test, before, host_pages_allocated());
}

/* Somebody else's reference frees the first page last, and the others before. */
static void by_last_reference(struct kunit *test)
{
	unsigned long before = host_pages_allocated();
	struct page *page = alloc_pages(GFP_KERNEL | __GFP_UNMAPPED, 3);

	KUNIT_ASSERT_NOT_NULL(test, page);
	get_page(page);
	__free_pages(page, 3);
	KUNIT_EXPECT_EQ(test, before + 1, host_pages_allocated());
	put_page(page);
	KUNIT_EXPECT_EQ(test, before, host_pages_allocated());
}

static void as_folio(struct kunit *test)
{
	unsigned long before = host_pages_allocated();
	struct folio *folio = folio_alloc(GFP_KERNEL_ACCOUNT | __GFP_UNMAPPED, 3);

	KUNIT_ASSERT_NOT_NULL(test, folio);
	KUNIT_EXPECT_EQ(test, 8L, folio_nr_pages(folio));
	KUNIT_EXPECT_FALSE(test, present(folio_page(folio, 7)));
	folio_put(folio);
	KUNIT_EXPECT_EQ(test, before, host_pages_allocated());
}

/* From the cache only, or not at all: nothing that sleeps. */
static void atomic(struct kunit *test)
{
	struct page *page = alloc_page(GFP_KERNEL | __GFP_UNMAPPED);

	KUNIT_ASSERT_NOT_NULL(test, page);
	__free_page(page);
	preempt_disable();
	page = alloc_page(GFP_ATOMIC | __GFP_UNMAPPED);
	if (page)
		__free_page(page);
	preempt_enable();
	KUNIT_EXPECT_NOT_NULL(test, page);
}

#endif /* CONFIG_UNMAPPED_GFP */

typedef struct page *(*alloc_fn)(gfp_t gfp, unsigned int order);
typedef void (*free_fn)(struct page *page, unsigned int order);

static struct page *by_page_allocator(gfp_t gfp, unsigned int order)
{
	return alloc_pages(gfp, order);
}

static __always_inline void cost_of(struct kunit *test, const char *what, gfp_t gfp,
				    unsigned int order, alloc_fn alloc_pages_by,
				    free_fn free_pages_by)
{
	u64 start, alloc = 0, free = 0, t;
	struct page *page;
	unsigned int i;

	/* The first ones fill caches. */
	for (i = 0; i < 2 * ROUNDS; i++) {
		if (i == ROUNDS)
			alloc = free = 0;
		start = get_cycles();
		page = alloc_pages_by(gfp, order);
		t = get_cycles();
		alloc += t - start;
		KUNIT_ASSERT_NOT_NULL(test, page);
		start = get_cycles();
		free_pages_by(page, order);
		free += get_cycles() - start;
	}
	kunit_info(test, "row alloc%s%u %llu\n", what, order, div_u64(alloc, ROUNDS));
	kunit_info(test, "row free%s%u %llu\n", what, order, div_u64(free, ROUNDS));
}

static void cost(struct kunit *test)
{
	static const unsigned int orders[] = { 0, 3 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(orders); i++) {
		cost_of(test, "", GFP_KERNEL | __GFP_SKIP_ZERO, orders[i],
			by_page_allocator, __free_pages);
		cost_of(test, "-api", GFP_KERNEL | __GFP_ZERO, orders[i],
			unmapped_pages_alloc, unmapped_pages_free);
#ifdef CONFIG_UNMAPPED_GFP
		cost_of(test, "-flag", GFP_KERNEL | __GFP_UNMAPPED, orders[i],
			by_page_allocator, __free_pages);
#endif
	}
}

static struct kunit_case gfp_cases[] = {
#ifdef CONFIG_UNMAPPED_GFP
	KUNIT_CASE(by_flag),
	KUNIT_CASE(in_bulk),
	KUNIT_CASE(by_last_reference),
	KUNIT_CASE(as_folio),
	KUNIT_CASE(atomic),
#endif
	KUNIT_CASE_SLOW(cost),
	{}
};

static int gfp_init(struct kunit *test)
{
	if (!unmapped_allocator.caches)
		kunit_skip(test, "the allocator is not used here");
	if (unmapped_serves_programs())
		kunit_skip(test, "programs take and free pages all the time");
	return 0;
}

static struct kunit_suite gfp_suite = {
	.name = "unmapped_gfp",
	.init = gfp_init,
	.test_cases = gfp_cases,
};

kunit_test_suite(gfp_suite);
