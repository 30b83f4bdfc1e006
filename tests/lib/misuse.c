// SPDX-License-Identifier: MIT
/* Guarded objects, and what ends a program: each in a child. */
#include <sys/mman.h>

#include "testlib.h"

#define KILLED(sig) (128 + (sig))
#ifdef SANITIZED
#define HOW_OFTEN 200
#else
#define HOW_OFTEN 2000
#endif

/* The compilers know what these return, and refuse to compile what we are at. */
static void *(*volatile alloc)(size_t) = unmapped_malloc;
static void *(*volatile alloc_guarded)(size_t) = unmapped_guarded_malloc;

static unsigned char poke(volatile unsigned char *p)
{
	return *p;
}

/* --- guarded ---------------------------------------------------------------- */

static void guarded_of_any_size(void **state)
{
	static const size_t sizes[] = { 0,    1,    15,	  16,	32,    100, 4079,
					4080, 4081, 4096, 8192, 10000, MIB };
	unsigned char *p;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		p = unmapped_guarded_malloc(sizes[i]);
		assert_non_null(p);
		assert_int_equal(((uintptr_t)p + sizes[i]) % PAGE, 0);
		assert_int_equal(unmapped_usable_size(p), sizes[i]);
		assert_true(is_zero(p, sizes[i]));
		memset(p, 0xaa, sizes[i]);
		assert_int_equal(stats().nr_guarded, 1);
		unmapped_free(p);
	}
	assert_int_equal(stats().nr_objects, 0);
}

/* What a child does to a guarded object, and how it ends. */
static const struct guarded_case {
	const char *what;
	int want;
	const char *said;
} cases[] = {
	{ "read past the end", KILLED(SIGSEGV), NULL },
	{ "write past the end", KILLED(SIGSEGV), NULL },
	{ "read a page before", KILLED(SIGSEGV), NULL },
	{ "read with no access", KILLED(SIGSEGV), NULL },
	{ "write with read access", KILLED(SIGSEGV), NULL },
	{ "read with read access", 0, NULL },
	{ "write with write access again", 0, NULL },
	{ "write just before", KILLED(SIGABRT), "written before the start" },
	{ "free with no access", 0, NULL },
	{ "free with read access", 0, NULL },
	{ "free its middle", KILLED(SIGABRT), "not the start of an object" },
	{ "free it twice", KILLED(SIGABRT), "not an object" },
	{ "free and touch its guard", 0, NULL },
};

static int one_case(void *arg)
{
	const struct guarded_case *c = arg;
	unsigned char *p = alloc_guarded(100);

	if (!p)
		return 99;
	p[99] = 1;
	switch (c - cases) {
	case 0:
		return poke(p + 100);
	case 1:
		p[100] = 1;
		break;
	case 2:
		return poke(p - PAGE);
	case 3:
		unmapped_protect(p, UNMAPPED_NOACCESS);
		return poke(p);
	case 4:
		unmapped_protect(p, UNMAPPED_READONLY);
		p[0] = 1;
		break;
	case 5:
		unmapped_protect(p, UNMAPPED_READONLY);
		return poke(p);
	case 6:
		unmapped_protect(p, UNMAPPED_NOACCESS);
		unmapped_protect(p, UNMAPPED_READWRITE);
		p[0] = 1;
		return p[99] == 1 ? 0 : 98;
	case 7:
		p[-1] ^= 1;
		unmapped_free(p);
		break;
	case 8:
		unmapped_protect(p, UNMAPPED_NOACCESS);
		unmapped_free(p);
		break;
	case 9:
		unmapped_protect(p, UNMAPPED_READONLY);
		unmapped_free(p);
		break;
	case 10:
		unmapped_free(p + 16);
		break;
	case 11:
		unmapped_free(p);
		unmapped_free(p);
		break;
	default:
		unmapped_free(p);
		p[100] = 0;
	}
	return 0;
}

static void guards_and_protection(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		print_message("# %s\n", cases[i].what);
		assert_child(one_case, (void *)(uintptr_t)&cases[i], cases[i].want,
			     cases[i].said);
	}
}

static void protect_refuses(void **state)
{
	char *p = unmapped_guarded_malloc(32), *q = unmapped_malloc(32);
	char *large = unmapped_malloc(10000);
	static const int bad[] = { -1, 2, 4, 5, 100 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		errno = 0;
		assert_int_equal(unmapped_protect(p, bad[i]), -1);
		assert_int_equal(errno, EINVAL);
	}
	char * not [] = { q, large, p + 1, p + 32, (char *)&i, NULL };

	for (i = 0; i < sizeof(not ) / sizeof(not [0]); i++) {
		errno = 0;
		assert_int_equal(unmapped_protect(not [i], UNMAPPED_READONLY), -1);
		assert_int_equal(errno, EINVAL);
		assert_non_null(strstr(unmapped_strerror(), "not a guarded object"));
	}
	*p = 1;
	unmapped_free(p);
	unmapped_free(q);
	unmapped_free(large);
}

