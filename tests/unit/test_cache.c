// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The cache in the states that random use seldom meets, or in which a wrong
 * choice breaks no invariant: cache.c and refill.c have the usual ones, and
 * test_failures.c and test_shrink.c those of failures and of giving back.
 * Operations of the machine are replaced where a test wants to see how they are
 * called.
 */
#include "unit.h"

static unsigned long last(const struct client *c)
{
	return c->held[c->nr_held - 1].pfn;
}

static void free_pfn(struct client *c, unsigned long pfn)
{
	unsigned long i = 0;

	while (i < c->nr_held && c->held[i].pfn != pfn)
		i++;
	assert_true(i < c->nr_held);
	client_free(c, i, BLOCK_ORDER);
}

/* --- what is clean, and whose it is --------------------------------------------- */

/* What a client that cares did not dirty alone must be zeroed alone. */
static void freed_together_with_dirty_pages(void **state)
{
	unsigned int order, dirty_first;

	(void)state;
	for (order = 0; order < BLOCK_ORDER; order++) {
		for (dirty_first = 0; dirty_first < 2; dirty_first++) {
			start_blocks(1);
			alloc_ok(&one, order, dirty_first ? 0 : UM_ZERO);
			alloc_ok(&one, order, dirty_first ? UM_ZERO : 0);
			drain_all();
			if (client_join(&one, 0) == 0 && one.nr_held == 1) {
				assert_int_equal(one.held[0].order, order + 1);
				client_free(&one, 0, BLOCK_ORDER);
				assert_int_equal(m.pages_zeroed, 1U << order);
			} else {
				/* Magazines of different kinds are of different runs. */
				assert_int_equal(order, 0);
			}
			assert_sound();
			finish();
		}
	}
}

static void pages_of_others_in_our_block_are_not_freed(void **state)
{
	static const unsigned int orders[] = { 0, 3, 6, 7 };
	unsigned int i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(orders); i++) {
		start_blocks(1);
		others_fill(&m, 0, BLOCK_PAGES / 2);
		alloc_ok(&one, 4, UM_ZERO);
		m.expected_warnings = 1;
		assert_int_equal(allocator_free(&m.allocator, BLOCK_PAGES, orders[i]),
				 -EINVAL);
		assert_int_equal(m.warnings, 1);
		/* Out of service: there is no telling what else is wrong with it. */
		assert_int_equal(client_alloc(&two, 0, 0, UM_ZERO | UM_NOWAIT), -ENOMEM);
		assert_sound();
		m.map_failed[1] = true; /* what check_end() goes by */
		finish();
	}
}

/* Not even to the CPU that is on it, and gets pages of it back. */
static void a_quarantined_block_serves_nobody(void **state)
{
	unsigned long pfn;

	(void)state;
	start_blocks(1);
	alloc_ok(&one, 2, UM_ZERO);
	alloc_ok(&one, 1, UM_ZERO);
	pfn = last(&one);
	free_pfn(&one, pfn);
	m.expected_warnings = 1;
	assert_int_equal(allocator_free(&m.allocator, pfn, 1), -EINVAL);
	free_pfn(&one, one.held[0].pfn);
	assert_int_equal(client_alloc(&two, 0, 2, UM_ZERO | UM_NOWAIT), -ENOMEM);
	assert_int_equal(client_alloc(&two, 0, 0, UM_ZERO | UM_NOWAIT), -ENOMEM);
	assert_int_equal(m.warnings, 1);
	assert_sound();
	m.map_failed[1] = true;
	finish();
}

