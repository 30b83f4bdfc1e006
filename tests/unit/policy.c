// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * core/policy.c on the simulated machine: the limit, refills ahead of need, and
 * what is done with blocks that nobody needs.
 */
#include "unit.h"

#define SECOND 1000000000ULL

/* --- the limit ------------------------------------------------------------- */

static void never_more_than_the_limit(void **state)
{
	unsigned int i;

	(void)state;
	start(&ordinary);
	assert_int_equal(allocator_set_limit(&m.allocator, 3 * BLOCK_PAGES), 0);
	for (i = 0; i < 3; i++)
		assert_int_equal(client_alloc(&one, 0, BLOCK_ORDER, UM_ZERO), 0);
	assert_int_equal(client_alloc(&one, 0, BLOCK_ORDER, UM_ZERO), -ENOMEM);
	assert_int_equal(client_alloc(&one, 0, 0, UM_ZERO), -ENOMEM);
	assert_int_equal(client_alloc(&one, 1, 0, UM_ZERO), -ENOMEM);
	assert_int_equal(atomic_long_read(&m.allocator.owned), 3 * BLOCK_PAGES);

	/* What is freed serves again, and another node can have it. */
	client_free(&one, 0, BLOCK_ORDER);
	assert_int_equal(client_alloc(&one, 0, BLOCK_ORDER, UM_ZERO), 0);
	client_free(&one, 0, BLOCK_ORDER);
	allocator_shrink(&m.allocator, -1, ~0UL, 0);
	assert_int_equal(client_alloc(&one, 1, BLOCK_ORDER, UM_ZERO), 0);
	finish();
}

/* What is left below the limit must not be filled with pieces. */
static void the_limit_splits_nothing(void **state)
{
	(void)state;
	start(&ordinary);
	allocator_set_limit(&m.allocator, BLOCK_PAGES + BLOCK_PAGES / 2);
	assert_int_equal(client_alloc(&one, 0, BLOCK_ORDER, UM_ZERO), 0);
	assert_int_equal(client_alloc(&one, 0, 0, UM_ZERO), -ENOMEM);
	assert_int_equal(m.map.splits_2m, 0);
	finish();
}

static void a_limit_lowered(void **state)
{
	unsigned int i;

	(void)state;
	start(&ordinary);
	for (i = 0; i < 4; i++)
		assert_int_equal(client_alloc(&one, 0, BLOCK_ORDER, UM_ZERO), 0);
	client_free(&one, 0, BLOCK_ORDER);
	client_free(&one, 0, BLOCK_ORDER);
	/* What is free goes at once, what is in use when it is freed. */
	allocator_set_limit(&m.allocator, BLOCK_PAGES);
	assert_int_equal(atomic_long_read(&m.allocator.owned), 2 * BLOCK_PAGES);
	assert_int_equal(client_alloc(&one, 0, 0, UM_ZERO), -ENOMEM);
	allocator_balance(&m.allocator, 0); /* asked for by that; in vain */
	m.asked = 0;
	client_free(&one, 0, BLOCK_ORDER);
	drain_all();
	assert_int_equal(m.asked, 1);
	allocator_balance(&m.allocator, 0);
	assert_int_equal(atomic_long_read(&m.allocator.owned), BLOCK_PAGES);
	allocator_set_limit(&m.allocator, 0);
	assert_int_equal(client_alloc(&one, 0, 0, UM_ZERO), 0);
	finish();
}

static void the_limit_after_failures(void **state)
{
	(void)state;
	start(&ordinary);
	allocator_set_limit(&m.allocator, 2 * BLOCK_PAGES);
	/* Each way in which a refill can fail gives its claim back. */
	m.fails[OP_UNMAP] = true;
	assert_int_not_equal(client_alloc(&one, 0, BLOCK_ORDER, UM_ZERO), 0);
	m.fails[OP_UNMAP] = false;
	m.fails[OP_GET] = true;
	assert_int_equal(client_alloc(&one, 0, BLOCK_ORDER, UM_ZERO), -ENOMEM);
	m.fails[OP_GET] = false;
	assert_int_equal(atomic_long_read(&m.allocator.owned), 0);
	m.clock += SECOND;
	assert_int_equal(client_alloc(&one, 0, BLOCK_ORDER + 1, UM_ZERO), 0);
	finish();
}

static void a_batch_limited(void **state)
{
	unsigned int i;

	(void)state;
	start(&ordinary);
	m.allocator.batch_limit = 2;
	for (i = 0; i < 12; i++)
		assert_int_equal(client_alloc(&one, 0, BLOCK_ORDER, UM_ZERO), 0);
	assert_in_range(stat_of(0, STAT_REFILLS), 6, 7);
	finish();
}

