// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Giving back where random use seldom asks for it: a few pages of many, the regions
 * that it empties one after the other, and from within a refill.  shrink.c has the
 * usual ones.
 */
#include <unistd.h>

#include "unit.h"

static void shrink_asks_each_node_for_the_rest(void **state)
{
	unsigned long on_0;

	(void)state;
	start(&ordinary);
	load_blocks(2);
	while (one.nr_held < 7)
		assert_int_equal(
			client_alloc(&one, 1, BLOCK_ORDER, UM_ZERO | UM_THISNODE), 0);
	client_free_all(&one);
	drain_all();
	on_0 = stat_of(0, STAT_PAGES_OWNED);
	assert_int_equal(allocator_shrink(&m.allocator, -1, on_0 + 2 * BLOCK_PAGES, 0),
			 on_0 + 2 * BLOCK_PAGES);
	assert_int_equal(stat_of(0, STAT_PAGES_OWNED), 0);
	assert_int_equal(stat_of(1, STAT_BLOCKS_RELEASED), 2);
	assert_sound();
	finish();
}

static void pieces_go_block_by_block(void **state)
{
	(void)state;
	start_blocks(8);
	others_fill(&m, 0, BLOCK_PAGES - 16);
	alloc_ok(&one, 0, UM_ZERO);
	client_free_all(&one);
	drain_all();
	assert_int_equal(owned(), 64);
	assert_int_equal(allocator_shrink(&m.allocator, 0, 1, 0), 16);
	assert_int_equal(owned(), 48);
	assert_int_equal(allocator_shrink(&m.allocator, 0, 17, 0), 32);
	assert_int_equal(m.map.heals_2m, 3);
	assert_sound();
	finish();
}

/* In the first GiB @first blocks, the rest of 15 in the second; all idle. */
static void two_regions(unsigned int first, bool first_is_older)
{
	const unsigned int nr = 15;
	unsigned long region, i;
	unsigned int turn;
	struct machine_config config = blocks_of_one_node(2 * REGION_BLOCKS - 1);

	start(&config);
	for (i = 1; i < REGION_BLOCKS - first; i++)
		assert_int_equal(others_alloc(&m, 0, BLOCK_ORDER), 0);
	for (i = 0; i < nr; i++)
		alloc_ok(&one, BLOCK_ORDER, UM_ZERO);
	assert_int_equal(owned(), nr * BLOCK_PAGES);
	for (turn = 0; turn < 2; turn++) {
		region = turn == first_is_older;
		for (i = one.nr_held; i-- > 0;)
			if (one.held[i].pfn >> REGION_ORDER == region)
				client_free(&one, i, BLOCK_ORDER);
	}
	assert_int_equal(one.nr_held, 0);
	drain_all();
}

static unsigned int blocks_in(unsigned int region)
{
	return table_nr_blocks(&m.allocator.table, region);
}

/* So that its GiB can be one entry again; how long each block was idle is second. */
static void a_region_is_emptied_before_the_next(void **state)
{
	unsigned int first, left, less, more, older;

	(void)state;
	for (first = 3; first <= 11; first += 8) {
		for (older = 0; older < 2; older++) {
			two_regions(first, older);
			less = first > 7;
			more = !less;
			assert_int_equal(blocks_in(0), first);
			left = blocks_in(more);
			while (blocks_in(less)) {
				assert_int_equal(allocator_shrink(&m.allocator, 0, 1, 0),
						 BLOCK_PAGES);
				assert_int_equal(blocks_in(more), left);
			}
			assert_int_equal(m.map.region_split[less], SPLIT_BY_NONE);
			assert_int_equal(m.map.region_split[more], SPLIT_BY_US);
			finish();
		}
	}
}

/* All alike it is, and a block of it could not be mapped by itself any more. */
static void a_region_in_use_is_not_healed(void **state)
{
	struct machine_config config = blocks_of_one_node(REGION_BLOCKS + 1);
	unsigned int i;

	(void)state;
	start(&config);
	for (i = 1; i < REGION_BLOCKS; i++)
		assert_int_equal(others_alloc(&m, 0, BLOCK_ORDER), 0);
	alloc_ok(&one, BLOCK_ORDER, UM_ZERO);
	alloc_ok(&one, BLOCK_ORDER, UM_ZERO);
	allocator_shrink(&m.allocator, -1, ~0UL, 0);
	assert_int_equal(m.calls[OP_HEAL_REGION], 0);
	assert_int_equal(m.map.region_split[1], SPLIT_BY_US);
	client_free(&one, 0, BLOCK_ORDER);
	allocator_shrink(&m.allocator, -1, ~0UL, 0);
	assert_int_equal(m.map.region_split[1], SPLIT_BY_US);
	client_free_all(&one);
	allocator_shrink(&m.allocator, -1, ~0UL, 0);
	assert_int_equal(m.map.region_split[1], SPLIT_BY_NONE);
	assert_int_equal(m.map.heals_1g, 1);
	finish();
}

static int (*real_get)(void *host, int nid, unsigned int order, unsigned int flags,
		       unsigned long *pfn);
static unsigned long nr_shrunk;

static int shrinking_get(void *host, int nid, unsigned int order, unsigned int flags,
			 unsigned long *pfn)
{
	nr_shrunk += allocator_shrink(&m.allocator, -1, ~0UL, UM_TRY);
	return real_get(host, nid, order, flags, pfn);
}

/* A refill that waits for memory is waited for by no shrinker. */
static void the_shrinker_does_not_wait_for_a_refill(void **state)
{
	(void)state;
	start(&ordinary);
	assert_int_equal(client_alloc(&one, 1, 0, UM_ZERO | UM_THISNODE), 0);
	client_free_all(&one);
	nr_shrunk = 0;
	real_get = m.ops.get;
	m.ops.get = shrinking_get;
	alarm(20); /* a deadlock ends the program */
	alloc_ok(&one, 0, UM_ZERO | UM_THISNODE);
	alarm(0);
	assert_int_equal(nr_shrunk, BLOCK_PAGES);
	assert_sound();
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shrink_asks_each_node_for_the_rest),
		cmocka_unit_test(pieces_go_block_by_block),
		cmocka_unit_test(a_region_is_emptied_before_the_next),
		cmocka_unit_test(a_region_in_use_is_not_healed),
		cmocka_unit_test(the_shrinker_does_not_wait_for_a_refill),
	};

	return cmocka_run_group_tests_name("test_shrink", tests, NULL, NULL);
}
