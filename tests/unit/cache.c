// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * core/cache.c and core/allocator.c on the simulated machine: which page comes
 * next, what is in it, and what is said to requests that make no sense.
 */
#include "unit.h"

static unsigned long last(const struct client *c)
{
	return c->held[c->nr_held - 1].pfn;
}

/* --- order 0 and the magazines ---------------------------------------------- */

static void order_0_is_served_without_touching_the_block(void **state)
{
	struct block *b;
	int i, nr_free;

	(void)state;
	start(&ordinary);
	assert_int_equal(client_alloc(&one, 0, 0, UM_ZERO), 0);
	b = table_lookup(&m.allocator.table, last(&one));
	nr_free = atomic_read(&b->nr_free);
	for (i = 1; i < 32; i++) {
		assert_int_equal(client_alloc(&one, 0, 0, UM_ZERO | UM_NOWAIT), 0);
		assert_int_equal(atomic_read(&b->nr_free), nr_free);
	}
	/* A free of the magazine's run, and the next request, stay there too. */
	client_free(&one, 5, 0);
	assert_int_equal(atomic_read(&b->nr_free), nr_free);
	assert_int_equal(client_alloc(&one, 0, 0, UM_ZERO | UM_NOWAIT), 0);
	assert_int_equal(atomic_read(&b->nr_free), nr_free);
	assert_sound();
	finish();
}

static void another_cpu_frees_what_one_allocated(void **state)
{
	struct allocator_report r;
	unsigned int i;

	(void)state;
	start(&ordinary);
	for (i = 0; i < 3 * BLOCK_PAGES; i++) {
		um_cpu = i % 2;
		assert_int_equal(client_alloc(&one, 0, 0, UM_ZERO), 0);
	}
	for (i = 0; one.nr_held; i++) {
		um_cpu = i / 3 % 2;
		client_free(&one, i * 7 % one.nr_held, 0);
		if (i % 64 == 0)
			assert_sound();
	}
	um_cpu = 0;
	drain_all();
	assert_sound();
	allocator_report(&m.allocator, 0, &r);
	assert_int_equal(r.whole * BLOCK_PAGES, r.pages_owned);
	finish();
}

static void a_drained_cpu_holds_nothing_back(void **state)
{
	struct allocator_report r;

	(void)state;
	start(&ordinary);
	um_cpu = 1;
	assert_int_equal(client_alloc(&one, 0, 0, UM_ZERO), 0);
	client_free_all(&one);
	allocator_drain_cpu(&m.allocator);
	um_cpu = 0;
	allocator_report(&m.allocator, 0, &r);
	assert_int_equal(r.whole, r.pages_owned / BLOCK_PAGES);
	assert_sound();
	finish();
}

/* --- which block serves ------------------------------------------------------ */

/*
 * Two blocks of node 0 (and no more memory), of which single pages are free:
 * every @a-th of the first, every @b-th of the second.
 */
static void two_partial_blocks(unsigned int a, unsigned int b, unsigned long *first)
{
	const struct machine_config config = {
		.nr_nodes = 1,
		.nr_cpus = 1,
		.node_pages = 3 * BLOCK_PAGES,
	};
	unsigned long i, lowest = ~0UL;

	start(&config);
	assert_int_equal(client_alloc_bulk(&one, 0, UM_ZERO, 2 * BLOCK_PAGES),
			 2 * BLOCK_PAGES);
	for (i = 0; i < one.nr_held; i++)
		lowest = min(lowest, one.held[i].pfn);
	*first = lowest;
	for (i = one.nr_held; i-- > 0;) {
		unsigned long pfn = one.held[i].pfn;
		unsigned int step = pfn < lowest + BLOCK_PAGES ? a : b;

		if (pfn % step == 0)
			client_free(&one, i, 0);
	}
	drain_all();
	assert_sound();
}

static void the_fullest_block_serves_first(void **state)
{
	unsigned long first;
	unsigned int i;

	(void)state;
	two_partial_blocks(2, 8, &first);
	/* The second has 64 free pages, the first 256: the second fills up. */
	for (i = 0; i < 64; i++) {
		assert_int_equal(client_alloc(&two, 0, 0, UM_ZERO), 0);
		assert_true(last(&two) >= first + BLOCK_PAGES);
	}
	assert_int_equal(client_alloc(&two, 0, 0, UM_ZERO), 0);
	assert_true(last(&two) < first + BLOCK_PAGES);
	assert_sound();
	finish();
	two_partial_blocks(16, 4, &first);
	for (i = 0; i < 32; i++) {
		assert_int_equal(client_alloc(&two, 0, 0, UM_ZERO), 0);
		assert_true(last(&two) < first + BLOCK_PAGES);
	}
	finish();
}

