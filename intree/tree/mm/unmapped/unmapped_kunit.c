// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the allocator of unmapped pages.
 *
 * unmapped_core: the core on a machine that only counts.  Its pages are real, but
 * stay in the direct map, so that they can be looked at; each of its calls can be
 * made to fail.
 *
 * unmapped: the allocator of this kernel, by what the direct map says.
 */
#include <kunit/test.h>
#include <linux/mm.h>
#include <linux/nodemask.h>
#include <linux/pgtable.h>
#include <linux/slab.h>
#include <linux/topology.h>
#include <linux/unmapped.h>

#include "host.h"
#include "page.h"

/* --- a machine that counts -------------------------------------------------- */

/**
 * struct counts - what the core did to the machine
 * @pages:	taken and not yet given back
 * @absent:	of these, unmapped
 * @stale:	unmapped since the last flush
 * @gets, @flushes:	calls
 * @largest:	the highest order that get() has
 * @fail_get, @fail_unmap:	the call fails
 */
struct counts {
	long pages;
	long absent;
	long stale;
	unsigned long gets;
	unsigned long flushes;
	unsigned int largest;
	bool fail_get;
	bool fail_unmap;
};

static int count_get(void *host, int nid, unsigned int order, unsigned int flags,
		     unsigned long *pfn)
{
	struct counts *c = host;
	struct page *page;

	c->gets++;
	if (c->fail_get || order > c->largest)
		return -ENOMEM;
	page = alloc_pages_node(nid, GFP_KERNEL | __GFP_ZERO | __GFP_NOWARN, order);
	if (!page)
		return -ENOMEM;
	split_page(page, order);
	c->pages += 1L << order;
	*pfn = page_to_pfn(page);
	return 0;
}

static int count_get_near(void *host, int nid, unsigned int *order, unsigned long *pfn)
{
	return -ENOMEM;
}

static void count_put(void *host, unsigned long pfn, unsigned int order)
{
	struct counts *c = host;
	unsigned long i;

	for (i = 0; i < 1UL << order; i++)
		__free_page(pfn_to_page(pfn + i));
	c->pages -= 1L << order;
}

static int count_unmap(void *host, unsigned long pfn, unsigned int order)
{
	struct counts *c = host;

	if (c->fail_unmap)
		return -EBUSY;
	c->absent += 1L << order;
	c->stale += 1L << order;
	return order < BLOCK_ORDER ? UM_SPLIT_2M : 0;
}

static int count_map(void *host, unsigned long pfn, unsigned int order)
{
	struct counts *c = host;

	c->absent -= 1L << order;
	return 0;
}

static void count_flush(void *host)
{
	struct counts *c = host;

	c->stale = 0;
	c->flushes++;
}

static int count_heal(void *host, unsigned long pfn)
{
	return 0;
}

static bool count_unbroken(void *host, unsigned long pfn)
{
	return false;
}

static void count_zero(void *host, unsigned long pfn, unsigned int order)
{
	memset(page_address(pfn_to_page(pfn)), 0, PAGE_SIZE << order);
}

static u64 count_now(void *host)
{
	return 0;
}

static void count_drain(void *host, struct allocator *a)
{
	allocator_drain_cpu(a);
}

static int count_nearest(void *host, int nid, int prev)
{
	return -1;
}

static const struct um_host_ops count_ops = {
	.get = count_get,
	.get_near = count_get_near,
	.put = count_put,
	.unmap = count_unmap,
	.map = count_map,
	.flush = count_flush,
	.heal = count_heal,
	.heal_region = count_heal,
	.unbroken = count_unbroken,
	.zero = count_zero,
	.now = count_now,
	.drain = count_drain,
	.nearest_node = count_nearest,
};

struct machine {
	struct counts c;
	struct allocator a;
	int nid;
};

/* Magazines are those of one CPU: stay on it. */
static int machine_init(struct kunit *test)
{
	struct machine *m = kunit_kzalloc(test, sizeof(*m), GFP_KERNEL);

	if (!m)
		return -ENOMEM;
	m->c.largest = BLOCK_ORDER;
	m->nid = numa_mem_id();
	test->priv = m;
	return allocator_init(&m->a, &count_ops, &m->c, nr_node_ids, host_end_pfn());
}

static unsigned long give_back(struct machine *m)
{
	int cpu;

	/* The test may have been moved from CPU to CPU. */
	for_each_possible_cpu(cpu)
		allocator_drain_dead_cpu(&m->a, cpu);
	return allocator_shrink(&m->a, -1, ULONG_MAX, 0);
}