static void a_quarantined_block_counts_for_nothing(void **state)
{
	struct allocator_report r;
	unsigned long pfn, puts;

	(void)state;
	start_blocks(1);
	others_fill(&m, 0, BLOCK_PAGES / 2);
	/* The other CPU has pages of it in a magazine, and more when it is too late. */
	um_cpu = 1;
	alloc_ok(&one, 0, UM_ZERO);
	um_cpu = 0;
	alloc_ok(&one, 1, UM_ZERO | UM_NOWAIT);
	pfn = last(&one);
	free_pfn(&one, pfn);
	m.expected_warnings = 1;
	assert_int_equal(allocator_free(&m.allocator, pfn, 1), -EINVAL);
	allocator_report(&m.allocator, 0, &r);
	assert_true(r.pages_free < 32); /* the magazine */
	drain_all();
	assert_int_equal(allocator_shrinkable(&m.allocator, -1), 0);
	puts = m.calls[OP_PUT];
	assert_int_equal(allocator_shrink(&m.allocator, -1, ~0UL, 0), 0);
	assert_int_equal(m.calls[OP_PUT], puts);
	assert_int_equal(m.warnings, 1);
	assert_sound();
	m.map_failed[1] = true;
	finish();
}

/* --- which block serves ---------------------------------------------------------- */

static void from_the_block_that_another_cpu_is_on(void **state)
{
	unsigned int order;

	(void)state;
	for (order = 0; order < BLOCK_ORDER; order++) {
		start_blocks(1);
		um_cpu = 1;
		alloc_ok(&one, 3, UM_ZERO);
		um_cpu = 0;
		alloc_ok(&one, order, UM_ZERO | UM_NOWAIT);
		assert_sound();
		finish();
	}
}

/* Frees do not look for the runs that they make. */
static void a_run_made_by_frees_is_found(void **state)
{
	unsigned int order;
	unsigned long i, first;

	(void)state;
	for (order = 1; order < BLOCK_ORDER; order++) {
		start_blocks(1);
		assert_int_equal(client_alloc_bulk(&one, 0, UM_ZERO, BLOCK_PAGES),
				 BLOCK_PAGES);
		drain_all();
		first = 2UL * BLOCK_PAGES - (1UL << order);
		/* Listed for a single page, then the rest, in no order. */
		free_pfn(&one, first);
		drain_all();
		for (i = 1; i < 1UL << order; i++)
			free_pfn(&one, first + (i * 37 & ((1UL << order) - 1)));
		drain_all();
		assert_int_equal(client_alloc(&two, 0, order, UM_ZERO | UM_NOWAIT), 0);
		assert_int_equal(last(&two), first);
		assert_sound();
		finish();
	}
}

static void a_whole_block_stays_whole_while_another_can_serve(void **state)
{
	unsigned long pfn;
	unsigned int i;

	(void)state;
	start_blocks(2);
	assert_int_equal(client_alloc_bulk(&one, 0, UM_ZERO, 2 * BLOCK_PAGES),
			 2 * BLOCK_PAGES);
	for (pfn = BLOCK_PAGES; pfn < 2 * BLOCK_PAGES; pfn += 2)
		free_pfn(&one, pfn);
	for (; pfn < 3 * BLOCK_PAGES; pfn++)
		free_pfn(&one, pfn);
	drain_all();
	for (i = 0; i < BLOCK_PAGES / 2; i++) {
		alloc_ok(&two, 0, UM_ZERO | UM_NOWAIT);
		assert_int_equal(last(&two) / BLOCK_PAGES, 1);
	}
	alloc_ok(&two, BLOCK_ORDER, UM_ZERO | UM_NOWAIT);
	assert_sound();
	finish();
}

/* So that the others grow older, and can be released. */
static void of_whole_blocks_the_last_to_become_idle_serves(void **state)
{
	static const unsigned long turn[] = { 2, 3, 1 };
	unsigned int i;

	(void)state;
	start_blocks(3);
	for (i = 0; i < 3; i++)
		alloc_ok(&one, BLOCK_ORDER, UM_ZERO);
	drain_all(); /* the one that the CPU is on is listed only when it leaves */
	for (i = 0; i < 3; i++)
		free_pfn(&one, turn[i] * BLOCK_PAGES);
	drain_all();
	for (i = 3; i--;) {
		alloc_ok(&two, BLOCK_ORDER, UM_ZERO | UM_NOWAIT);
		assert_int_equal(last(&two), turn[i] * BLOCK_PAGES);
		drain_all();
	}
	finish();
}

static unsigned int shard_of(unsigned long pfn)
{
	return (unsigned int)(pfn / BLOCK_PAGES / SHARD_BLOCKS % NR_SHARDS);
}