static void a_larger_run_is_left_alone(void **state)
{
	const struct machine_config config = {
		.nr_nodes = 1,
		.nr_cpus = 1,
		.node_pages = 3 * BLOCK_PAGES,
	};
	unsigned long i, lowest = ~0UL, pfn;

	(void)state;
	start(&config);
	assert_int_equal(client_alloc_bulk(&one, 0, UM_ZERO, 2 * BLOCK_PAGES),
			 2 * BLOCK_PAGES);
	for (i = 0; i < one.nr_held; i++)
		lowest = min(lowest, one.held[i].pfn);
	/* In the first a run of 64 and no more; in the second every 2nd page. */
	for (i = one.nr_held; i-- > 0;) {
		pfn = one.held[i].pfn - lowest;
		if (pfn < BLOCK_PAGES ? pfn / 64 == 3 : pfn % 2)
			client_free(&one, i, 0);
	}
	drain_all();
	for (i = 0; i < 200; i++) {
		assert_int_equal(client_alloc(&two, 0, 0, UM_ZERO), 0);
		assert_true(last(&two) >= lowest + BLOCK_PAGES);
	}
	assert_int_equal(client_alloc(&two, 0, 6, UM_ZERO), 0);
	assert_int_equal(last(&two), lowest + 3 * 64);
	assert_sound();
	finish();
}

static void a_whole_block_is_broken_last(void **state)
{
	struct allocator_report r;
	unsigned int i;

	(void)state;
	start(&ordinary);
	load_blocks(4);
	for (i = 0; i < BLOCK_PAGES / 2; i++)
		assert_int_equal(client_alloc(&one, 0, i % 4, UM_ZERO | UM_NOWAIT), 0);
	allocator_report(&m.allocator, 0, &r);
	/* 960 pages: two blocks, and no third. */
	assert_true(r.whole >= r.pages_owned / BLOCK_PAGES - 2);
	assert_sound();
	finish();
}

static void every_order_from_an_empty_cache(void **state)
{
	unsigned int order;

	(void)state;
	for (order = 0; order <= BLOCK_ORDER; order++) {
		start(&ordinary);
		assert_int_equal(client_alloc(&one, 1, order, UM_ZERO), 0);
		assert_int_equal(machine_node(&m, last(&one)), 1);
		assert_int_equal(stat_of(1, STAT_BLOCKS_TAKEN), 1);
		/* Exactly what was asked for is in use. */
		assert_sound();
		finish();
	}
}

static void freed_in_other_orders(void **state)
{
	unsigned int order, pieces;

	(void)state;
	start(&ordinary);
	for (order = 0; order <= BLOCK_ORDER; order++) {
		for (pieces = 0; pieces <= order; pieces++) {
			assert_int_equal(client_alloc(&one, 0, order, UM_ZERO), 0);
			client_free(&one, 0, pieces);
			assert_sound();
		}
	}
	/* And together, what was allocated apart. */
	assert_int_equal(client_alloc_bulk(&one, 0, UM_ZERO, 8 * BLOCK_PAGES),
			 8 * BLOCK_PAGES);
	assert_sound();
	finish();
}

/* --- refusals ----------------------------------------------------------------- */

static void requests_that_make_no_sense(void **state)
{
	unsigned long pfn = 77, calls;
	struct allocator a;

	(void)state;
	start(&ordinary);
	calls = m.calls[OP_GET];
	assert_int_equal(allocator_alloc(&m.allocator, 0, REGION_ORDER + 1, 0, &pfn),
			 -EINVAL);
	assert_int_equal(allocator_alloc(&m.allocator, 2, 0, UM_ZERO, &pfn), -EINVAL);
	assert_int_equal(allocator_alloc(&m.allocator, -1, 0, UM_ZERO, &pfn), -EINVAL);
	assert_int_equal(allocator_alloc_bulk(&m.allocator, 2, 0, 5, &pfn), 0);
	assert_int_equal(allocator_alloc_bulk(&m.allocator, 0, 0, 0, &pfn), 0);
	assert_int_equal(pfn, 77);
	assert_int_equal(m.calls[OP_GET], calls);
	assert_int_equal(allocator_init(&a, &m.ops, &m, 1, MAGAZINE_MAX_PFN + 1), -E2BIG);
	assert_int_equal(allocator_shrink(&m.allocator, 2, 1, 0), 0);
	assert_int_equal(allocator_shrinkable(&m.allocator, 2), 0);
	finish();
}