/* --- ahead ----------------------------------------------------------------- */

static void a_burst_asks_ahead(void **state)
{
	unsigned long refills;
	unsigned int i;

	(void)state;
	start(&ordinary);
	assert_int_equal(client_alloc(&one, 0, BLOCK_ORDER, UM_ZERO), 0);
	assert_int_equal(m.asked, 0); /* who comes once needs nothing ahead */
	for (i = 0; i < 20 && !m.asked; i++)
		assert_int_equal(client_alloc(&one, 0, BLOCK_ORDER, UM_ZERO), 0);
	assert_int_equal(m.asked, 1);
	/* Once, until it is done. */
	assert_int_equal(client_alloc(&one, 0, BLOCK_ORDER, UM_ZERO), 0);
	assert_int_equal(m.asked, 1);
	refills = stat_of(0, STAT_REFILLS);
	allocator_balance(&m.allocator, 0);
	assert_int_equal(stat_of(0, STAT_REFILLS), refills + 1);
	for (i = 0; i < 4; i++)
		assert_int_equal(client_alloc(&one, 0, BLOCK_ORDER, UM_ZERO | UM_NOWAIT),
				 0);
	/* Nothing to do: what was asked for was had otherwise. */
	allocator_balance(&m.allocator, 0);
	assert_int_equal(stat_of(0, STAT_REFILLS), refills + 1);
	finish();
}

static void who_may_not_wait_asks(void **state)
{
	(void)state;
	start(&ordinary);
	assert_int_equal(client_alloc(&one, 0, 0, UM_ZERO | UM_NOWAIT), -ENOMEM);
	assert_int_equal(m.asked, 1);
	allocator_balance(&m.allocator, 0);
	assert_int_equal(client_alloc(&one, 0, 0, UM_ZERO | UM_NOWAIT), 0);
	finish();
}

/* --- idle ------------------------------------------------------------------ */

static void idle_blocks_decay_to_the_floor(void **state)
{
	unsigned int i;

	(void)state;
	start(&ordinary);
	m.allocator.floor = 1;
	assert_false(allocator_decay(&m.allocator)); /* nothing: no need to call */
	for (i = 0; i < 4; i++)
		assert_int_equal(client_alloc(&one, 0, BLOCK_ORDER, UM_ZERO), 0);
	allocator_shrink(&m.allocator, -1, ~0UL, 0);
	assert_true(allocator_decay(&m.allocator));
	for (i = 0; i < 4; i++)
		client_free(&one, 0, BLOCK_ORDER);
	allocator_drain_cpu(&m.allocator);

	/* They were not free all the time. */
	assert_true(allocator_decay(&m.allocator));
	assert_int_equal(atomic_long_read(&m.allocator.owned), 4 * BLOCK_PAGES);
	/* One of them is in use for a moment in this interval. */
	assert_int_equal(client_alloc(&one, 0, BLOCK_ORDER, UM_ZERO), 0);
	client_free(&one, 0, BLOCK_ORDER);
	allocator_drain_cpu(&m.allocator);
	assert_true(allocator_decay(&m.allocator));
	assert_int_equal(atomic_long_read(&m.allocator.owned), 2 * BLOCK_PAGES);
	assert_true(allocator_decay(&m.allocator));
	assert_int_equal(atomic_long_read(&m.allocator.owned), BLOCK_PAGES);
	assert_true(allocator_decay(&m.allocator));
	assert_int_equal(atomic_long_read(&m.allocator.owned), BLOCK_PAGES);
	m.allocator.floor = 0;
	assert_false(allocator_decay(&m.allocator));
	finish();
}

/* Memory pressure knows no floor. */
static void the_floor_is_no_reserve(void **state)
{
	(void)state;
	start(&ordinary);
	m.allocator.floor = 8;
	assert_int_equal(client_alloc(&one, 0, BLOCK_ORDER, UM_ZERO), 0);
	client_free(&one, 0, BLOCK_ORDER);
	allocator_shrink(&m.allocator, -1, ~0UL, UM_TRY);
	assert_int_equal(atomic_long_read(&m.allocator.owned), 0);
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(never_more_than_the_limit),
		cmocka_unit_test(the_limit_splits_nothing),
		cmocka_unit_test(a_limit_lowered),
		cmocka_unit_test(the_limit_after_failures),
		cmocka_unit_test(a_batch_limited),
		cmocka_unit_test(a_burst_asks_ahead),
		cmocka_unit_test(who_may_not_wait_asks),
		cmocka_unit_test(idle_blocks_decay_to_the_floor),
		cmocka_unit_test(the_floor_is_no_reserve),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
