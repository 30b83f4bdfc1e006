// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * core/run.c on the simulated machine: orders above a block's, regions that
 * leave and come back by one entry, and which regions a refill breaks.
 */
#include "unit.h"

#define GIB_PAGES (1UL << REGION_ORDER)

/* The first region has the kernel in it. */
static const struct machine_config gigabytes = {
	.nr_nodes = 1,
	.nr_cpus = 2,
	.node_pages = 3 * GIB_PAGES,
};

static void orders_of_runs(void **state)
{
	unsigned int order;

	(void)state;
	for (order = BLOCK_ORDER + 1; order <= REGION_ORDER; order++) {
		start(&gigabytes);
		assert_int_equal(client_alloc(&one, 0, order, UM_ZERO), 0);
		assert_int_equal(m.map.flushes, 1);
		assert_int_equal(m.map.splits_2m, 0);
		assert_int_equal(m.map.splits_1g, order < REGION_ORDER);
		assert_int_equal(stat_of(0, STAT_BLOCKS_TAKEN), 1UL << (order - 9));
		assert_int_equal(m.calls[OP_UNMAP], 1);
		finish();
	}
}

static void freed_in_any_order(void **state)
{
	unsigned long pfn, i, k;

	(void)state;
	start(&ordinary);
	assert_int_equal(client_alloc(&one, 0, 12, UM_ZERO), 0);
	client_free(&one, 0, 5);
	assert_sound();
	/* And together what was allocated apart. */
	for (i = 0; i < 8; i++)
		assert_int_equal(client_alloc(&one, 0, BLOCK_ORDER, UM_ZERO | UM_NOWAIT),
				 0);
	for (i = 0; i < 3; i++) /* pairs, fours, all eight */
		for (k = 0; k < one.nr_held; k++)
			client_join(&one, k);
	assert_int_equal(one.nr_held, 1);
	assert_int_equal(one.held[0].order, 12);
	pfn = one.held[0].pfn;
	client_free(&one, 0, REGION_ORDER);
	assert_sound();

	/* Twice: refused, and all of it stays free. */
	m.expected_warnings++;
	assert_int_equal(allocator_free(&m.allocator, pfn, 12), -EINVAL);
	m.expected_warnings++;
	assert_int_equal(allocator_free(&m.allocator, pfn + BLOCK_PAGES, 12), -EINVAL);
	assert_int_equal(stat_of(0, STAT_QUARANTINED), 0);
	finish();
}

static void cached_blocks_make_a_run(void **state)
{
	(void)state;
	start(&ordinary);
	assert_int_equal(client_alloc(&one, 0, 12, UM_ZERO), 0);
	client_free_all(&one);
	assert_int_equal(client_alloc(&one, 0, 11, UM_ZERO | UM_NOWAIT), 0);
	assert_int_equal(client_alloc(&one, 0, 11, UM_ZERO | UM_NOWAIT), 0);
	assert_int_equal(client_alloc(&two, 0, 10, UM_ZERO | UM_NOWAIT | UM_THISNODE),
			 -ENOMEM);
	assert_int_equal(m.map.flushes, 1);
	/* One page in use is enough to be in the way. */
	client_free(&one, 1, REGION_ORDER);
	assert_int_equal(client_alloc(&two, 0, 0, UM_ZERO | UM_NOWAIT), 0);
	client_free_all(&one);
	assert_int_equal(client_alloc(&one, 0, 12, UM_ZERO | UM_NOWAIT), -ENOMEM);
	assert_sound();
	finish();
}

static void dirty_ones_are_zeroed_for_who_asks(void **state)
{
	(void)state;
	start(&ordinary);
	assert_int_equal(client_alloc(&one, 0, 11, 0), 0);
	client_free_all(&one);
	assert_int_equal(m.pages_zeroed, 0);
	assert_int_equal(client_alloc(&one, 0, 11, UM_ZERO | UM_NOWAIT), 0);
	assert_int_equal(m.pages_zeroed, 1UL << 11);
	finish();
}

