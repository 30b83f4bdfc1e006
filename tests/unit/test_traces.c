// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The lab itself: does it notice?  A machine in good order is damaged in one
 * place, as a broken core would, and the check has to name just that.
 *
 * Then traces: the same from text, any bytes are one, and each call failing once.
 */
#include "trace.h"
#include "unit.h"

/* --- damage ------------------------------------------------------------------ */

/*
 * One node of 8 blocks; client one has order 4 and, dirty, 40 pages; half a
 * block's pages are others'.  free_pfn is free and zero, held_pfn in use.
 */
static unsigned long free_pfn, held_pfn;

static void start_busy(void)
{
	const struct machine_config config = {
		.nr_nodes = 1,
		.nr_cpus = 2,
		.node_pages = 8 * BLOCK_PAGES,
	};

	start(&config);
	assert_int_equal(client_alloc(&one, 0, 4, UM_ZERO), 0);
	assert_int_equal(client_alloc_bulk(&one, 0, 0, 40), 40);
	assert_int_equal(others_alloc(&m, 0, 8), 0);
	held_pfn = one.held[0].pfn;
	/* The last of its block: not of a magazine that was loaded as dirty. */
	free_pfn = held_pfn | (BLOCK_PAGES - 1);
	assert_int_equal(m.owner[free_pfn], OWNER_CORE);
	assert_int_equal(m.holder[free_pfn], 0);
	assert_sound();
}

static void others_got_it(void)
{
	unsigned long b = free_pfn >> BLOCK_ORDER;

	m.owner[free_pfn] = OWNER_NONE;
	m.nr_core[b]--;
	m.nr_used[b]--;
}

static void no_flush(void)
{
	m.map.stale[free_pfn] = true;
	m.map.nr_stale++;
}

static void is_present(void)
{
	m.map.absent[free_pfn] = false;
	m.map.nr_absent[free_pfn >> BLOCK_ORDER]--;
}

static void present_by_page_only(void)
{
	m.map.absent[free_pfn] = false;
}

static void absent_at_the_system(void)
{
	unsigned long pfn;

	assert_int_equal(machine_find(&m, 0, 0, &pfn), 0);
	m.map.absent[pfn] = true;
}

static void secret_in_a_free_page(void)
{
	m.tag[free_pfn] = 4 | 2;
}

static void unmarked_dirty_page(void)
{
	m.tag[free_pfn] = 4 | 2 | TAG_NOT_ZEROED;
}

static void split_for_nothing(void)
{
	m.map.block_split[held_pfn >> BLOCK_ORDER] = SPLIT_BY_US;
}

static void split_not_counted(void)
{
	m.map.splits_2m++;
}

static void one_flush_more(void)
{
	m.map.flushes++;
}

static void one_page_lost(void)
{
	struct block *b = table_lookup(&m.allocator.table, held_pfn);

	m.nr_held[b->number]--;
}

static void word_of_a_block(void)
{
	struct block *b = table_lookup(&m.allocator.table, held_pfn);
	unsigned int index = held_pfn % BLOCK_PAGES;

	atomic_long_fetch_or(1L << index % 64, &b->words[index / 64]);
}

static void wrong_unhealed(void)
{
	atomic_long_add(1, &m.allocator.caches[0]->nr_unhealed);
}

static void wrong_fallback(void)
{
	atomic_long_add(1, &m.allocator.caches[0]->nr_fallback);
}

static void lock_held(void)
{
	um_spin_depth = 1;
}

static void the_lab_notices(void **state)
{
	static const struct {
		void (*damage)(void);
		const char *says;
	} cases[] = {
		{ others_got_it, "and counts" },
		{ no_flush, "is the core's and was not flushed" },
		{ is_present, "are the core's, " },
		{ present_by_page_only, "is the core's and present" },
		{ absent_at_the_system, "is the system's and absent" },
		{ secret_in_a_free_page, "content that is to be zeroed" },
		{ unmarked_dirty_page, "dirty and not marked" },
		{ split_for_nothing, "was split and could be healed" },
		{ split_not_counted, "splits: " },
		{ one_flush_more, "refills" },
		{ one_page_lost, "in use and" },
		{ word_of_a_block, "nr_free differs" },
		{ wrong_unhealed, "blocks to heal" },
		{ wrong_fallback, "owned in part" },
		{ lock_held, "spinlock" },
	};
	unsigned int i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		start_busy();
		cases[i].damage();
		check_step(&m, true);
		um_spin_depth = 0;
		if (!strstr(m.broken, cases[i].says)) {
			print_error("damage %u: \"%s\" is not \"%s\"\n", i, m.broken,
				    cases[i].says);
			fail();
		}
		snapshot_free(&before);
		client_destroy(&one);
		client_destroy(&two);
		machine_destroy(&m);
	}
}

