// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * core/shrink.c on the simulated machine: what is given back first, that it is
 * present and clean when it is, and what happens when it can't be.
 */
#include "unit.h"

static unsigned long blocks[8];
static unsigned int nr_blocks;

/* Whole blocks, made idle one after the other, a second apart. */
static void idle_blocks(void)
{
	static const unsigned int turn[] = { 3, 1, 0, 2, 4 };
	const unsigned int nr = ARRAY_SIZE(turn);
	unsigned int i;

	start(&ordinary);
	nr_blocks = nr;
	for (i = 0; i < nr; i++) {
		assert_int_equal(client_alloc(&one, 0, BLOCK_ORDER, UM_ZERO), 0);
		/* None is to be the one that the CPU is on: that is idle later. */
		drain_all();
	}
	for (i = 0; i < nr; i++)
		blocks[i] = one.held[turn[i]].pfn >> BLOCK_ORDER;
	for (i = 0; i < nr; i++) {
		unsigned long k = 0;

		while (one.held[k].pfn >> BLOCK_ORDER != blocks[i])
			k++;
		client_free(&one, k, BLOCK_ORDER);
		m.clock += 1000000000;
	}
	drain_all();
}

static void everything_goes_back(void **state)
{
	unsigned long i;

	(void)state;
	start(&ordinary);
	assert_int_equal(client_alloc_bulk(&one, 0, UM_ZERO, 5000), 5000);
	assert_int_equal(client_alloc(&one, 1, 5, UM_ZERO | UM_THISNODE), 0);
	client_free_all(&one);
	assert_int_equal(allocator_shrink(&m.allocator, -1, ~0UL, 0),
			 (stat_of(0, STAT_BLOCKS_TAKEN) + stat_of(1, STAT_BLOCKS_TAKEN)) *
				 BLOCK_PAGES);
	for (i = 0; i < m.nr_pages; i++) {
		assert_false(m.map.absent[i]);
		assert_int_not_equal(m.owner[i], OWNER_CORE);
	}
	assert_int_equal(m.map.region_split[0], SPLIT_BY_NONE);
	assert_int_equal(stat_of(0, STAT_PAGES_OWNED), 0);
	/* Present again needs no flush. */
	assert_int_equal(m.map.flushes,
			 stat_of(0, STAT_REFILLS) + stat_of(1, STAT_REFILLS));
	assert_int_equal(allocator_shrink(&m.allocator, -1, ~0UL, 0), 0);
	finish();
}

static void no_more_than_was_asked_for(void **state)
{
	(void)state;
	start(&ordinary);
	load_blocks(7);
	assert_int_equal(allocator_shrink(&m.allocator, 1, ~0UL, 0), 0);
	assert_int_equal(allocator_shrink(&m.allocator, 0, 1, 0), BLOCK_PAGES);
	assert_int_equal(allocator_shrink(&m.allocator, 0, 2 * BLOCK_PAGES, 0),
			 2 * BLOCK_PAGES);
	assert_int_equal(stat_of(0, STAT_BLOCKS_RELEASED), 3);
	assert_sound();
	finish();
}

static void shrinkable_is_what_shrink_gives(void **state)
{
	unsigned long pages;

	(void)state;
	start(&ordinary);
	assert_int_equal(allocator_shrinkable(&m.allocator, -1), 0);
	load_blocks(7);
	others_fill(&m, 1, 300);
	assert_int_equal(client_alloc_bulk(&one, 1, UM_ZERO | UM_THISNODE, 50), 50);
	client_free_all(&one);
	drain_all();
	pages = allocator_shrinkable(&m.allocator, -1);
	assert_int_equal(pages,
			 stat_of(0, STAT_PAGES_OWNED) + stat_of(1, STAT_PAGES_OWNED));
	assert_int_equal(allocator_shrink(&m.allocator, -1, ~0UL, 0), pages);
	assert_int_equal(allocator_shrinkable(&m.allocator, -1), 0);
	assert_sound();
	finish();
}

static void the_longest_idle_goes_first(void **state)
{
	unsigned int i;

	(void)state;
	idle_blocks();
	/* Those that nobody asked for were idle before all of these. */
	assert_true(stat_of(0, STAT_BLOCKS_TAKEN) >= 5);
	allocator_shrink(&m.allocator, 0,
			 (stat_of(0, STAT_BLOCKS_TAKEN) - 5) * BLOCK_PAGES, 0);
	for (i = 0; i < nr_blocks; i++) {
		assert_int_equal(m.nr_core[blocks[i]], BLOCK_PAGES);
		assert_int_equal(allocator_shrink(&m.allocator, 0, 1, 0), BLOCK_PAGES);
		assert_int_equal(m.nr_core[blocks[i]], 0);
	}
	finish();
}