/* All blocks of a machine that has as many in each shard but for the kernel's. */
static void hold_all_shards(void)
{
	unsigned int i;

	start_blocks(NR_SHARDS * SHARD_BLOCKS - 1);
	for (i = 1; i < NR_SHARDS * SHARD_BLOCKS; i++)
		alloc_ok(&one, BLOCK_ORDER, UM_ZERO);
	drain_all();
}

static void whole_blocks_of_all_shards_serve_each_cpu(void **state)
{
	unsigned int cpu, i;

	(void)state;
	for (cpu = 0; cpu < 2; cpu++) {
		hold_all_shards();
		client_free_all(&one);
		um_cpu = (int)cpu;
		for (i = 1; i < NR_SHARDS * SHARD_BLOCKS; i++) {
			alloc_ok(&two, BLOCK_ORDER, UM_ZERO | UM_NOWAIT);
			if (i < SHARD_BLOCKS)
				assert_int_equal(shard_of(last(&two)), cpu);
		}
		assert_int_equal(client_alloc(&one, 0, 0, UM_ZERO | UM_NOWAIT), -ENOMEM);
		um_cpu = 0;
		assert_sound();
		finish();
	}
}

static void no_shard_has_a_block_broken_while_another_can_serve(void **state)
{
	unsigned long pfn;
	unsigned int shard, i;

	(void)state;
	for (shard = 0; shard < NR_SHARDS; shard++) {
		hold_all_shards();
		/* One block of which a half is free, all others whole. */
		pfn = (shard * SHARD_BLOCKS + 1UL) * BLOCK_PAGES;
		free_pfn(&one, pfn);
		alloc_ok(&two, BLOCK_ORDER - 1, UM_ZERO | UM_NOWAIT);
		assert_int_equal(last(&two), pfn);
		client_free_all(&one);
		drain_all();
		um_cpu = 1;
		for (i = 0; i < BLOCK_PAGES / 2; i += 1U << 3) {
			alloc_ok(&two, 3, UM_ZERO | UM_NOWAIT);
			assert_int_equal(last(&two) / BLOCK_PAGES, pfn / BLOCK_PAGES);
		}
		alloc_ok(&two, 3, UM_ZERO | UM_NOWAIT);
		assert_int_equal(shard_of(last(&two)), 1);
		um_cpu = 0;
		assert_sound();
		finish();
	}
}

/* --- how much is taken ------------------------------------------------------------- */

static unsigned long next_refill(void)
{
	unsigned long before_it = stat_of(0, STAT_BLOCKS_TAKEN);

	while (stat_of(0, STAT_BLOCKS_TAKEN) == before_it)
		alloc_ok(&one, BLOCK_ORDER, UM_ZERO);
	return stat_of(0, STAT_BLOCKS_TAKEN) - before_it;
}

static void a_batch_is_halved_by_each_second(void **state)
{
	static const struct {
		unsigned int ms, blocks;
	} pauses[] = {
		{ 1500, 16 }, { 0, 32 }, { 2500, 8 }, { 999, 16 }, { 0, 32 },
		{ 64000, 1 }, { 0, 2 },	 { 0, 4 },    { 5000, 1 }, { 32000, 1 },
	};
	unsigned int i;

	(void)state;
	start_blocks(250);
	while (next_refill() < REFILL_MAX)
		;
	for (i = 0; i < ARRAY_SIZE(pauses); i++) {
		m.clock += pauses[i].ms * 1000000ULL;
		assert_int_equal(next_refill(), pauses[i].blocks);
	}
	assert_sound();
	finish();
}

static void pieces_come_in_64_pages_at_most(void **state)
{
	static const struct {
		unsigned int free, pages;
	} cases[] = {
		{ 256, 256 }, { 64, 64 }, { 32, 64 }, { 16, 64 },
		{ 4, 64 },    { 2, 64 },  { 1, 32 }, /* 32 pieces are the most */
	};
	unsigned int i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		start_blocks(60);
		others_fill(&m, 0, BLOCK_PAGES - cases[i].free);
		alloc_ok(&one, 0, UM_ZERO);
		assert_int_equal(owned(), cases[i].pages);
		assert_int_equal(stat_of(0, STAT_PIECES_TAKEN),
				 cases[i].pages / cases[i].free);
		assert_int_equal(m.map.flushes, 1);
		assert_sound();
		finish();
	}
}