/* --- operations used wrongly ---------------------------------------------------- */

static unsigned long other_pfn;

static void put_absent(void)
{
	m.ops.put(&m, free_pfn, 0);
}

static void put_of_others(void)
{
	m.ops.put(&m, other_pfn, 0);
}

static void put_secret(void)
{
	m.map.absent[held_pfn] = false;
	m.holder[held_pfn] = 0;
	m.ops.put(&m, held_pfn, 0);
}

static void put_in_use(void)
{
	m.map.absent[held_pfn] = false;
	m.ops.put(&m, held_pfn, 0);
}

static void unmap_absent(void)
{
	m.ops.unmap(&m, free_pfn, 0);
}

static void map_present(void)
{
	m.ops.map(&m, other_pfn, 0);
}

static void map_a_part(void)
{
	m.ops.map(&m, free_pfn, 0);
}

static void zero_present(void)
{
	m.map.absent[held_pfn] = false;
	m.ops.zero(&m, held_pfn, 0);
}

static void unaligned(void)
{
	m.ops.unmap(&m, other_pfn + 1, 3);
}

static void past_the_end(void)
{
	m.ops.map(&m, m.nr_pages, 9);
}

static void get_of_no_node(void)
{
	unsigned long pfn;

	m.ops.get(&m, 1, 0, 0, &pfn);
}

static void get_under_a_lock(void)
{
	unsigned long pfn;

	um_spin_depth = 1;
	if (!m.ops.get(&m, 0, BLOCK_ORDER, 0, &pfn))
		um_spin_depth = 0;
}

static void put_under_a_lock(void)
{
	um_spin_depth = 1;
	m.ops.put(&m, free_pfn, 0);
}

static void flush_while_atomic(void)
{
	um_atomic = true;
	m.ops.flush(&m);
}

static void unmap_while_atomic(void)
{
	um_atomic = true;
	m.ops.unmap(&m, other_pfn, 0);
}

static void heal_what_others_split(void)
{
	others_unmap(&m, 0);
	m.ops.heal(&m, other_pfn);
}

static void a_smaller_piece_than_there_is(void)
{
	unsigned long pfn;

	m.ops.get(&m, 0, 2, 0, &pfn);
}

static void the_machine_notices(void **state)
{
	static const struct {
		void (*misuse)(void);
		const char *says;
	} cases[] = {
		{ put_absent, "which is absent" },
		{ put_of_others, "not the core's" },
		{ put_secret, "old content" },
		{ put_in_use, "released while in use" },
		{ unmap_absent, "which is absent" },
		{ map_present, "not the core's" },
		{ map_a_part, "would split" },
		{ zero_present, "which is present" },
		{ unaligned, "which there is not" },
		{ past_the_end, "which there is not" },
		{ get_of_no_node, "get() of node 1" },
		{ get_under_a_lock, "under a spinlock" },
		{ put_under_a_lock, "under a spinlock" },
		{ flush_while_atomic, "in atomic context" },
		{ unmap_while_atomic, "in atomic context" },
		{ heal_what_others_split, "which others split" },
		{ a_smaller_piece_than_there_is, "a larger one" },
	};
	unsigned int i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		start_busy();
		other_pfn = m.others[0].pfn;
		cases[i].misuse();
		um_spin_depth = 0;
		um_atomic = false;
		if (!strstr(m.broken, cases[i].says)) {
			print_error("misuse %u: \"%s\" is not \"%s\"\n", i, m.broken,
				    cases[i].says);
			fail();
		}
		snapshot_free(&before);
		client_destroy(&one);
		client_destroy(&two);
		machine_destroy(&m);
	}
}

/* A piece of a region that is one entry can't be made present by itself. */
static void a_block_of_a_whole_region_cant_be_mapped(void **state)
{
	(void)state;
	start_busy();
	memset(m.map.region_split, SPLIT_BY_NONE, m.map.nr_regions);
	m.ops.map(&m, held_pfn & ~(BLOCK_PAGES - 1UL), BLOCK_ORDER);
	assert_non_null(strstr(m.broken, "would split"));
	snapshot_free(&before);
	client_destroy(&one);
	client_destroy(&two);
	machine_destroy(&m);
}

/* --- traces ------------------------------------------------------------------------ */

static void run_ok(struct trace *t, struct trace_result *r)
{
	if (trace_run(t, r))
		return;
	print_error("%s, in step %lu of %lu:\n", r->broken, r->step, t->nr);
	trace_write(t, stderr);
	fail();
}