static unsigned long owned_in(unsigned int region)
{
	unsigned long pages = 0;
	unsigned int i;

	for (i = 0; i < REGION_BLOCKS; i++)
		pages += m.nr_core[region * REGION_BLOCKS + i];
	return pages;
}

/* Longer idle is a block of the full region, yet the other one can be emptied. */
static void the_emptiest_region_goes_first(void **state)
{
	const struct machine_config config = {
		.nr_nodes = 1,
		.nr_cpus = 1,
		.node_pages = 1UL << (REGION_ORDER + 1),
	};
	unsigned long owned[2], i;
	unsigned int full;

	(void)state;
	start(&config);
	while (!owned_in(0) || !owned_in(1) ||
	       one.nr_held * BLOCK_PAGES < owned_in(0) + owned_in(1))
		assert_int_equal(client_alloc(&one, 0, BLOCK_ORDER, UM_ZERO), 0);
	full = owned_in(1) > owned_in(0);
	owned[full] = owned_in(full);
	owned[!full] = owned_in(!full);
	assert_true(owned[full] > 2 * owned[!full]);
	for (i = 0; one.held[i].pfn >> REGION_ORDER != full; i++)
		;
	client_free(&one, i, BLOCK_ORDER);
	drain_all();
	m.clock += 1000000000;
	for (i = one.nr_held; i--;)
		if (one.held[i].pfn >> REGION_ORDER != full)
			client_free(&one, i, BLOCK_ORDER);
	drain_all();
	assert_int_equal(allocator_shrink(&m.allocator, 0, 1, 0), BLOCK_PAGES);
	assert_int_equal(owned_in(full), owned[full]);
	assert_int_equal(owned_in(!full), owned[!full] - BLOCK_PAGES);
	finish();
}

/* Who has moved out of the pieces wants them gone, and whole blocks kept. */
static void pieces_go_and_whole_blocks_stay(void **state)
{
	unsigned long whole, nr_free;
	struct allocator *a = &m.allocator;

	(void)state;
	start(&ordinary);
	load_blocks(3);
	others_fill(&m, 0, 400);
	while (!client_alloc(&one, 0, BLOCK_ORDER, UM_ZERO | UM_NOWAIT | UM_THISNODE))
		;
	assert_false(allocator_has_pieces(a, 0));
	assert_int_equal(allocator_free_in_pieces(a, 0), 0);
	assert_int_equal(client_alloc(&two, 0, 0, UM_ZERO | UM_THISNODE), 0);
	assert_false(allocator_in_pieces(a, one.held[0].pfn));
	assert_true(allocator_in_pieces(a, two.held[0].pfn));
	client_free_all(&one);
	drain_all();
	whole = cache_nr_whole(a->caches[0], ~0UL);
	assert_true(whole > 0 && allocator_has_pieces(a, 0));

	nr_free = allocator_free_in_pieces(a, 0);
	assert_true(nr_free > 0);
	assert_int_equal(allocator_release_pieces(a, 0), nr_free);
	assert_int_equal(allocator_free_in_pieces(a, 0), 0);
	assert_true(allocator_has_pieces(a, 0));
	assert_int_equal(cache_nr_whole(a->caches[0], ~0UL), whole);
	assert_sound();

	client_free_all(&two);
	assert_int_equal(allocator_release_pieces(a, 0), 1);
	assert_false(allocator_has_pieces(a, 0));
	assert_int_equal(cache_nr_whole(a->caches[0], ~0UL), whole);
	assert_int_equal(m.map.heals_2m, m.map.splits_2m);
	assert_sound();
	finish();
}

/* The RFC released the smallest pieces first, and the direct map stayed small. */
static void whole_blocks_go_before_pieces(void **state)
{
	unsigned long pieces;

	(void)state;
	start(&ordinary);
	load_blocks(3);
	others_fill(&m, 0, 400);
	while (!client_alloc(&one, 0, BLOCK_ORDER, UM_ZERO | UM_NOWAIT | UM_THISNODE))
		;
	assert_int_equal(client_alloc(&two, 0, 0, UM_ZERO | UM_THISNODE), 0);
	pieces = stat_of(0, STAT_PIECES_TAKEN);
	assert_true(pieces > 0);
	client_free_all(&one);
	client_free_all(&two);
	while (m.nr_core[0] ||
	       stat_of(0, STAT_BLOCKS_RELEASED) < stat_of(0, STAT_BLOCKS_TAKEN)) {
		unsigned long puts = m.calls[OP_PUT];

		assert_int_equal(allocator_shrink(&m.allocator, 0, 1, 0), BLOCK_PAGES);
		assert_int_equal(m.calls[OP_PUT], puts + 1);
		assert_int_equal(m.map.heals_2m, 0);
	}
	assert_true(allocator_shrink(&m.allocator, 0, ~0UL, 0) > 0);
	assert_int_equal(m.map.heals_2m, m.map.splits_2m);
	assert_sound();
	finish();
}