static void machine_exit(struct kunit *test)
{
	struct machine *m = test->priv;

	if (!m)
		return;
	give_back(m);
	KUNIT_EXPECT_EQ(test, m->c.pages, 0L);
	KUNIT_EXPECT_EQ(test, m->c.absent, 0L);
	allocator_destroy(&m->a);
}

/* --- the core ---------------------------------------------------------------- */

static void every_order(struct kunit *test)
{
	struct machine *m = test->priv;
	unsigned int order;
	unsigned long pfn;

	for (order = 0; order <= BLOCK_ORDER; order++) {
		KUNIT_ASSERT_EQ(test, 0,
				allocator_alloc(&m->a, m->nid, order, UM_ZERO, &pfn));
		KUNIT_EXPECT_EQ(test, 0UL, pfn & ((1UL << order) - 1));
		KUNIT_EXPECT_EQ(test, 0L, m->c.stale);
		KUNIT_EXPECT_EQ(test, m->c.pages, m->c.absent);
		KUNIT_EXPECT_EQ(test, 0, allocator_free(&m->a, pfn, order));
	}
	/* Unless there was nothing whole, and pieces served until there was. */
	if (!(m->c.pages % BLOCK_PAGES))
		KUNIT_EXPECT_EQ(test, 1UL, m->c.flushes);
	KUNIT_EXPECT_PTR_EQ(test, (const char *)NULL, allocator_validate(&m->a));
}

#define MANY 1500U

static void no_page_twice(struct kunit *test)
{
	unsigned long *pfns = kunit_kcalloc(test, MANY, sizeof(*pfns), GFP_KERNEL);
	struct machine *m = test->priv;
	unsigned int i;
	u32 *word;

	KUNIT_ASSERT_NOT_NULL(test, pfns);
	for (i = 0; i < MANY; i++) {
		KUNIT_ASSERT_EQ(test, 0,
				allocator_alloc(&m->a, m->nid, 0, UM_ZERO, &pfns[i]));
		word = page_address(pfn_to_page(pfns[i]));
		KUNIT_EXPECT_EQ(test, 0U, *word);
		*word = i + 1;
	}
	for (i = 0; i < MANY; i++) {
		word = page_address(pfn_to_page(pfns[i]));
		KUNIT_EXPECT_EQ(test, i + 1, *word);
		KUNIT_EXPECT_EQ(test, 0, allocator_free(&m->a, pfns[i], 0));
		KUNIT_EXPECT_EQ(test, 0U, *word);
	}
}

static void may_not_block(struct kunit *test)
{
	struct machine *m = test->priv;
	unsigned long pfn;

	KUNIT_EXPECT_EQ(test, -ENOMEM,
			allocator_alloc(&m->a, m->nid, 0, UM_NOWAIT, &pfn));
	KUNIT_EXPECT_EQ(test, 0UL, m->c.gets);
	KUNIT_ASSERT_EQ(test, 0, allocator_alloc(&m->a, m->nid, 0, 0, &pfn));
	KUNIT_EXPECT_EQ(test, 0, allocator_free(&m->a, pfn, 0));
	KUNIT_ASSERT_EQ(test, 0, allocator_alloc(&m->a, m->nid, 0, UM_NOWAIT, &pfn));
	KUNIT_EXPECT_EQ(test, 0, allocator_free(&m->a, pfn, 0));
}

static void failures_leave_nothing(struct kunit *test)
{
	struct machine *m = test->priv;
	unsigned long pfn;

	m->c.fail_get = true;
	KUNIT_EXPECT_EQ(test, -ENOMEM, allocator_alloc(&m->a, m->nid, 0, 0, &pfn));
	m->c.fail_get = false;
	m->c.fail_unmap = true;
	KUNIT_EXPECT_NE(test, 0, allocator_alloc(&m->a, m->nid, 0, 0, &pfn));
	m->c.fail_unmap = false;
	KUNIT_EXPECT_EQ(test, 0L, m->c.pages);
	KUNIT_EXPECT_EQ(test, 0L, m->c.absent);
	KUNIT_ASSERT_EQ(test, 0, allocator_alloc(&m->a, m->nid, 0, 0, &pfn));
	KUNIT_EXPECT_EQ(test, 0, allocator_free(&m->a, pfn, 0));
}

