// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * core/refill.c on the simulated machine: how much is taken, from which node, what
 * happens when there is no whole block, and when a step fails.
 */
#include "unit.h"

static void batches_double_and_each_has_one_flush(void **state)
{
	const struct machine_config config = {
		.nr_nodes = 1,
		.nr_cpus = 1,
		.node_pages = 200 * BLOCK_PAGES,
	};
	static const unsigned int batches[] = { 1, 2, 4, 8, 16, 32, 32 };
	unsigned long taken = 0, flushes = 0;
	unsigned int i;

	(void)state;
	start(&config);
	for (i = 0; i < ARRAY_SIZE(batches); i++) {
		/* All that the cache holds, and one more. */
		while (one.nr_held < taken)
			assert_int_equal(client_alloc(&one, 0, BLOCK_ORDER,
						      UM_ZERO | UM_NOWAIT),
					 0);
		assert_int_equal(m.map.flushes, flushes);
		assert_int_equal(client_alloc(&one, 0, BLOCK_ORDER, UM_ZERO), 0);
		assert_int_equal(stat_of(0, STAT_BLOCKS_TAKEN), taken + batches[i]);
		assert_int_equal(m.map.flushes, ++flushes);
		taken += batches[i];
	}
	/* After a pause it starts small again. */
	m.clock += 1000 * BATCH_DECAY;
	while (one.nr_held < taken)
		assert_int_equal(client_alloc(&one, 0, BLOCK_ORDER, UM_ZERO | UM_NOWAIT),
				 0);
	assert_int_equal(client_alloc(&one, 0, BLOCK_ORDER, UM_ZERO), 0);
	assert_int_equal(stat_of(0, STAT_BLOCKS_TAKEN), taken + 1);
	assert_sound();
	finish();
}

static void a_bulk_request_is_one_flush(void **state)
{
	(void)state;
	start(&ordinary);
	assert_int_equal(client_alloc_bulk(&one, 0, UM_ZERO, 20 * BLOCK_PAGES),
			 20 * BLOCK_PAGES);
	assert_int_equal(m.map.flushes, 1);
	assert_int_equal(stat_of(0, STAT_REFILLS), 1);
	assert_int_equal(stat_of(0, STAT_BLOCKS_TAKEN), 20);
	assert_int_equal(m.map.splits_2m, 0);
	assert_sound();
	finish();
}

static void what_is_foreseen_comes_with_one_flush(void **state)
{
	unsigned int i;

	(void)state;
	start(&ordinary);
	assert_int_equal(
		client_alloc_ahead(&one, 0, BLOCK_ORDER, UM_ZERO, 20 * BLOCK_PAGES), 0);
	assert_int_equal(stat_of(0, STAT_BLOCKS_TAKEN), 20);
	for (i = 1; i < 20; i++)
		assert_int_equal(client_alloc(&one, 0, BLOCK_ORDER, UM_ZERO | UM_NOWAIT),
				 0);
	assert_int_equal(m.map.flushes, 1);
	/* More than there is: what there is, and no failure. */
	assert_int_equal(client_alloc_ahead(&one, 0, 0, UM_ZERO, 1000 * BLOCK_PAGES), 0);
	assert_true(stat_of(0, STAT_BLOCKS_TAKEN) > 30);
	assert_int_equal(stat_of(0, STAT_FAILURES), 0);
	assert_sound();
	finish();
}

static void whole_blocks_split_nothing_but_a_gib(void **state)
{
	(void)state;
	start(&ordinary);
	load_blocks(8);
	assert_int_equal(m.map.splits_2m, 0);
	assert_int_equal(m.map.splits_1g, 1);
	assert_sound();
	finish();
}

/* The level that is really there: 4 KiB from boot on is neither split nor healed. */
static void small_entries_from_boot_stay_small(void **state)
{
	struct machine_config config = ordinary;

	(void)state;
	config.boot_small = 1;
	start(&config);
	load_blocks(4);
	assert_int_equal(client_alloc_bulk(&one, 0, UM_ZERO, 700), 700);
	assert_sound();
	client_free_all(&one);
	allocator_shrink(&m.allocator, -1, ~0UL, 0);
	assert_int_equal(m.map.splits_2m, 0);
	assert_int_equal(m.calls[OP_HEAL], 0);
	finish();
}