/* Whole blocks that are cached lie between those that the system has. */
static void the_cache_gives_way(void **state)
{
	struct machine_config config = ordinary;
	unsigned int i;

	(void)state;
	config.nr_nodes = 1;
	config.node_pages = 16 * BLOCK_PAGES;
	start(&config);
	for (i = 0; i < 15; i++)
		assert_int_equal(others_alloc(&m, 0, BLOCK_ORDER), 0);
	others_free(&m, 9); /* block 10 */
	load_blocks(1);
	for (i = 0; i < m.nr_others;)
		if (m.others[i].pfn >> BLOCK_ORDER >= 8)
			others_free(&m, i);
		else
			i++;
	assert_int_equal(client_alloc(&one, 0, 12, UM_ZERO), 0);
	assert_int_equal(stat_of(0, STAT_BLOCKS_RELEASED), 1);
	assert_int_equal(client_alloc(&two, 0, 10, UM_ZERO), -ENOMEM);
	assert_sound();
	finish();
}

static void a_failure_leaves_no_trace(void **state)
{
	static const enum machine_op ops[] = { OP_GET, OP_UNMAP };
	unsigned int i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		start(&ordinary);
		m.fails[ops[i]] = true;
		assert_true(client_alloc(&one, 0, 12, UM_ZERO) < 0);
		assert_int_equal(stat_of(0, STAT_PAGES_OWNED), 0);
		assert_int_equal(m.map.flushes, 0);
		assert_sound();
		finish();
	}
	/* No memory for what says where the pages are. */
	start(&ordinary);
	um_fail_nth = 0;
	assert_int_equal(client_alloc(&one, 0, 12, UM_ZERO | UM_THISNODE), -ENOMEM);
	um_fail_nth = -1;
	assert_sound();
	finish();
}

/* --- 1 GiB in one step -------------------------------------------------------- */

static void a_region_goes_and_comes_by_one_entry(void **state)
{
	(void)state;
	start(&gigabytes);
	assert_int_equal(client_alloc(&one, 0, REGION_ORDER, UM_ZERO), 0);
	assert_int_equal(m.map.splits_1g, 0);
	assert_true(m.map.region_absent[one.held[0].pfn >> REGION_ORDER]);
	client_free(&one, 0, 3);
	assert_int_equal(allocator_shrink(&m.allocator, -1, 1, 0), GIB_PAGES);
	assert_int_equal(m.map.splits_1g, 0);
	assert_int_equal(m.map.flushes, 1);
	assert_int_equal(m.calls[OP_MAP], 1);
	assert_int_equal(m.calls[OP_PUT], 1);
	assert_sound();
	finish();
}

static void part_of_a_region_goes_back(void **state)
{
	unsigned long pfn, i;

	(void)state;
	start(&gigabytes);
	assert_int_equal(client_alloc(&one, 0, REGION_ORDER, UM_ZERO), 0);
	pfn = one.held[0].pfn;
	client_free(&one, 0, BLOCK_ORDER);
	assert_int_equal(client_alloc(&one, 0, 0, UM_ZERO | UM_NOWAIT), 0);
	/* All but the block of that page; its entry is split for that. */
	assert_int_equal(allocator_shrink(&m.allocator, -1, ~0UL, 0),
			 GIB_PAGES - BLOCK_PAGES);
	assert_int_equal(m.map.splits_1g, 1);
	assert_int_equal(stat_of(0, STAT_SPLITS_1G), 1);
	for (i = pfn; i < pfn + GIB_PAGES; i += BLOCK_PAGES)
		assert_int_equal(m.map.absent[i], i == (one.held[0].pfn & ~511UL));
	assert_sound();
	client_free_all(&one);
	allocator_shrink(&m.allocator, -1, ~0UL, 0);
	assert_int_equal(m.map.heals_1g, 1);
	/* And once more, now by one entry again. */
	assert_int_equal(client_alloc(&one, 0, REGION_ORDER, UM_ZERO), 0);
	assert_int_equal(m.map.splits_1g, 1);
	finish();
}

/* One step fails: block by block then, none of them lost. */
static void a_region_that_cant_be_mapped_at_once(void **state)
{
	(void)state;
	start(&gigabytes);
	assert_int_equal(client_alloc(&one, 0, REGION_ORDER, UM_ZERO), 0);
	client_free_all(&one);
	m.fail_at[OP_MAP] = 0;
	assert_int_equal(allocator_shrink(&m.allocator, -1, ~0UL, 0), GIB_PAGES);
	assert_int_equal(m.map.splits_1g, 1);
	assert_int_equal(m.map.heals_1g, 1);
	assert_int_equal(stat_of(0, STAT_QUARANTINED), 0);
	assert_sound();
	finish();
}