static void may_not_block(void **state)
{
	unsigned int i;

	(void)state;
	start(&ordinary);
	assert_int_equal(client_alloc(&one, 0, 0, UM_ZERO | UM_NOWAIT), -ENOMEM);
	assert_int_equal(client_alloc(&one, 0, 9, UM_NOWAIT), -ENOMEM);
	for (i = 0; i < NR_OPS; i++)
		assert_int_equal(m.calls[i], 0);
	/* From the cache it works, of this node or another. */
	load_blocks(1);
	assert_int_equal(client_alloc(&one, 0, 4, UM_ZERO | UM_NOWAIT), 0);
	assert_int_equal(client_alloc(&one, 1, 0, UM_ZERO | UM_NOWAIT), 0);
	assert_int_equal(client_alloc(&one, 1, 0, UM_ZERO | UM_NOWAIT | UM_THISNODE),
			 -ENOMEM);
	assert_sound();
	finish();
}

static void memory_runs_out(void **state)
{
	const struct machine_config config = {
		.nr_nodes = 2,
		.nr_cpus = 2,
		.node_pages = 4 * BLOCK_PAGES,
	};

	(void)state;
	start(&config);
	/* All but the block that is the kernel's. */
	while (!client_alloc(&one, 0, 0, UM_ZERO))
		;
	assert_int_equal(one.nr_held, 7 * BLOCK_PAGES);
	assert_int_equal(client_alloc(&one, 0, 0, UM_ZERO), -ENOMEM);
	assert_int_equal(client_alloc(&one, 1, 9, UM_ZERO), -ENOMEM);
	assert_int_equal(client_alloc_bulk(&one, 1, UM_ZERO, 10), 0);
	assert_true(stat_of(0, STAT_FAILURES) >= 2);
	assert_sound();
	client_free(&one, 3, 0);
	assert_int_equal(client_alloc_bulk(&one, 1, UM_ZERO, 10), 1);
	assert_sound();
	finish();
}

/* --- dirty and zero ------------------------------------------------------------- */

static void zeroed_when_freed(void **state)
{
	unsigned long zeroed;

	(void)state;
	start(&ordinary);
	assert_int_equal(client_alloc(&one, 0, 3, UM_ZERO), 0);
	assert_int_equal(client_alloc(&one, 0, 0, UM_ZERO), 0);
	zeroed = m.pages_zeroed;
	client_free_all(&one); /* client_free() looks at each page */
	assert_int_equal(m.pages_zeroed, zeroed + 9);
	/* Pages that are zero are not zeroed again. */
	assert_int_equal(client_alloc(&two, 0, 3, UM_ZERO), 0);
	assert_int_equal(client_alloc(&two, 0, 0, UM_ZERO), 0);
	assert_int_equal(m.pages_zeroed, zeroed + 9);
	assert_sound();
	finish();
}

static void dirty_pages_go_to_those_who_do_not_care(void **state)
{
	unsigned long i, dirty;

	(void)state;
	start(&ordinary);
	assert_int_equal(client_alloc(&one, 0, 5, 0), 0);
	for (i = 0; i < 40; i++)
		assert_int_equal(client_alloc(&one, 0, 0, 0), 0);
	client_free_all(&one);
	assert_int_equal(m.pages_zeroed, 0); /* the host must not touch them */
	assert_sound();
	for (i = 0, dirty = 0; i < m.nr_pages; i++)
		dirty += m.owner[i] == OWNER_CORE && m.tag[i];
	assert_int_equal(dirty, 72);

	assert_int_equal(client_alloc(&two, 0, 5, 0), 0);
	for (i = 0; i < 40; i++)
		assert_int_equal(client_alloc(&two, 0, 0, 0), 0);
	assert_int_equal(m.pages_zeroed, 0);
	client_free_all(&two);
	assert_sound();
	finish();
}

