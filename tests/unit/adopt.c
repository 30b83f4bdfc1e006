// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Blocks that are owned in part, and the rest of them, which comes page by page as
 * others free it: what is taken, what is not, and what heals.
 */
#include "unit.h"

#include "adopt.h"

/* Of two blocks one is the kernel's, as if it were all that there is. */
static const struct machine_config two_blocks = {
	.nr_nodes = 1,
	.nr_cpus = 1,
	.node_pages = 2 * BLOCK_PAGES,
};

static struct piece pieces[2 * BLOCK_PAGES];

static bool in_pieces(unsigned long pfn)
{
	return allocator_in_pieces(&m.allocator, pfn);
}

/* What others have beside pages of ours they free, at most @most pieces of it. */
static unsigned int pass_on(unsigned int most)
{
	unsigned long i;
	unsigned int nr = 0;

	for (i = m.nr_others; i-- > 0 && nr < most;)
		if (in_pieces(m.others[i].pfn))
			others_pass_on(&m, i, &pieces[nr++]);
	return nr;
}

static unsigned long nr_fallback(void)
{
	struct allocator_report r;

	allocator_report(&m.allocator, 0, &r);
	return r.fallback;
}

static void complete_and_healed(void **state)
{
	struct cache *c;
	unsigned int nr, i;

	(void)state;
	start(&two_blocks);
	c = m.allocator.caches[0];
	others_fill(&m, 0, 256);
	assert_int_equal(client_alloc(&one, 0, 8, UM_ZERO), 0);
	assert_int_equal(m.map.splits_2m, 1);
	/* In two goes, each with one flush; they serve at once. */
	for (i = 0; i < 2; i++) {
		nr = pass_on(128);
		assert_int_equal(nr, 128);
		assert_int_equal(cache_adopt(c, pieces, nr), 128);
		assert_int_equal(m.map.flushes, 2 + i);
		assert_int_equal(m.map.heals_2m, i);
		assert_int_equal(nr_fallback(), !i);
		assert_sound();
		assert_int_equal(client_alloc(&one, 0, 6, UM_ZERO | UM_NOWAIT), 0);
		assert_sound();
	}
	assert_int_equal(stat_of(0, STAT_HEALS_2M), 1);
	/* A block like any other: it is released whole. */
	client_free_all(&one);
	assert_int_equal(allocator_shrink(&m.allocator, -1, ~0UL, 0), BLOCK_PAGES);
	assert_int_equal(stat_of(0, STAT_BLOCKS_RELEASED), 1);
	assert_int_equal(m.map.splits_2m, 1);
	assert_sound();
	finish();
}

/* Between free and adoption all of the block went back. */
static void too_late(void **state)
{
	struct cache *c;
	unsigned int nr;

	(void)state;
	start(&two_blocks);
	c = m.allocator.caches[0];
	others_fill(&m, 0, 256);
	assert_int_equal(client_alloc(&one, 0, 0, UM_ZERO), 0);
	nr = pass_on(10);
	client_free_all(&one);
	allocator_shrink(&m.allocator, -1, ~0UL, 0);
	assert_int_equal(nr_fallback(), 0);
	assert_int_equal(cache_adopt(c, pieces, nr), 0);
	assert_int_equal(atomic_long_read(&m.allocator.owned), 0);
	assert_int_equal(stat_of(0, STAT_PAGES_OWNED), 0);
	assert_sound();
	finish();
}

static void not_above_the_limit(void **state)
{
	struct cache *c;
	unsigned int nr;

	(void)state;
	start(&two_blocks);
	c = m.allocator.caches[0];
	others_fill(&m, 0, 256);
	assert_int_equal(client_alloc(&one, 0, 8, UM_ZERO), 0);
	allocator_set_limit(&m.allocator, 256 + 10);
	nr = pass_on(20);
	assert_int_equal(nr, 20);
	assert_int_equal(cache_adopt(c, pieces, nr), 10);
	assert_int_equal(atomic_long_read(&m.allocator.owned), 266);
	assert_int_equal(m.calls[OP_PUT], 10);
	assert_sound();
	allocator_set_limit(&m.allocator, 0);
	finish();
}

static void what_cant_be_unmapped_goes_back(void **state)
{
	struct cache *c;
	unsigned int nr;

	(void)state;
	start(&two_blocks);
	c = m.allocator.caches[0];
	others_fill(&m, 0, 256);
	assert_int_equal(client_alloc(&one, 0, 8, UM_ZERO), 0);
	nr = pass_on(256);
	m.fail_at[OP_UNMAP] = 100;
	assert_int_equal(cache_adopt(c, pieces, nr), 255);
	assert_int_equal(m.calls[OP_PUT], 1);
	assert_int_equal(nr_fallback(), 1);
	assert_int_equal(m.map.heals_2m, 0);
	assert_sound();
	finish();
}

/* Two blocks in pieces: that of which something is in use keeps what has come. */
static void only_idle_ones_are_released(void **state)
{
	const struct machine_config config = {
		.nr_nodes = 1,
		.nr_cpus = 1,
		.node_pages = 3 * BLOCK_PAGES,
	};
	struct cache *c;
	unsigned int nr;

	(void)state;
	start(&config);
	c = m.allocator.caches[0];
	assert_false(cache_has_idle_pieces(c));
	others_fill(&m, 0, 256);
	assert_int_equal(client_alloc(&one, 0, 8, UM_ZERO), 0);
	m.clock += 1000 * BATCH_DECAY;
	assert_int_equal(client_alloc(&two, 0, 8, UM_ZERO), 0);
	assert_int_equal(nr_fallback(), 2);
	nr = pass_on(300);
	assert_int_equal(cache_adopt(c, pieces, nr), 300);
	assert_int_equal(nr_fallback(), 1);
	assert_false(cache_has_idle_pieces(c));
	cache_release_idle_pieces(c);
	assert_int_equal(stat_of(0, STAT_PAGES_OWNED), 2 * 256 + 300);
	assert_sound();
	client_free_all(&one);
	client_free_all(&two);
	assert_true(cache_has_idle_pieces(c));
	cache_release_idle_pieces(c);
	/* The one that was completed is no longer in pieces. */
	assert_int_equal(stat_of(0, STAT_PAGES_OWNED), BLOCK_PAGES);
	assert_int_equal(nr_fallback(), 0);
	assert_false(cache_has_idle_pieces(c));
	assert_int_equal(m.map.heals_2m, m.map.splits_2m);
	assert_sound();
	finish();
}

/* Given back under pressure like other pieces. */
static void shrink_gives_it_back(void **state)
{
	struct cache *c;
	unsigned int nr;

	(void)state;
	start(&two_blocks);
	c = m.allocator.caches[0];
	others_fill(&m, 0, 256);
	assert_int_equal(client_alloc(&one, 0, 8, UM_ZERO), 0);
	nr = pass_on(200);
	assert_int_equal(cache_adopt(c, pieces, nr), 200);
	assert_int_equal(allocator_shrinkable(&m.allocator, 0), 200);
	assert_int_equal(allocator_shrink(&m.allocator, -1, 200, UM_TRY), 200);
	assert_int_equal(stat_of(0, STAT_PAGES_OWNED), 256);
	assert_sound();
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(complete_and_healed),
		cmocka_unit_test(too_late),
		cmocka_unit_test(not_above_the_limit),
		cmocka_unit_test(what_cant_be_unmapped_goes_back),
		cmocka_unit_test(only_idle_ones_are_released),
		cmocka_unit_test(shrink_gives_it_back),
	};

	return cmocka_run_group_tests_name("adopt", tests, NULL, NULL);
}