static void pieces_that_cant_serve_are_not_taken(void **state)
{
	unsigned int order;

	(void)state;
	for (order = 1; order <= BLOCK_ORDER; order++) {
		start_blocks(8);
		others_fill(&m, 0, BLOCK_PAGES - (1U << (order - 1)));
		assert_int_equal(client_alloc(&one, 0, order, UM_ZERO), -ENOMEM);
		assert_int_equal(owned(), 0);
		assert_int_equal(m.map.splits_2m, 0);
		assert_int_equal(m.map.flushes, 0);
		assert_int_equal(m.calls[OP_PUT], 0);
		assert_sound();
		finish();
	}
}

static void what_somebody_else_took_is_enough(void **state)
{
	struct cache *c;
	unsigned long seen, calls;

	(void)state;
	start(&ordinary);
	c = m.allocator.caches[0];
	seen = c->refills;
	alloc_ok(&one, 0, UM_ZERO);
	calls = m.calls[OP_GET];
	/* As a thread that found the cache empty and then waited for the lock. */
	assert_int_equal(cache_refill(c, 0, 1, seen), 0);
	assert_int_equal(m.calls[OP_GET], calls);
	assert_int_equal(cache_refill(c, 0, 1, c->refills), 0);
	assert_true(m.calls[OP_GET] > calls);
	assert_sound();
	finish();
}

static int (*real_get)(void *host, int nid, unsigned int order, unsigned int flags,
		       unsigned long *pfn);
static unsigned int nr_patient, nr_tried;

static int counting_get(void *host, int nid, unsigned int order, unsigned int flags,
			unsigned long *pfn)
{
	*(flags & UM_TRY ? &nr_tried : &nr_patient) += 1;
	return real_get(host, nid, order, flags, pfn);
}

/* More than what is needed is not worth a round of reclaim. */
static void only_for_the_first_piece_is_memory_reclaimed(void **state)
{
	unsigned int pieces;

	(void)state;
	for (pieces = 0; pieces < 2; pieces++) {
		start_blocks(20);
		if (pieces)
			others_fill(&m, 0, BLOCK_PAGES - 4);
		nr_patient = 0;
		nr_tried = 0;
		real_get = m.ops.get;
		m.ops.get = counting_get;
		assert_int_equal(client_alloc_bulk(&one, 0, UM_ZERO, pieces ? 1 : 5000),
				 pieces ? 1 : 5000);
		/* Of pieces: for a block, for each order down to 2. */
		assert_int_equal(nr_patient, pieces ? 1 + 7 : 1);
		assert_int_equal(nr_tried, pieces ? 15 : 9);
		finish();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(freed_together_with_dirty_pages),
		cmocka_unit_test(pages_of_others_in_our_block_are_not_freed),
		cmocka_unit_test(a_quarantined_block_serves_nobody),
		cmocka_unit_test(a_quarantined_block_counts_for_nothing),
		cmocka_unit_test(from_the_block_that_another_cpu_is_on),
		cmocka_unit_test(a_run_made_by_frees_is_found),
		cmocka_unit_test(a_whole_block_stays_whole_while_another_can_serve),
		cmocka_unit_test(of_whole_blocks_the_last_to_become_idle_serves),
		cmocka_unit_test(whole_blocks_of_all_shards_serve_each_cpu),
		cmocka_unit_test(no_shard_has_a_block_broken_while_another_can_serve),
		cmocka_unit_test(a_batch_is_halved_by_each_second),
		cmocka_unit_test(pieces_come_in_64_pages_at_most),
		cmocka_unit_test(pieces_that_cant_serve_are_not_taken),
		cmocka_unit_test(what_somebody_else_took_is_enough),
		cmocka_unit_test(only_for_the_first_piece_is_memory_reclaimed),
	};

	return cmocka_run_group_tests_name("test_cache", tests, NULL, NULL);
}