/* --- fragmented memory --------------------------------------------------------- */

static void pieces_of_the_highest_order(void **state)
{
	unsigned int keep, order;

	(void)state;
	for (keep = 256, order = 8; keep < 512; keep += (512 - keep) / 2, order--) {
		start(&ordinary);
		/* 2^order pages are free at the end of each block. */
		others_fill(&m, 0, keep);
		assert_int_equal(client_alloc(&one, 0, BLOCK_ORDER,
					      UM_ZERO | UM_THISNODE),
				 -ENOMEM);
		assert_int_equal(stat_of(0, STAT_PIECES_TAKEN), 0);
		m.clock += 1000 * BATCH_DECAY;
		assert_int_equal(client_alloc(&one, 0, 0, UM_ZERO | UM_THISNODE), 0);
		/* As few pieces as make a batch, each as large as there is. */
		assert_int_equal(stat_of(0, STAT_PAGES_OWNED),
				 stat_of(0, STAT_PIECES_TAKEN) << order);
		assert_int_equal(m.map.flushes, 1);
		assert_sound();
		if (order) {
			assert_int_equal(
				client_alloc(&one, 0, order, UM_ZERO | UM_THISNODE), 0);
			assert_int_equal(client_alloc(&one, 0, order + 1,
						      UM_ZERO | UM_THISNODE),
					 -ENOMEM);
		}
		assert_sound();
		finish();
		if (!order)
			break;
	}
}

/* Two blocks, one of them the kernel's: pieces must become all of the other. */
static void healed_when_all_of_the_block_is_ours(void **state)
{
	const struct machine_config config = {
		.nr_nodes = 1,
		.nr_cpus = 1,
		.node_pages = 2 * BLOCK_PAGES,
	};
	struct allocator_report r;

	(void)state;
	start(&config);
	others_fill(&m, 0, 256);
	assert_int_equal(client_alloc(&one, 0, 8, UM_ZERO), 0);
	assert_int_equal(m.map.splits_2m, 1);
	allocator_report(&m.allocator, 0, &r);
	assert_int_equal(r.fallback, 1);
	others_free_all(&m);
	m.clock += 1000 * BATCH_DECAY;
	assert_int_equal(client_alloc(&one, 0, 8, UM_ZERO), 0);
	assert_int_equal(m.map.heals_2m, 1);
	allocator_report(&m.allocator, 0, &r);
	assert_int_equal(r.fallback, 0);
	assert_sound();
	client_free_all(&one);
	/* Now it is a block like any other. */
	assert_int_equal(client_alloc(&one, 0, BLOCK_ORDER, UM_ZERO | UM_NOWAIT), 0);
	assert_sound();
	finish();
}

static void healed_when_all_is_released(void **state)
{
	struct region *region;

	(void)state;
	start(&ordinary);
	others_fill(&m, 0, 500);
	assert_int_equal(client_alloc_bulk(&one, 0, UM_ZERO | UM_THISNODE, 100), 100);
	region = table_region_nr(&m.allocator.table, 0);
	assert_true(m.map.splits_2m >= 8);
	assert_true(atomic_read(&region->odd));
	assert_sound();
	client_free_all(&one);
	allocator_shrink(&m.allocator, -1, ~0UL, 0);
	assert_int_equal(m.map.heals_2m, m.map.splits_2m);
	assert_false(atomic_read(&region->odd));
	assert_sound();
	finish();
}

/* Others have absent pages in the same block: it can be healed only later. */
static void healed_later_when_others_are_in_the_way(void **state)
{
	const struct machine_config config = {
		.nr_nodes = 1,
		.nr_cpus = 1,
		.node_pages = 2 * BLOCK_PAGES,
	};

	(void)state;
	start(&config);
	others_fill(&m, 0, 4);
	assert_int_equal(client_alloc(&one, 0, 0, UM_ZERO), 0);
	others_unmap(&m, 0);
	client_free_all(&one);
	allocator_shrink(&m.allocator, -1, ~0UL, 0);
	assert_int_equal(m.map.heals_2m, 0);
	assert_sound();
	others_free_all(&m);
	allocator_shrink(&m.allocator, -1, 1, 0);
	assert_int_equal(m.map.heals_2m, m.map.splits_2m);
	finish();
}

