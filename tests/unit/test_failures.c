// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Operations of the machine that fail a few times and then succeed: what was in the
 * way is passed over, and a later try makes up for it.
 */
#include "unit.h"

static unsigned int nr_to_fail;
static int (*real_unmap)(void *host, unsigned long pfn, unsigned int order);
static int (*real_map)(void *host, unsigned long pfn, unsigned int order);

static int failing_unmap(void *host, unsigned long pfn, unsigned int order)
{
	m.fails[OP_UNMAP] = nr_to_fail > 0;
	nr_to_fail -= nr_to_fail > 0;
	return real_unmap(host, pfn, order);
}

static int failing_map(void *host, unsigned long pfn, unsigned int order)
{
	m.fails[OP_MAP] = nr_to_fail > 0;
	nr_to_fail -= nr_to_fail > 0;
	return real_map(host, pfn, order);
}

/* A block of a kind that can't be unmapped does not keep others from being taken. */
static void some_bad_blocks_are_passed_over(void **state)
{
	unsigned int bad;

	(void)state;
	for (bad = 1; bad <= 8; bad++) {
		start(&ordinary);
		real_unmap = m.ops.unmap;
		m.ops.unmap = failing_unmap;
		nr_to_fail = bad;
		if (bad < 4) {
			alloc_ok(&one, 3, UM_ZERO | UM_THISNODE);
			assert_int_equal(m.calls[OP_PUT], bad);
			assert_int_equal(owned(), BLOCK_PAGES);
		} else {
			assert_int_equal(client_alloc(&one, 0, 3, UM_ZERO | UM_THISNODE),
					 UNMAP_ERRNO);
			assert_int_equal(m.calls[OP_PUT], 4);
			assert_int_equal(owned(), 0);
		}
		nr_to_fail = 0;
		assert_sound();
		finish();
	}
}

static void blocks_that_cant_be_mapped_do_not_stop_a_shrink(void **state)
{
	(void)state;
	start(&ordinary);
	load_blocks(7);
	drain_all();
	real_map = m.ops.map;
	m.ops.map = failing_map;
	nr_to_fail = 3;
	assert_int_equal(allocator_shrink(&m.allocator, 0, ~0UL, 0), 4 * BLOCK_PAGES);
	assert_int_equal(stat_of(0, STAT_QUARANTINED), 3);
	assert_int_equal(m.warnings, 3);
	assert_sound();
	finish();
}

/* Nobody had memory a moment ago; now there is some. */
static void all_nodes_are_asked_again_before_a_request_fails(void **state)
{
	static const unsigned int flags[] = { UM_ZERO, UM_ZERO | UM_THISNODE };
	unsigned int i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		start(&ordinary);
		m.fails[OP_GET] = true;
		assert_int_equal(client_alloc(&one, 1, 0, UM_ZERO), -ENOMEM);
		m.fails[OP_GET] = false;
		assert_int_equal(client_alloc(&one, 1, 0, flags[i]), 0);
		assert_sound();
		finish();
	}
}

/* An entry that we split stays marked as ours to heal until it is. */
static void healed_after_it_was_in_use_once_more(void **state)
{
	unsigned int whole;

	(void)state;
	for (whole = 0; whole < 2; whole++) {
		start_blocks(1);
		others_fill(&m, 0, BLOCK_PAGES / 2);
		alloc_ok(&one, 0, UM_ZERO);
		client_free_all(&one);
		m.fails[OP_HEAL] = true;
		assert_int_equal(allocator_shrink(&m.allocator, -1, ~0UL, 0),
				 BLOCK_PAGES / 2);
		assert_int_equal(atomic_long_read(&m.allocator.caches[0]->nr_unhealed),
				 1);
		m.fails[OP_HEAL] = false;
		if (whole)
			others_free_all(&m);
		m.clock += 1000 * BATCH_DECAY;
		alloc_ok(&one, whole ? BLOCK_ORDER : 8, UM_ZERO);
		assert_int_equal(m.map.splits_2m, 1);
		/* As soon as all of it is ours, not only when none of it is. */
		assert_int_equal(m.map.heals_2m, whole);
		assert_int_equal(atomic_long_read(&m.allocator.caches[0]->nr_unhealed),
				 0);
		assert_sound();
		client_free_all(&one);
		allocator_shrink(&m.allocator, -1, ~0UL, 0);
		assert_int_equal(m.map.heals_2m, 1);
		assert_int_equal(atomic_long_read(&m.allocator.caches[0]->nr_unhealed),
				 0);
		assert_sound();
		finish();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(some_bad_blocks_are_passed_over),
		cmocka_unit_test(blocks_that_cant_be_mapped_do_not_stop_a_shrink),
		cmocka_unit_test(all_nodes_are_asked_again_before_a_request_fails),
		cmocka_unit_test(healed_after_it_was_in_use_once_more),
	};

	return cmocka_run_group_tests_name("test_failures", tests, NULL, NULL);
}