static void what_is_in_use_stays(void **state)
{
	(void)state;
	start(&ordinary);
	assert_int_equal(client_alloc_bulk(&one, 0, UM_ZERO, 3 * BLOCK_PAGES),
			 3 * BLOCK_PAGES);
	while (one.nr_held > 3)
		client_free(&one, one.nr_held / 2, 0);
	allocator_shrink(&m.allocator, -1, ~0UL, 0);
	assert_int_equal(one.nr_held, 3);
	assert_in_range(stat_of(0, STAT_PAGES_OWNED), BLOCK_PAGES, 3 * BLOCK_PAGES);
	assert_sound();
	finish();
}

static void magazines_of_all_cpus_are_emptied(void **state)
{
	struct machine_config config = ordinary;
	int cpu;

	(void)state;
	config.nr_cpus = 8;
	start(&config);
	for (cpu = 0; cpu < 8; cpu++) {
		um_cpu = cpu;
		assert_int_equal(client_alloc(&one, cpu % 2, 0, UM_ZERO), 0);
		assert_int_equal(client_alloc(&one, cpu % 2, 0, 0), 0);
	}
	client_free_all(&one);
	for (cpu = 0; cpu < 8; cpu++)
		assert_true(allocator_cpu_holds(&m.allocator, (unsigned int)cpu));
	um_cpu = 3;
	allocator_shrink(&m.allocator, -1, ~0UL, 0);
	um_cpu = 0;
	for (cpu = 0; cpu < 8; cpu++)
		assert_false(allocator_cpu_holds(&m.allocator, (unsigned int)cpu));
	assert_int_equal(stat_of(0, STAT_PAGES_OWNED), 0);
	assert_int_equal(stat_of(1, STAT_PAGES_OWNED), 0);
	assert_sound();
	finish();
}

static void magazines_of_a_dead_cpu_are_emptied(void **state)
{
	(void)state;
	start(&ordinary);
	um_cpu = 1;
	/* Allocation's, frees' and that of dirty pages, and a block it is on. */
	assert_int_equal(client_alloc_bulk(&one, 0, UM_ZERO, 40), 40);
	assert_int_equal(client_alloc_bulk(&one, 0, 0, 3), 3);
	assert_int_equal(client_alloc_bulk(&one, 1, UM_ZERO, 3), 3);
	client_free_all(&one);
	um_cpu = 0;
	allocator_drain_dead_cpu(&m.allocator, 1);
	assert_sound();
	/* What is left to others: only their own magazines are drained. */
	m.config.nr_cpus = 1;
	allocator_shrink(&m.allocator, -1, ~0UL, 0);
	m.config.nr_cpus = 2;
	assert_int_equal(stat_of(0, STAT_PAGES_OWNED), 0);
	assert_int_equal(stat_of(1, STAT_PAGES_OWNED), 0);
	assert_sound();
	finish();
}

/* Clearing was forgotten when a block was mapped back. */
static void dirty_pages_are_zeroed_before_they_go(void **state)
{
	(void)state;
	start(&ordinary);
	assert_int_equal(client_alloc(&one, 0, 6, 0), 0);
	assert_int_equal(client_alloc_bulk(&one, 0, 0, 40), 40);
	client_free_all(&one);
	assert_int_equal(m.pages_zeroed, 0);
	/* put() looks at each page. */
	allocator_shrink(&m.allocator, -1, ~0UL, 0);
	/* A magazine's pages count as dirty from when it is loaded. */
	assert_in_range(m.pages_zeroed, 104, 128);
	assert_sound();
	/* And dirty pieces, too. */
	others_fill(&m, 0, 300);
	m.clock += 1000 * BATCH_DECAY;
	assert_int_equal(client_alloc_bulk(&one, 0, UM_THISNODE, 40), 40);
	client_free_all(&one);
	allocator_shrink(&m.allocator, -1, ~0UL, 0);
	assert_in_range(m.pages_zeroed, 144, 192);
	assert_sound();
	finish();
}