/*
 * The mark of a block outlived the block: its pages, freed and taken again one
 * by one, were taken for absent ones.
 */
static void a_released_block_is_forgotten(void **state)
{
	const struct machine_config config = {
		.nr_nodes = 1,
		.nr_cpus = 1,
		.node_pages = 2 * BLOCK_PAGES,
	};
	unsigned int i;

	(void)state;
	start(&config);
	for (i = 0; i < 3; i++) {
		assert_int_equal(client_alloc(&one, 0, BLOCK_ORDER, UM_ZERO), 0);
		client_free_all(&one);
		assert_int_equal(allocator_shrink(&m.allocator, -1, ~0UL, 0),
				 BLOCK_PAGES);
		others_fill(&m, 0, 17);
		/* The client sees to it that they are absent. */
		m.clock += 1000 * BATCH_DECAY;
		assert_int_equal(client_alloc_bulk(&one, 0, UM_ZERO, 200), 200);
		assert_sound();
		client_free_all(&one);
		others_free_all(&m);
		allocator_shrink(&m.allocator, -1, ~0UL, 0);
		assert_sound();
		m.clock += 1000 * BATCH_DECAY;
	}
	finish();
}

/* Unmapped 1 << order, cached 1 << cache_order: the rest stood there mapped. */
static void all_that_is_cached_is_absent(void **state)
{
	unsigned long i, absent;
	unsigned int order;

	(void)state;
	for (order = 0; order <= BLOCK_ORDER; order++) {
		start(&ordinary);
		assert_int_equal(client_alloc(&one, 0, order, UM_ZERO), 0);
		for (i = 0, absent = 0; i < m.nr_pages; i++)
			absent += m.map.absent[i];
		assert_int_equal(absent, stat_of(0, STAT_PAGES_OWNED));
		while (!client_alloc(&one, 0, order, UM_ZERO | UM_NOWAIT))
			;
		assert_int_equal(one.nr_held << order, absent);
		finish();
	}
}

/* --- nodes ---------------------------------------------------------------------- */

static void the_nearest_node_serves_next(void **state)
{
	const struct machine_config config = {
		.nr_nodes = 4,
		.nr_cpus = 1,
		.node_pages = 4 * BLOCK_PAGES,
	};
	static const int nodes[] = { 2, 3, 1, 0 };
	unsigned long n = 0;
	unsigned int i, k;

	(void)state;
	start(&config);
	for (i = 0; i < 4; i++) {
		for (k = 0; k < (nodes[i] ? 4 : 3); k++, n++) {
			assert_int_equal(client_alloc(&one, 2, BLOCK_ORDER, UM_ZERO), 0);
			assert_int_equal(machine_node(&m, one.held[n].pfn), nodes[i]);
		}
	}
	assert_int_equal(client_alloc(&one, 2, BLOCK_ORDER, UM_ZERO), -ENOMEM);
	assert_sound();
	finish();
}

static void this_node_and_no_other(void **state)
{
	const struct machine_config config = {
		.nr_nodes = 2,
		.nr_cpus = 1,
		.node_pages = 4 * BLOCK_PAGES,
	};

	(void)state;
	start(&config);
	while (!client_alloc(&one, 1, 6, UM_ZERO | UM_THISNODE))
		;
	assert_int_equal(one.nr_held, 4 * 8);
	assert_int_equal(client_alloc_bulk(&one, 1, UM_ZERO | UM_THISNODE, 3), 0);
	assert_int_equal(client_alloc(&one, 1, 6, UM_ZERO), 0);
	assert_int_equal(machine_node(&m, one.held[one.nr_held - 1].pfn), 0);
	assert_sound();
	finish();
}