static void who_asks_for_zero_gets_zero(void **state)
{
	const struct machine_config config = {
		.nr_nodes = 1,
		.nr_cpus = 2,
		.node_pages = 2 * BLOCK_PAGES,
	};
	unsigned int order;

	(void)state;
	for (order = 0; order <= BLOCK_ORDER; order++) {
		start(&config);
		/* All memory, dirty; then by the same orders and by others. */
		while (!client_alloc(&one, 0, order, 0))
			;
		client_free_all(&one);
		assert_sound();
		while (!client_alloc(&two, 0, order, UM_ZERO))
			;
		assert_int_equal(two.nr_held << order, BLOCK_PAGES);
		assert_int_equal(m.pages_zeroed, BLOCK_PAGES);
		client_free_all(&two);
		assert_sound();
		assert_int_equal(client_alloc_bulk(&one, 0, 0, BLOCK_PAGES / 2),
				 BLOCK_PAGES / 2);
		client_free_all(&one);
		assert_int_equal(client_alloc_bulk(&two, 0, UM_ZERO, BLOCK_PAGES),
				 BLOCK_PAGES);
		assert_sound();
		finish();
	}
}

static void a_block_may_be_zeroed_later(void **state)
{
	unsigned long held;
	unsigned int order;

	(void)state;
	for (order = 0; order <= BLOCK_ORDER; order++) {
		start(&ordinary);
		assert_int_equal(client_alloc(&one, 0, BLOCK_ORDER, UM_ZERO), 0);
		client_mark_dirty(&one, 0);
		client_free_all(&one);
		assert_int_equal(m.pages_zeroed, 0);
		assert_sound();
		/* All of the node: the client looks at each page that it gets. */
		while (!client_alloc(&two, 0, order, UM_ZERO | UM_THISNODE))
			;
		assert_int_equal(m.pages_zeroed, BLOCK_PAGES);
		/* And it is now what it was before. */
		held = two.nr_held << order;
		client_free_all(&two);
		assert_int_equal(m.pages_zeroed, BLOCK_PAGES + held);
		assert_sound();
		finish();
	}
}

static void what_was_zeroed_is_never_dirty_again(void **state)
{
	unsigned int i;

	(void)state;
	start(&ordinary);
	/* The same pages, by turns: a stale mark would leave a secret behind. */
	for (i = 0; i < 20; i++) {
		assert_int_equal(client_alloc(&one, 0, i % 7, i & 1 ? UM_ZERO : 0), 0);
		assert_sound();
		client_free_all(&one);
		assert_sound();
	}
	finish();
}

/* --- frees that are wrong --------------------------------------------------------- */

static void wild_frees_change_nothing(void **state)
{
	static const struct {
		unsigned long pfn;
		unsigned int order;
	} wild[] = {
		{ 40 * BLOCK_PAGES, 0 }, /* never the allocator's */
		{ 1UL << 40, 0 },
		{ ~0UL, 0 },
		{ ~511UL, 9 }, /* no memory */
		{ 3, 0 },
	};
	unsigned long pfn;
	unsigned int i;

	(void)state;
	start(&ordinary);
	assert_int_equal(client_alloc(&one, 0, 4, UM_ZERO), 0);
	for (i = 0; i < ARRAY_SIZE(wild); i++) {
		m.expected_warnings++;
		assert_int_equal(allocator_free(&m.allocator, wild[i].pfn, wild[i].order),
				 -EINVAL);
	}
	pfn = last(&one);
	m.expected_warnings += 3;
	assert_int_equal(allocator_free(&m.allocator, pfn + 1, 1), -EINVAL);
	assert_int_equal(allocator_free(&m.allocator, pfn, BLOCK_ORDER + 1), -EINVAL);
	assert_int_equal(allocator_free(&m.allocator, pfn, 64), -EINVAL);
	assert_int_equal(m.warnings, ARRAY_SIZE(wild) + 3);
	assert_int_equal(stat_of(0, STAT_QUARANTINED), 0);
	assert_sound();
	finish();
}