/* A page that was freed before it was mapped back. */
static void what_cant_be_mapped_is_never_released(void **state)
{
	(void)state;
	start(&ordinary);
	load_blocks(4);
	m.fail_at[OP_MAP] = 1;
	allocator_shrink(&m.allocator, -1, ~0UL, 0);
	assert_int_equal(stat_of(0, STAT_QUARANTINED), 1);
	assert_int_equal(stat_of(0, STAT_PAGES_OWNED), BLOCK_PAGES);
	assert_int_equal(m.warnings, 1);
	assert_sound();
	assert_int_equal(client_alloc_bulk(&one, 0, UM_ZERO, 2000), 2000);
	assert_sound();
	finish();
}

static void pieces_that_cant_be_mapped_are_never_released(void **state)
{
	(void)state;
	start(&ordinary);
	others_fill(&m, 0, 400);
	assert_int_equal(client_alloc_bulk(&one, 0, UM_ZERO | UM_THISNODE, 60), 60);
	client_free_all(&one);
	m.fail_at[OP_MAP] = 3;
	allocator_shrink(&m.allocator, -1, ~0UL, 0);
	assert_int_equal(stat_of(0, STAT_QUARANTINED), 1);
	assert_true(stat_of(0, STAT_PAGES_OWNED) >= 1);
	assert_sound();
	others_free_all(&m);
	m.clock += 1000 * BATCH_DECAY;
	assert_int_equal(client_alloc_bulk(&one, 0, UM_ZERO, 2000), 2000);
	assert_sound();
	finish();
}

/* Its entries are taken away by others, and may be written by nobody else. */
static void memory_that_is_gone_is_not_healed(void **state)
{
	unsigned long healed;

	(void)state;
	start(&ordinary);
	others_fill(&m, 0, 256);
	assert_int_equal(client_alloc(&one, 0, 0, UM_ZERO | UM_THISNODE), 0);
	assert_true(m.map.splits_2m > 0);
	m.fails[OP_HEAL] = true;
	client_free_all(&one);
	allocator_shrink(&m.allocator, -1, ~0UL, 0);
	assert_true(atomic_long_read(&m.allocator.caches[0]->nr_unhealed) > 0);
	m.fails[OP_HEAL] = false;
	healed = m.calls[OP_HEAL];
	allocator_forget_range(&m.allocator, 0, 2 * ordinary.node_pages);
	assert_int_equal(atomic_long_read(&m.allocator.caches[0]->nr_unhealed), 0);
	allocator_shrink(&m.allocator, -1, ~0UL, 0);
	assert_int_equal(m.calls[OP_HEAL], healed);
	assert_int_equal(m.map.heals_2m, 0);
	/* The map is not what it was, and is not to be. */
	others_free_all(&m);
	snapshot_free(&before);
	client_destroy(&one);
	client_destroy(&two);
	machine_destroy(&m);
}

static void heal_that_failed_is_tried_again(void **state)
{
	(void)state;
	start(&ordinary);
	others_fill(&m, 0, 400);
	assert_int_equal(client_alloc(&one, 0, 0, UM_ZERO | UM_THISNODE), 0);
	client_free_all(&one);
	m.fails[OP_HEAL] = true;
	m.fails[OP_HEAL_REGION] = true;
	allocator_shrink(&m.allocator, -1, ~0UL, 0);
	assert_int_equal(stat_of(0, STAT_PAGES_OWNED), 0);
	assert_int_equal(m.map.heals_2m, 0);
	assert_sound();
	m.fails[OP_HEAL] = false;
	m.fails[OP_HEAL_REGION] = false;
	others_free_all(&m);
	allocator_shrink(&m.allocator, -1, 1, 0);
	assert_int_equal(m.map.heals_2m, m.map.splits_2m);
	assert_int_equal(m.map.region_split[0], SPLIT_BY_NONE);
	finish();
}

/* The system may call shrink while a refill waits for memory. */
static void shrink_from_within_a_refill(void **state)
{
	const struct machine_config config = {
		.nr_nodes = 2,
		.nr_cpus = 2,
		.node_pages = 8 * BLOCK_PAGES,
		.reclaim = true,
	};
	unsigned int i;

	(void)state;
	start(&config);
	for (i = 0; i < 50; i++) {
		assert_int_equal(client_alloc_bulk(&one, (int)(i % 2),
						   UM_ZERO | UM_THISNODE,
						   6 * BLOCK_PAGES),
				 6 * BLOCK_PAGES);
		others_alloc(&m, (int)(i % 2), i % 10);
		client_free_all(&one);
		client_alloc(&two, (int)(i + 1) % 2, BLOCK_ORDER, UM_ZERO | UM_THISNODE);
		client_free_all(&two);
		if (m.nr_others > 4)
			others_free(&m, i % m.nr_others);
		assert_sound();
		m.clock += 100 * BATCH_DECAY;
	}
	finish();
}