static void pieces(struct kunit *test)
{
	struct machine *m = test->priv;
	unsigned long pfn;

	m->c.largest = 3;
	KUNIT_EXPECT_EQ(test, -ENOMEM,
			allocator_alloc(&m->a, m->nid, BLOCK_ORDER, UM_TRY, &pfn));
	KUNIT_ASSERT_EQ(test, 0, allocator_alloc(&m->a, m->nid, 3, UM_ZERO, &pfn));
	KUNIT_EXPECT_EQ(test, m->c.pages, m->c.absent);
	KUNIT_EXPECT_EQ(test, 0, allocator_free(&m->a, pfn, 3));
	give_back(m);
	KUNIT_EXPECT_EQ(test, 0L, m->c.pages);
}

static struct kunit_case core_cases[] = {
	KUNIT_CASE(every_order),   KUNIT_CASE(no_page_twice),
	KUNIT_CASE(may_not_block), KUNIT_CASE(failures_leave_nothing),
	KUNIT_CASE(pieces),	   {}
};

static struct kunit_suite core_suite = {
	.name = "unmapped_core",
	.init = machine_init,
	.exit = machine_exit,
	.test_cases = core_cases,
};

/* --- the allocator of this kernel --------------------------------------------- */

static bool present(struct page *page)
{
	unsigned int level;
	pte_t *pte = lookup_address((unsigned long)page_address(page), &level);

	return pte && pte_val(*pte) & _PAGE_PRESENT;
}

static void absent_in_use(struct kunit *test)
{
	unsigned int order;
	struct page *page;
	unsigned long i;

	for (order = 0; order <= BLOCK_ORDER; order += 3) {
		page = unmapped_pages_alloc(GFP_KERNEL | __GFP_ZERO, order);
		KUNIT_ASSERT_NOT_NULL(test, page);
		for (i = 0; i < 1UL << order; i++) {
			KUNIT_EXPECT_FALSE(test, present(page + i));
			KUNIT_EXPECT_EQ(test, 1, page_count(page + i));
		}
		unmapped_pages_free(page, order);
	}
}

static void present_when_released(struct kunit *test)
{
	struct page *page = unmapped_pages_alloc(GFP_KERNEL, BLOCK_ORDER);

	KUNIT_ASSERT_NOT_NULL(test, page);
	unmapped_pages_free(page, BLOCK_ORDER);
	host_shrink(ULONG_MAX);
	KUNIT_EXPECT_TRUE(test, present(page));
}

static void clean(struct kunit *test)
{
	struct page *page = unmapped_pages_alloc(GFP_KERNEL | __GFP_ZERO, 0);
	u32 *word;

	KUNIT_ASSERT_NOT_NULL(test, page);
	word = unmapped_map_local(page);
	*word = 0x5a5a5a5a;
	unmapped_unmap_local(word);
	unmapped_pages_free(page, 0);
	/* It may be another page; of this one nobody else may have it. */
	page = unmapped_pages_alloc(GFP_KERNEL | __GFP_ZERO, 0);
	KUNIT_ASSERT_NOT_NULL(test, page);
	word = unmapped_map_local(page);
	KUNIT_EXPECT_EQ(test, 0U, *word);
	unmapped_unmap_local(word);
	unmapped_pages_free(page, 0);
}

static void freed_by_reference(struct kunit *test)
{
	unsigned long before = host_pages_allocated();
	struct page *page;

	unmapped_put_page_enable();
	page = unmapped_pages_alloc(GFP_KERNEL | __GFP_ZERO, 0);
	KUNIT_ASSERT_NOT_NULL(test, page);
	KUNIT_EXPECT_TRUE(test, unmapped_owns(page));
	get_page(page);
	put_page(page);
	KUNIT_EXPECT_EQ(test, before + 1, host_pages_allocated());
	put_page(page);
	KUNIT_EXPECT_EQ(test, before, host_pages_allocated());

	/* Nobody else's page is taken for one. */
	page = alloc_page(GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, page);
	KUNIT_EXPECT_FALSE(test, unmapped_owns(page));
	__free_page(page);
}

/* Not on every machine: see check_machine(). */
static int live_init(struct kunit *test)
{
	if (!unmapped_allocator.caches)
		kunit_skip(test, "the allocator is not used here");
	return 0;
}

static struct kunit_case live_cases[] = { KUNIT_CASE(absent_in_use),
					  KUNIT_CASE(present_when_released),
					  KUNIT_CASE(clean),
					  KUNIT_CASE(freed_by_reference),
					  {} };

static struct kunit_suite live_suite = {
	.name = "unmapped",
	.init = live_init,
	.test_cases = live_cases,
};

kunit_test_suites(&core_suite, &live_suite);