static void guarded_again_and_again(void **state)
{
	static char *p[100];
	unsigned int i, k;

	(void)state;
	for (i = 0; i < HOW_OFTEN / smaller; i++) {
		k = i % 100;
		unmapped_free(p[k]);
		p[k] = unmapped_guarded_malloc(i * 7 % 9000);
		assert_non_null(p[k]);
		assert_true(is_zero(p[k], i * 7 % 9000));
		memset(p[k], 1, i * 7 % 9000);
		if (i % 3)
			assert_int_equal(unmapped_protect(p[k], UNMAPPED_NOACCESS), 0);
	}
	for (k = 0; k < 100; k++)
		unmapped_free(p[k]);
	assert_int_equal(stats().nr_objects, 0);
	unmapped_trim();
	assert_int_equal(stats().mapped, 0);
}

#ifndef SANITIZED
/* As many as the process may have mappings for, and a clear word then. */
static int until_no_mappings(void *arg)
{
	char *p, **last = NULL;
	unsigned int n = 0;

	(void)arg;
	while ((p = unmapped_guarded_malloc(sizeof(char *))) != NULL) {
		memcpy(p, &last, sizeof(last));
		last = (char **)p;
		if (++n == 40000)
			break;
	}
	fprintf(stderr, "%u, %s", n, unmapped_strerror());
	if (n < 20000 || (n < 40000 && errno != ENOMEM))
		return 1;
	/* Of what there is nothing is harmed, and room is made by a free. */
	for (; last; n--) {
		memcpy(&p, last, sizeof(p));
		unmapped_free(last);
		last = (char **)p;
	}
	p = unmapped_guarded_malloc(32);
	return !p || n;
}

static void twenty_thousand_guarded(void **state)
{
	(void)state;
	assert_child(until_no_mappings, NULL, 0, "");
}
#endif

/* --- misuse ------------------------------------------------------------------ */

static const struct misuse_case {
	const char *what;
	const char *said;
} misuses[] = {
	{ "freed twice", "freed twice" },
	{ "freed twice, on another thread's behalf", "freed twice" },
	{ "large, freed twice", "not an object" },
	{ "its middle freed", "not an object" },
	{ "large, its middle freed", "not an object" },
	{ "from malloc", "not an object" },
	{ "from the stack", "not an object" },
	{ "written past the end", "canary is gone" },
	{ "an inaccessible part of the window", "not an object" },
	{ "freed before anything was allocated", "not an object" },
};

static int misuse(void *arg)
{
	const struct misuse_case *c = arg;
	char *p = c - misuses == 9 ? NULL : alloc(40), *q;
	char stack[64];

	switch (c - misuses) {
	case 0:
		unmapped_free(p);
		unmapped_free(p);
		break;
	case 1:
		q = alloc(40);
		unmapped_free(p);
		unmapped_free(q);
		q = alloc(1000);
		unmapped_free(p);
		break;
	case 2:
		q = alloc(10000);
		unmapped_free(q);
		unmapped_free(q);
		break;
	case 3:
		unmapped_free(p + 16);
		break;
	case 4:
		unmapped_free((char *)alloc(10000) + 4096);
		break;
	case 5:
		q = malloc(40);
		unmapped_free(q);
		break;
	case 6:
		unmapped_free(stack);
		break;
	case 7:
		p[unmapped_usable_size(p)] ^= 1;
		unmapped_free(p);
		break;
	case 8:
		unmapped_free(p + (1UL << 33));
		break;
	default:
		unmapped_free(stack);
	}
	return 0;
}

static void misuse_ends_the_program(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(misuses) / sizeof(misuses[0]); i++) {
		print_message("# %s\n", misuses[i].what);
		assert_child(misuse, (void *)(uintptr_t)&misuses[i], KILLED(SIGABRT),
			     misuses[i].said);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(guarded_of_any_size),
		cmocka_unit_test(guards_and_protection),
		cmocka_unit_test(protect_refuses),
		cmocka_unit_test(guarded_again_and_again),
#ifndef SANITIZED
		cmocka_unit_test(twenty_thousand_guarded),
#endif
		cmocka_unit_test(misuse_ends_the_program),
	};
	const struct CMUnitTest small[] = {
		cmocka_unit_test(guarded_of_any_size),
		cmocka_unit_test(protect_refuses),
		cmocka_unit_test(guarded_again_and_again),
	};

	return run_or_small("misuse", tests, small);
}
