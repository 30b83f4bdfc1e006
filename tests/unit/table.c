// SPDX-License-Identifier: GPL-2.0 OR MIT
/* core/table.c and core/magazine.h: small, so compared with plain arithmetic. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "magazine.h"
#include "table.h"

#define NR_PFNS ((3UL << REGION_ORDER) + 5 * BLOCK_PAGES)

static void a_pfn_finds_its_block(void **state)
{
	static const unsigned long pfns[] = {
		32,
		BLOCK_PAGES - 1,
		BLOCK_PAGES,
		(1UL << REGION_ORDER) - 1,
		1UL << REGION_ORDER,
		(3UL << REGION_ORDER) + 7,
	};
	unsigned long pfn;
	struct table t;
	struct block *b;
	unsigned int i;

	(void)state;
	assert_int_equal(table_init(&t, NR_PFNS), 0);
	for (i = 0; i < ARRAY_SIZE(pfns); i++) {
		pfn = pfns[i];
		b = table_get(&t, pfn);
		assert_non_null(b);
		assert_int_equal(block_pfn(b), pfn & ~(BLOCK_PAGES - 1UL));
		assert_ptr_equal(table_lookup(&t, pfn), b);
		assert_ptr_equal(table_get(&t, pfn), b);
		assert_int_equal(b->list_id, BLOCK_UNLISTED);
		assert_int_equal(atomic_read(&b->nr_free), 0);
	}
	table_destroy(&t);
}

static void what_was_never_used_has_no_block(void **state)
{
	struct table t;

	(void)state;
	assert_int_equal(table_init(&t, NR_PFNS), 0);
	assert_null(table_lookup(&t, 32));
	assert_null(table_lookup(&t, NR_PFNS - 1));
	assert_non_null(table_get(&t, 32));
	assert_null(table_lookup(&t, 1UL << REGION_ORDER));
	assert_null(table_get(&t, 4UL << REGION_ORDER));
	assert_null(table_lookup(&t, 4UL << REGION_ORDER));
	assert_null(table_lookup(&t, ~0UL));
	table_destroy(&t);
}

static void out_of_memory_leaves_no_trace(void **state)
{
	struct table t;

	(void)state;
	um_fail_nth = 0;
	assert_int_equal(table_init(&t, NR_PFNS), -ENOMEM);
	assert_int_equal(table_init(&t, NR_PFNS), 0);
	um_fail_nth = 0;
	assert_null(table_get(&t, 32));
	assert_null(table_lookup(&t, 32));
	um_fail_nth = 1;
	assert_null(table_get(&t, 32));
	assert_null(table_lookup(&t, 32));
	assert_non_null(table_get(&t, 32));
	table_destroy(&t);
}

static void a_block_costs_128_bytes_at_most(void **state)
{
	unsigned long pfn;
	struct table t;

	(void)state;
	assert_int_equal(table_init(&t, 4UL << REGION_ORDER), 0);
	for (pfn = 0; pfn < 4UL << REGION_ORDER; pfn += BLOCK_PAGES)
		assert_non_null(table_get(&t, pfn));
	/* And next to nothing for the region. */
	assert_in_range(table_bytes(&t), 1, 4 * REGION_BLOCKS * 128 + 4 * 64);
	table_destroy(&t);
}

static void grows_and_forgets_nothing(void **state)
{
	struct block *first, *last;
	struct table t;

	(void)state;
	assert_int_equal(table_init(&t, NR_PFNS), 0);
	first = table_get(&t, 32);
	last = table_get(&t, NR_PFNS - 1);
	um_fail_nth = 0;
	assert_int_equal(table_grow(&t, 9UL << REGION_ORDER), -ENOMEM);
	assert_null(table_get(&t, 8UL << REGION_ORDER));
	assert_int_equal(table_grow(&t, 9UL << REGION_ORDER), 0);
	assert_non_null(table_get(&t, 8UL << REGION_ORDER));
	assert_null(table_get(&t, 9UL << REGION_ORDER));
	assert_ptr_equal(table_lookup(&t, 32), first);
	assert_ptr_equal(table_lookup(&t, NR_PFNS - 1), last);
	/* It never gets smaller. */
	assert_int_equal(table_grow(&t, 1), 0);
	assert_int_equal(table_grow(&t, 1UL << (REGION_ORDER + 5)), 0);
	assert_ptr_equal(table_lookup(&t, 32), first);
	table_destroy(&t);
}

static void a_magazine_names_its_pages(void **state)
{
	static const unsigned long runs[] = {
		32, 64, BLOCK_PAGES, (1UL << 20) - 32, MAGAZINE_MAX_PFN - 32,
	};
	unsigned int i, k;
	u64 mag;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(runs); i++) {
		mag = magazine_make(runs[i], 0x80000001);
		assert_true(magazine_pfn(mag) == runs[i]);
		assert_int_equal(magazine_pages(mag), 0x80000001);
		for (k = 0; k < 32; k++) {
			assert_true(magazine_covers(mag, runs[i] + k));
			assert_true(magazine_bit(runs[i] + k) == 1ULL << k);
		}
		assert_false(magazine_covers(mag, runs[i] - 1));
		assert_false(magazine_covers(mag, runs[i] + 32));
		/* Without pages it still knows its run, and no other. */
		mag = magazine_make(runs[i], 0);
		assert_true(magazine_covers(mag, runs[i]));
		assert_false(magazine_covers(MAGAZINE_EMPTY, runs[i]));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pfn_finds_its_block),
		cmocka_unit_test(what_was_never_used_has_no_block),
		cmocka_unit_test(out_of_memory_leaves_no_trace),
		cmocka_unit_test(grows_and_forgets_nothing),
		cmocka_unit_test(a_block_costs_128_bytes_at_most),
		cmocka_unit_test(a_magazine_names_its_pages),
	};

	return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