/* The block is out of service for good, and nobody else is harmed. */
static void quarantined(unsigned long pfn)
{
	unsigned long block = pfn >> BLOCK_ORDER;
	unsigned int i;

	assert_int_equal(stat_of(0, STAT_QUARANTINED), 1);
	assert_true(m.warnings >= 1);
	assert_string_equal(m.broken, "");
	drain_all(); /* what was in magazines already */
	for (i = 0; i < 3 * BLOCK_PAGES; i++) {
		assert_int_equal(client_alloc(&two, 0, 0, UM_ZERO), 0);
		assert_true(last(&two) >> BLOCK_ORDER != block);
	}
	client_free_all(&one);
	client_free_all(&two);
	m.map_failed[block] = true; /* what check_end() goes by */
	allocator_shrink(&m.allocator, -1, ~0UL, 0);
	assert_int_equal(m.nr_core[block], BLOCK_PAGES);
	finish();
}

static void a_double_free_puts_the_block_out_of_service(void **state)
{
	static const unsigned int orders[] = { 0, 1, 4, 6, 7, 8 };
	unsigned long pfn;
	unsigned int i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(orders); i++) {
		start(&ordinary);
		assert_int_equal(client_alloc(&one, 0, orders[i], UM_ZERO), 0);
		assert_int_equal(client_alloc(&one, 0, 0, UM_ZERO), 0);
		pfn = one.held[0].pfn;
		client_free(&one, 0, BLOCK_ORDER);
		m.expected_warnings = 1;
		assert_int_equal(allocator_free(&m.allocator, pfn, orders[i]), -EINVAL);
		quarantined(pfn);
	}
}

static void a_page_freed_on_two_cpus_is_never_handed_out_twice(void **state)
{
	unsigned long pfn;
	int i;

	(void)state;
	start(&ordinary);
	for (i = 0; i < 40; i++)
		assert_int_equal(client_alloc(&one, 0, 0, UM_ZERO), 0);
	pfn = one.held[2].pfn;
	client_free(&one, 2, 0);
	um_cpu = 1;
	m.expected_warnings = 2;
	/* It is in the other CPU's magazine: that shows now, or when it is emptied. */
	allocator_free(&m.allocator, pfn, 0);
	um_cpu = 0;
	drain_all();
	quarantined(pfn);
}

static void part_of_a_free_run_is_a_double_free(void **state)
{
	unsigned long pfn;

	(void)state;
	start(&ordinary);
	assert_int_equal(client_alloc(&one, 0, 3, UM_ZERO), 0);
	pfn = last(&one);
	assert_int_equal(allocator_free(&m.allocator, pfn + 4, 1), 0);
	m.expected_warnings = 1;
	assert_int_equal(allocator_free(&m.allocator, pfn, 3), -EINVAL);
	one.nr_held = 0;
	memset(&m.holder[pfn], 0, 8 * sizeof(*m.holder));
	m.nr_held[pfn >> BLOCK_ORDER] = 0;
	quarantined(pfn);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(order_0_is_served_without_touching_the_block),
		cmocka_unit_test(another_cpu_frees_what_one_allocated),
		cmocka_unit_test(a_drained_cpu_holds_nothing_back),
		cmocka_unit_test(the_fullest_block_serves_first),
		cmocka_unit_test(a_larger_run_is_left_alone),
		cmocka_unit_test(a_whole_block_is_broken_last),
		cmocka_unit_test(every_order_from_an_empty_cache),
		cmocka_unit_test(freed_in_other_orders),
		cmocka_unit_test(requests_that_make_no_sense),
		cmocka_unit_test(may_not_block),
		cmocka_unit_test(memory_runs_out),
		cmocka_unit_test(zeroed_when_freed),
		cmocka_unit_test(dirty_pages_go_to_those_who_do_not_care),
		cmocka_unit_test(who_asks_for_zero_gets_zero),
		cmocka_unit_test(a_block_may_be_zeroed_later),
		cmocka_unit_test(what_was_zeroed_is_never_dirty_again),
		cmocka_unit_test(wild_frees_change_nothing),
		cmocka_unit_test(a_double_free_puts_the_block_out_of_service),
		cmocka_unit_test(a_page_freed_on_two_cpus_is_never_handed_out_twice),
		cmocka_unit_test(part_of_a_free_run_is_a_double_free),
	};

	return cmocka_run_group_tests_name("cache", tests, NULL, NULL);
}