static void some_nodes_nearest_first(void **state)
{
	const struct machine_config config = {
		.nr_nodes = 4,
		.nr_cpus = 1,
		.node_pages = 4 * BLOCK_PAGES,
	};
	const unsigned long allowed = 1UL << 1 | 1UL << 3;
	unsigned long pfn, taken[8];
	unsigned int i;

	(void)state;
	start(&config);
	/* Node 2, which comes first, is not one of them. */
	for (i = 0; i < ARRAY_SIZE(taken); i++) {
		assert_int_equal(allocator_alloc_nodes(&m.allocator, 2, &allowed,
						       BLOCK_ORDER, UM_ZERO, BLOCK_PAGES,
						       &taken[i]),
				 0);
		assert_int_equal(machine_node(&m, taken[i]), i < 4 ? 3 : 1);
	}
	assert_int_equal(allocator_alloc_nodes(&m.allocator, 2, &allowed, 0, UM_ZERO, 1,
					       &pfn),
			 -ENOMEM);
	/* No other than node 0, which is not one of them either. */
	assert_int_equal(allocator_alloc_nodes(&m.allocator, 0, &allowed, 0,
					       UM_ZERO | UM_THISNODE, 1, &pfn),
			 -ENOMEM);
	for (i = 0; i < ARRAY_SIZE(taken); i++)
		assert_int_equal(allocator_free(&m.allocator, taken[i], BLOCK_ORDER), 0);
	assert_sound();
	finish();
}

/* A node that had nothing costs a round of reclaim each time it is asked. */
static void an_empty_node_is_not_asked_each_time(void **state)
{
	const struct machine_config config = {
		.nr_nodes = 2,
		.nr_cpus = 1,
		.node_pages = 8 * BLOCK_PAGES,
	};
	unsigned long calls;
	unsigned int i;

	(void)state;
	start(&config);
	others_fill(&m, 1, BLOCK_PAGES);
	assert_int_equal(client_alloc(&one, 1, 0, UM_ZERO), 0);
	calls = m.calls[OP_GET];
	for (i = 0; i < 100; i++)
		assert_int_equal(client_alloc(&one, 1, 0, UM_ZERO), 0);
	assert_int_equal(m.calls[OP_GET], calls);
	/* But when it has memory again it serves, after a while. */
	others_free_all(&m);
	m.clock += 1000 * BATCH_DECAY;
	assert_int_equal(client_alloc(&one, 1, 9, UM_ZERO), 0);
	assert_int_equal(machine_node(&m, one.held[one.nr_held - 1].pfn), 1);
	assert_sound();
	finish();
}

/* Who can do with less gives up at once where there was nothing a moment ago. */
static void who_only_tries_does_not_ask_again(void **state)
{
	unsigned long calls, failures;

	(void)state;
	start(&ordinary);
	others_fill(&m, 0, 1);
	others_fill(&m, 1, 1);
	assert_int_equal(client_alloc(&one, 0, BLOCK_ORDER, UM_ZERO | UM_TRY), -ENOMEM);
	calls = m.calls[OP_GET];
	failures = stat_of(0, STAT_FAILURES);
	assert_true(calls > 0);
	assert_int_equal(client_alloc(&one, 0, BLOCK_ORDER, UM_ZERO | UM_TRY), -ENOMEM);
	assert_int_equal(client_alloc(&one, 0, BLOCK_ORDER,
				      UM_ZERO | UM_TRY | UM_THISNODE),
			 -ENOMEM);
	assert_int_equal(m.calls[OP_GET], calls);
	/* That is no failure of the allocator: something else serves. */
	assert_int_equal(stat_of(0, STAT_FAILURES), failures);
	assert_int_equal(failures, 0);
	assert_int_equal(client_alloc(&one, 0, 0, UM_ZERO), 0);
	others_free_all(&m);
	m.clock += 1000 * BATCH_DECAY;
	assert_int_equal(client_alloc(&one, 0, BLOCK_ORDER, UM_ZERO | UM_TRY), 0);
	assert_sound();
	finish();
}

/* --- failures --------------------------------------------------------------------- */

