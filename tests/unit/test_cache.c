// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The cache in the states that random use seldom meets, or in which a wrong
 * choice breaks no invariant: cache.c, refill.c and shrink.c have the usual ones.
 * Operations of the machine are replaced where a test wants to see how they are
 * called.
 */
#include <unistd.h>

#include "unit.h"

/* One node; its first block is the kernel's. */
static struct machine_config blocks_of_one_node(unsigned int nr)
{
	return (struct machine_config){
		.nr_nodes = 1,
		.nr_cpus = 2,
		.node_pages = (nr + 1UL) * BLOCK_PAGES,
	};
}

static void start_blocks(unsigned int nr)
{
	const struct machine_config config = blocks_of_one_node(nr);

	start(&config);
}

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

static void alloc_ok(struct client *c, unsigned int order, unsigned int flags)
{
	assert_int_equal(client_alloc(c, 0, order, flags), 0);
}

static unsigned long owned(void)
{
	unsigned long pages = 0;
	unsigned int n;

	for (n = 0; n < m.config.nr_nodes; n++)
		pages += stat_of((int)n, STAT_PAGES_OWNED);
	return pages;
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

/* --- failures ------------------------------------------------------------------------ */

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

/* --- giving back ----------------------------------------------------------------------- */

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

static int shrinking_get(void *host, int nid, unsigned int order, unsigned int flags,
			 unsigned long *pfn)
{
	nr_tried += (unsigned int)allocator_shrink(&m.allocator, -1, ~0UL, UM_TRY);
	return real_get(host, nid, order, flags, pfn);
}

/* A refill that waits for memory is waited for by no shrinker. */
static void the_shrinker_does_not_wait_for_a_refill(void **state)
{
	(void)state;
	start(&ordinary);
	assert_int_equal(client_alloc(&one, 1, 0, UM_ZERO | UM_THISNODE), 0);
	client_free_all(&one);
	nr_tried = 0;
	real_get = m.ops.get;
	m.ops.get = shrinking_get;
	alarm(20); /* a deadlock ends the program */
	alloc_ok(&one, 0, UM_ZERO | UM_THISNODE);
	alarm(0);
	assert_int_equal(nr_tried, BLOCK_PAGES);
	assert_sound();
	finish();
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
		cmocka_unit_test(some_bad_blocks_are_passed_over),
		cmocka_unit_test(blocks_that_cant_be_mapped_do_not_stop_a_shrink),
		cmocka_unit_test(all_nodes_are_asked_again_before_a_request_fails),
		cmocka_unit_test(healed_after_it_was_in_use_once_more),
		cmocka_unit_test(shrink_asks_each_node_for_the_rest),
		cmocka_unit_test(pieces_go_block_by_block),
		cmocka_unit_test(a_region_is_emptied_before_the_next),
		cmocka_unit_test(a_region_in_use_is_not_healed),
		cmocka_unit_test(the_shrinker_does_not_wait_for_a_refill),
	};

	return cmocka_run_group_tests_name("test_cache", tests, NULL, NULL);
}