static void the_same_from_text(void **state)
{
	struct trace_result first, second;
	struct trace t, copy;
	char *text = NULL;
	size_t size = 0;
	FILE *f;

	(void)state;
	trace_init(&t);
	t.machine.reclaim = true;
	t.machine.boot_small = 5;
	t.machine.scatter = true;
	t.fail_op = OP_UNMAP;
	t.fail_nth = 2;
	trace_random(&t, 11, 150);
	f = open_memstream(&text, &size);
	assert_non_null(f);
	trace_write(&t, f);
	fclose(f);

	trace_init(&copy);
	f = fmemopen(text, size, "r");
	assert_non_null(f);
	assert_int_equal(trace_read(&copy, f), 0);
	fclose(f);
	assert_int_equal(copy.nr, t.nr);
	assert_memory_equal(copy.steps, t.steps, t.nr * sizeof(*t.steps));
	run_ok(&t, &first);
	run_ok(&copy, &second);
	assert_true(first.failed);
	assert_true(first.handed_out > 0);
	assert_memory_equal(&first, &second, sizeof(first));
	free(text);
	trace_destroy(&copy);
	trace_destroy(&t);
}

static void what_is_no_trace_is_refused(void **state)
{
	static const struct {
		const char *text;
		int line;
	} cases[] = {
		{ "alloc 1 2 3\nalloc 1 2\n", 2 },
		{ "alloc 1 2 256\n", 1 },
		{ "boil 1 2 3\n", 1 },
		{ "machine colour 3\n", 1 },
		{ "# fine\n\nfail 99 1\n", 3 },
		{ "machine nr_nodes 0\n", 1 },
		{ "machine nr_cpus 9\n", 1 },
		{ "machine node_pages 700\n", 1 },
	};
	unsigned int i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct trace t;
		FILE *f;

		f = fmemopen((void *)(uintptr_t)cases[i].text, strlen(cases[i].text),
			     "r");
		assert_non_null(f);
		trace_init(&t);
		assert_int_equal(trace_read(&t, f), cases[i].line);
		trace_destroy(&t);
		fclose(f);
	}
}

static void any_bytes_are_a_trace(void **state)
{
	unsigned long handed_out = 0, failed = 0, i;
	u64 seed = 5;
	u8 bytes[400];

	(void)state;
	for (i = 0; i < 300; i++) {
		struct trace_result r;
		struct trace t;
		size_t k, len = i < 12 ? i : sizeof(bytes) - i;

		for (k = 0; k < sizeof(bytes); k++) {
			seed = seed * 6364136223846793005UL + 1442695040888963407UL;
			bytes[k] = (u8)(seed >> 33);
		}
		trace_init(&t);
		t.check_pages = i % 4 == 0;
		trace_from_bytes(&t, bytes, len);
		assert_int_equal(t.nr, len < 4 ? 0 : len / 4 - 1);
		run_ok(&t, &r);
		handed_out += r.handed_out;
		failed += r.failed;
		trace_destroy(&t);
	}
	/* They are worth running: much is handed out, and failures are met. */
	assert_true(handed_out > 10000);
	assert_true(failed > 10);
}

/* Memory is short, pieces are taken, and given back: entries are to be healed. */
static void add_pieces(struct trace *t)
{
	static const char text[] = "others-fill 0 250 0\n"
				   "alloc 0 0 0\n"
				   "leave 0 0 0\n";
	FILE *f = fmemopen((void *)(uintptr_t)text, sizeof(text) - 1, "r");

	assert_non_null(f);
	assert_int_equal(trace_read(t, f), 0);
	fclose(f);
}

static void each_call_failing_once(void **state)
{
	static const unsigned int boot_small[] = { 0, 2 };
	unsigned long reached[NR_FALLIBLE + 1] = { 0 };
	unsigned int i, op;

	(void)state;
	for (i = 0; i < 4; i++) {
		struct trace_result r;
		struct trace t;

		trace_init(&t);
		t.machine.boot_small = boot_small[i % 2];
		t.machine.reclaim = i / 2;
		t.machine.node_pages = 6 * BLOCK_PAGES;
		t.check_pages = false;
		add_pieces(&t);
		trace_random(&t, 1000 + i, 60);
		for (op = 0; op <= NR_FALLIBLE; op++) {
			t.fail_op = (int)op;
			for (t.fail_nth = 0;; t.fail_nth++) {
				run_ok(&t, &r);
				if (!r.failed)
					break;
				reached[op]++;
			}
		}
		trace_destroy(&t);
	}
	for (op = 0; op <= NR_FALLIBLE; op++)
		assert_true(reached[op] > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_lab_notices),
		cmocka_unit_test(the_machine_notices),
		cmocka_unit_test(a_block_of_a_whole_region_cant_be_mapped),
		cmocka_unit_test(the_same_from_text),
		cmocka_unit_test(what_is_no_trace_is_refused),
		cmocka_unit_test(any_bytes_are_a_trace),
		cmocka_unit_test(each_call_failing_once),
	};

	return cmocka_run_group_tests_name("test_traces", tests, NULL, NULL);
}