static void a_region_of_small_entries(void **state)
{
	struct machine_config config = gigabytes;

	(void)state;
	config.boot_split_regions = true;
	start(&config);
	assert_int_equal(client_alloc(&one, 0, REGION_ORDER, UM_ZERO), 0);
	assert_int_equal(m.map.splits_1g, 0);
	client_free_all(&one);
	assert_int_equal(allocator_shrink(&m.allocator, -1, ~0UL, 0), GIB_PAGES);
	finish();
}

static void a_cached_region_serves_again(void **state)
{
	unsigned long pfn;

	(void)state;
	start(&gigabytes);
	assert_int_equal(client_alloc(&one, 0, REGION_ORDER, UM_ZERO), 0);
	pfn = one.held[0].pfn;
	client_free_all(&one);
	assert_int_equal(client_alloc(&one, 0, REGION_ORDER, UM_ZERO | UM_NOWAIT), 0);
	assert_int_equal(one.held[0].pfn, pfn);
	assert_int_equal(m.calls[OP_UNMAP], 1);
	finish();
}

/* --- regions are broken one after the other ----------------------------------- */

static void broken_regions_first(void **state)
{
	struct machine_config config = gigabytes;
	unsigned int i;

	(void)state;
	config.node_pages = 6 * GIB_PAGES;
	config.scatter = true;
	start(&config);
	for (i = 0; i < 768; i++) /* 1.5 GiB */
		assert_int_equal(client_alloc(&one, 0, BLOCK_ORDER, UM_ZERO), 0);
	assert_in_range(m.map.splits_1g, 1, 2);
	assert_int_equal(m.map.splits_2m, 0);
	assert_sound();
	finish();
}

/* What others broke is no worse a place than what we did. */
static void regions_that_others_broke(void **state)
{
	struct machine_config config = gigabytes;
	unsigned int i;

	(void)state;
	config.node_pages = 6 * GIB_PAGES;
	config.scatter = true;
	start(&config);
	m.map.region_split[3] = SPLIT_BY_OTHERS;
	for (i = 0; i < 400; i++)
		assert_int_equal(client_alloc(&one, 0, BLOCK_ORDER, UM_ZERO), 0);
	assert_int_equal(m.map.splits_1g, 0);
	for (i = 0; i < 400; i++)
		assert_int_equal(one.held[i].pfn >> REGION_ORDER, 3);
	assert_sound();
	finish();
}

/* Full ones are not looked through over and over. */
static void the_search_is_bounded(void **state)
{
	struct machine_config config = ordinary;
	unsigned long gets;
	unsigned int i;

	(void)state;
	config.nr_nodes = 1;
	config.node_pages = 12 * GIB_PAGES;
	config.boot_split_regions = true;
	start(&config);
	m.map.region_split[11] = SPLIT_BY_NONE;
	while (!others_alloc(&m, 0, REGION_ORDER))
		;
	others_free(&m, m.nr_others - 1);
	for (i = 1; i < REGION_BLOCKS; i++)
		assert_int_equal(others_alloc(&m, 0, BLOCK_ORDER), 0);
	gets = m.calls[OP_GET];
	assert_int_equal(client_alloc(&one, 0, BLOCK_ORDER, UM_ZERO), 0);
	assert_int_equal(one.held[0].pfn >> REGION_ORDER, 11);
	assert_in_range(m.calls[OP_GET] - gets, 2, 9);
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(orders_of_runs),
		cmocka_unit_test(freed_in_any_order),
		cmocka_unit_test(cached_blocks_make_a_run),
		cmocka_unit_test(dirty_ones_are_zeroed_for_who_asks),
		cmocka_unit_test(the_cache_gives_way),
		cmocka_unit_test(a_failure_leaves_no_trace),
		cmocka_unit_test(a_region_goes_and_comes_by_one_entry),
		cmocka_unit_test(part_of_a_region_goes_back),
		cmocka_unit_test(a_region_that_cant_be_mapped_at_once),
		cmocka_unit_test(a_region_of_small_entries),
		cmocka_unit_test(a_cached_region_serves_again),
		cmocka_unit_test(broken_regions_first),
		cmocka_unit_test(regions_that_others_broke),
		cmocka_unit_test(the_search_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