/* Blocks of the core from @first to @end, exclusive. */
static unsigned long core_pages(unsigned long first, unsigned long end)
{
	unsigned long pages = 0;

	for (; first < end; first++)
		pages += m.nr_core[first];
	return pages;
}

static void a_range_is_released(void **state)
{
	unsigned long held, i, left;

	(void)state;
	start(&ordinary);
	load_blocks(10);
	others_fill(&m, 1, 300);
	assert_int_equal(client_alloc_bulk(&one, 1, UM_ZERO | UM_THISNODE, 200), 200);
	/* A page of node 0 is in use, and one of each node is in a magazine. */
	assert_int_equal(client_alloc(&two, 0, 0, UM_ZERO | UM_THISNODE), 0);
	held = two.held[0].pfn >> BLOCK_ORDER;
	left = core_pages(0, 64);
	assert_int_equal(allocator_release_range(&m.allocator, 60 * BLOCK_PAGES,
						 60 * BLOCK_PAGES),
			 0);
	assert_int_equal(core_pages(0, 64), left);
	for (i = 0; i < 32; i += 4) {
		left = core_pages(0, i) + core_pages(i + 4, 64);
		assert_int_equal(allocator_release_range(&m.allocator, i * BLOCK_PAGES,
							 (i + 4) * BLOCK_PAGES),
				 held / 4 == i / 4 ? BLOCK_PAGES : 0);
		/* That of the range and no more. */
		assert_int_equal(core_pages(0, i) + core_pages(i + 4, 64), left);
		assert_int_equal(core_pages(i, i + 4),
				 held / 4 == i / 4 ? BLOCK_PAGES : 0);
		assert_sound();
	}
	/* Pieces: all that clients do not hold. */
	left = allocator_release_range(&m.allocator, 32 * BLOCK_PAGES, 64 * BLOCK_PAGES);
	assert_int_equal(left, 200);
	assert_int_equal(core_pages(32, 64), 200);
	client_free_all(&one);
	client_free_all(&two);
	assert_int_equal(allocator_release_range(&m.allocator, 0, 64 * BLOCK_PAGES), 0);
	assert_int_equal(core_pages(0, 64), 0);
	assert_int_equal(m.map.heals_2m, m.map.splits_2m);
	assert_sound();
	finish();
}

static void a_range_that_cant_be_mapped_is_not_released(void **state)
{
	unsigned long block;

	(void)state;
	start(&ordinary);
	load_blocks(1);
	for (block = 0; !m.nr_core[block]; block++)
		;
	m.fail_at[OP_MAP] = 0;
	assert_int_equal(allocator_release_range(&m.allocator, block * BLOCK_PAGES,
						 (block + 1) * BLOCK_PAGES),
			 BLOCK_PAGES);
	assert_int_equal(stat_of(0, STAT_QUARANTINED), 1);
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_goes_back),
		cmocka_unit_test(no_more_than_was_asked_for),
		cmocka_unit_test(shrinkable_is_what_shrink_gives),
		cmocka_unit_test(the_longest_idle_goes_first),
		cmocka_unit_test(the_emptiest_region_goes_first),
		cmocka_unit_test(whole_blocks_go_before_pieces),
		cmocka_unit_test(pieces_go_and_whole_blocks_stay),
		cmocka_unit_test(what_is_in_use_stays),
		cmocka_unit_test(magazines_of_all_cpus_are_emptied),
		cmocka_unit_test(magazines_of_a_dead_cpu_are_emptied),
		cmocka_unit_test(dirty_pages_are_zeroed_before_they_go),
		cmocka_unit_test(what_cant_be_mapped_is_never_released),
		cmocka_unit_test(pieces_that_cant_be_mapped_are_never_released),
		cmocka_unit_test(heal_that_failed_is_tried_again),
		cmocka_unit_test(memory_that_is_gone_is_not_healed),
		cmocka_unit_test(shrink_from_within_a_refill),
		cmocka_unit_test(a_range_is_released),
		cmocka_unit_test(a_range_that_cant_be_mapped_is_not_released),
	};

	return cmocka_run_group_tests_name("shrink", tests, NULL, NULL);
}
