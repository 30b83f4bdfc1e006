/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The few names of cmocka that these tests use, so that they build with nothing
 * but a compiler.  A test that fails ends the program: what it leaves behind is
 * no ground for the next one.
 */
#ifndef HARNESS_H
#define HARNESS_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *harness_test;

static inline void harness_fail(const char *file, int line, const char *what, long a,
				long b)
{
	fflush(stdout);
	fprintf(stderr, "# %s:%d: %s: %ld and %ld\n", file, line, what, a, b);
	printf("not ok - %s\n", harness_test);
	fflush(stdout);
	_Exit(1);
}

#define harness_compare(a, op, b) \
	do { \
		long a__ = (long)(a), b__ = (long)(b); \
		if (!(a__ op b__)) \
			harness_fail(__FILE__, __LINE__, #a " " #op " " #b, a__, b__); \
	} while (0)

#define assert_true(c)			 harness_compare(!!(c), ==, 1)
#define assert_false(c)			 harness_compare(!!(c), ==, 0)
#define assert_null(p)			 harness_compare((intptr_t)(p), ==, 0)
#define assert_non_null(p)		 harness_compare((intptr_t)(p), !=, 0)
#define assert_ptr_equal(a, b)		 harness_compare((intptr_t)(a), ==, (intptr_t)(b))
#define assert_int_equal(a, b)		 harness_compare(a, ==, b)
#define assert_int_not_equal(a, b)	 harness_compare(a, !=, b)
#define assert_string_equal(a, b)	 harness_compare(strcmp(a, b), ==, 0)
#define assert_memory_equal(a, b, n)	 harness_compare(memcmp(a, b, n), ==, 0)
#define assert_memory_not_equal(a, b, n) harness_compare(memcmp(a, b, n), !=, 0)
#define assert_in_range(v, first, last) \
	do { \
		harness_compare(v, >=, first); \
		harness_compare(v, <=, last); \
	} while (0)
#define fail()		 harness_fail(__FILE__, __LINE__, "see above", 0, 0)
#define print_error(...) fprintf(stderr, "# " __VA_ARGS__)

struct CMUnitTest {
	const char *name;
	void (*test)(void **state);
	void *state;
};

#define cmocka_unit_test(fn) \
	{ \
#fn, fn, NULL \
	}
#define cmocka_unit_test_prestate(fn, st) \
	{ \
#fn, fn, st \
	}

static inline int harness_run(const struct CMUnitTest *tests, size_t nr)
{
	size_t i;

	printf("1..%zu\n", nr);
	for (i = 0; i < nr; i++) {
		void *state = tests[i].state;

		harness_test = tests[i].name;
		tests[i].test(&state);
		printf("ok - %s\n", tests[i].name);
	}
	return 0;
}

#define cmocka_run_group_tests(tests, setup, teardown) \
	harness_run(tests, sizeof(tests) / sizeof((tests)[0]))
#define cmocka_run_group_tests_name(name, tests, setup, teardown) \
	cmocka_run_group_tests(tests, setup, teardown)

#endif /* HARNESS_H */