static void unmap_fails(void **state)
{
	(void)state;
	start(&ordinary);
	m.fails[OP_UNMAP] = true;
	assert_int_equal(client_alloc(&one, 0, 3, UM_ZERO | UM_THISNODE), UNMAP_ERRNO);
	/* It went back, present, and nothing smaller was tried. */
	assert_int_equal(stat_of(0, STAT_PAGES_OWNED), 0);
	assert_int_equal(m.calls[OP_PUT], m.calls[OP_GET]);
	assert_int_equal(m.map.splits_2m, 0);
	assert_sound();
	m.fails[OP_UNMAP] = false;
	m.clock += 1000 * BATCH_DECAY;
	assert_int_equal(client_alloc(&one, 0, 3, UM_ZERO | UM_THISNODE), 0);
	assert_sound();
	finish();
}

static void unmap_fails_in_the_middle_of_a_batch(void **state)
{
	long nth;

	(void)state;
	for (nth = 0; nth < 10; nth++) {
		start(&ordinary);
		m.fail_at[OP_UNMAP] = nth;
		assert_int_equal(client_alloc_bulk(&one, 0, UM_ZERO, 10 * BLOCK_PAGES),
				 10 * BLOCK_PAGES);
		assert_int_equal(m.failed[OP_UNMAP], 1);
		assert_sound();
		finish();
	}
}

static void no_memory_for_metadata(void **state)
{
	unsigned int nth;

	(void)state;
	for (nth = 0;; nth++) {
		start(&ordinary);
		others_fill(&m, 0, 200);
		um_fail_nth = nth;
		if (client_alloc(&one, 0, 3, UM_ZERO | UM_THISNODE))
			assert_int_equal(stat_of(0, STAT_PAGES_OWNED), 0);
		if (um_fail_nth >= 0)
			break;
		assert_sound();
		m.clock += 1000 * BATCH_DECAY;
		assert_int_equal(client_alloc(&one, 0, 3, UM_ZERO | UM_THISNODE), 0);
		assert_sound();
		finish();
	}
	finish();
	assert_true(nth > 0);
}

static void allocator_init_fails(void **state)
{
	unsigned int nth;
	int err;

	(void)state;
	for (nth = 0;; nth++) {
		um_fail_nth = nth;
		err = machine_init(&m, &ordinary);
		if (!err)
			break;
		assert_int_equal(err, -ENOMEM);
	}
	um_fail_nth = -1;
	machine_destroy(&m);
	assert_in_range(nth, 5, 20);
}

/* Metadata in unmapped memory: the core has no way from a pfn to an address. */
static void pages_are_never_touched(void **state)
{
	struct machine_config config = ordinary;

	(void)state;
	config.dirty_is_fine = true;
	start(&config);
	assert_int_equal(client_alloc_bulk(&one, 0, 0, 3000), 3000);
	client_free_all(&one);
	allocator_shrink(&m.allocator, -1, ~0UL, 0);
	assert_int_equal(m.calls[OP_ZERO], 0);
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(batches_double_and_each_has_one_flush),
		cmocka_unit_test(a_bulk_request_is_one_flush),
		cmocka_unit_test(what_is_foreseen_comes_with_one_flush),
		cmocka_unit_test(whole_blocks_split_nothing_but_a_gib),
		cmocka_unit_test(small_entries_from_boot_stay_small),
		cmocka_unit_test(pieces_of_the_highest_order),
		cmocka_unit_test(healed_when_all_of_the_block_is_ours),
		cmocka_unit_test(healed_when_all_is_released),
		cmocka_unit_test(healed_later_when_others_are_in_the_way),
		cmocka_unit_test(a_released_block_is_forgotten),
		cmocka_unit_test(all_that_is_cached_is_absent),
		cmocka_unit_test(the_nearest_node_serves_next),
		cmocka_unit_test(this_node_and_no_other),
		cmocka_unit_test(some_nodes_nearest_first),
		cmocka_unit_test(an_empty_node_is_not_asked_each_time),
		cmocka_unit_test(who_only_tries_does_not_ask_again),
		cmocka_unit_test(unmap_fails),
		cmocka_unit_test(unmap_fails_in_the_middle_of_a_batch),
		cmocka_unit_test(no_memory_for_metadata),
		cmocka_unit_test(allocator_init_fails),
		cmocka_unit_test(pages_are_never_touched),
	};

	return cmocka_run_group_tests_name("refill", tests, NULL, NULL);
}
