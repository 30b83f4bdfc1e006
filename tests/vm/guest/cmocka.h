/* SPDX-License-Identifier: MIT */
/*
 * The little of cmocka that tests/lib uses, for static programs in the guest: a
 * test ends at the first assertion that does not hold; TAP.
 */
#ifndef GUEST_CMOCKA_H
#define GUEST_CMOCKA_H

#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static jmp_buf cmocka_failed;

struct CMUnitTest {
	const char *name;
	void (*test)(void **state);
};

#define cmocka_unit_test(fn) \
	{ \
#fn, fn \
	}

static inline void cmocka_hold(int good, const char *text, const char *file, int line)
{
	if (good)
		return;
	printf("# %s:%d: %s\n", file, line, text);
	longjmp(cmocka_failed, 1);
}

#define cmocka_assert(cond, text) cmocka_hold(!!(cond), text, __FILE__, __LINE__)
#define assert_true(c)		  cmocka_assert(c, #c)
#define assert_false(c)		  cmocka_assert(!(c), "not " #c)
#define assert_null(p)		  cmocka_assert(!(p), #p " is NULL")
#define assert_non_null(p)	  cmocka_assert(p, #p " is not NULL")
#define assert_int_equal(a, b)	  cmocka_assert((intmax_t)(a) == (intmax_t)(b), #a " == " #b)
#define assert_int_not_equal(a, b) \
	cmocka_assert((intmax_t)(a) != (intmax_t)(b), #a " != " #b)
#define assert_string_equal(a, b)    cmocka_assert(!strcmp(a, b), #a " is " #b)
#define assert_memory_equal(a, b, n) cmocka_assert(!memcmp(a, b, n), #a " is " #b)
#define fail()			     cmocka_assert(0, "here")
#define print_message		     printf
#define print_error		     printf

static inline int cmocka_run(const struct CMUnitTest *tests, size_t nr)
{
	volatile size_t i, failures = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (i = 0; i < nr; i++) {
		if (!setjmp(cmocka_failed)) {
			tests[i].test(NULL);
			printf("ok - %s\n", tests[i].name);
		} else {
			printf("not ok - %s\n", tests[i].name);
			failures++;
		}
	}
	printf("1..%zu\n", nr);
	return failures != 0;
}

#define cmocka_run_group_tests_name(name, tests, setup, teardown) \
	cmocka_run(tests, sizeof(tests) / sizeof((tests)[0]))

#endif /* GUEST_CMOCKA_H */
