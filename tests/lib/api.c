// SPDX-License-Identifier: MIT
/* What each function returns, and what is true of the memory. */
#include "testlib.h"

#define HELD 3000

static const size_t sizes[] = { 0,    1,	   15,	    16,		 17,
				32,   100,	   1000,    2040,	 2041,
				2048, 4096,	   4097,    40000,	 65536,
				MIB,  2 * MIB - 1, 2 * MIB, 2 * MIB + 1, 5 * MIB };
#define NR_SIZES (sizeof(sizes) / sizeof(sizes[0]))

static void every_kind_of_size(void **state)
{
	unsigned char *p[NR_SIZES];
	size_t i, k;

	(void)state;
	for (i = 0; i < NR_SIZES; i++) {
		p[i] = unmapped_malloc(sizes[i]);
		assert_non_null(p[i]);
		assert_int_equal((uintptr_t)p[i] % 16, 0);
		assert_true(unmapped_usable_size(p[i]) >= sizes[i]);
		assert_true(is_zero(p[i], unmapped_usable_size(p[i])));
		memset(p[i], (int)i + 1, unmapped_usable_size(p[i]));
	}
	assert_int_equal(stats().nr_objects, NR_SIZES);
	for (i = 0; i < NR_SIZES; i++) {
		for (k = 0; k < unmapped_usable_size(p[i]); k++)
			assert_int_equal(p[i][k], i + 1);
		unmapped_free(p[i]);
	}
	assert_int_equal(stats().nr_objects, 0);
	assert_int_equal(stats().used, 0);
	unmapped_free(NULL);
	assert_int_equal(unmapped_usable_size(NULL), 0);
}

/* The memory is still ours, so that we can look whether anything is left. */
static void zeroed_when_freed(void **state)
{
	static const size_t some[] = { 1, 32, 1000, 2040, 4096, 70000 };
	unsigned char *p, *keep;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(some) / sizeof(some[0]); i++) {
		keep = unmapped_malloc(some[i]);
		p = unmapped_malloc(some[i]);
		assert_non_null(p);
		memset(p, 0xee, some[i]);
		unmapped_free(p);
		assert_true(is_zero(p, some[i]));
		unmapped_free(keep);
	}
}

static void calloc_multiplies(void **state)
{
	volatile size_t half = SIZE_MAX / 2;
	char *p = unmapped_calloc(10, 100);

	(void)state;
	assert_non_null(p);
	assert_true(unmapped_usable_size(p) >= 1000);
	assert_true(is_zero(p, 1000));
	unmapped_free(p);
	errno = 0;
	p = unmapped_calloc(half, 3);
	assert_null(p);
	assert_int_equal(errno, ENOMEM);
	assert_non_null(strstr(unmapped_strerror(), "times 3 bytes"));
}

static void aligned_as_asked(void **state)
{
	volatile size_t a; /* or the compilers know better */
	size_t i;
	void *p;

	(void)state;
	for (a = 1; a <= 8 * MIB; a *= 2) {
		for (i = 0; i < NR_SIZES; i++) {
			p = unmapped_aligned_alloc(a, sizes[i]);
			assert_non_null(p);
			assert_int_equal((uintptr_t)p % a, 0);
			assert_true(unmapped_usable_size(p) >= sizes[i]);
			assert_true(is_zero(p, unmapped_usable_size(p)));
			memset(p, 0x55, unmapped_usable_size(p));
			unmapped_free(p);
		}
	}
	for (a = 0; a <= 3 * MIB; a += 3 * MIB / 2) {
		errno = 0;
		p = unmapped_aligned_alloc(a, 1);
		assert_null(p);
		assert_int_equal(errno, EINVAL);
		assert_non_null(strstr(unmapped_strerror(), "not a power of two"));
	}
	assert_int_equal(stats().nr_objects, 0);
}

static void too_large(void **state)
{
	/* Not constants, which the compiler would warn of. */
	volatile size_t size[] = { UNMAPPED_MAX + 1, SIZE_MAX, SIZE_MAX - PAGE,
				   PTRDIFF_MAX };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(size) / sizeof(size[0]); i++) {
		errno = 0;
		assert_null(unmapped_malloc(size[i]));
		assert_int_equal(errno, ENOMEM);
		assert_non_null(strstr(unmapped_strerror(), "largest object"));
		errno = 0;
		assert_null(unmapped_guarded_malloc(size[i]));
		assert_int_equal(errno, ENOMEM);
		errno = 0;
		assert_null(unmapped_aligned_alloc(64, size[i]));
		assert_int_equal(errno, ENOMEM);
	}
}

static void strdup_copies(void **state)
{
	char *p = unmapped_strdup("correct horse"), *q = unmapped_strdup("");

	(void)state;
	assert_string_equal(p, "correct horse");
	assert_string_equal(q, "");
	unmapped_free(p);
	unmapped_free(q);
}

static void compared_and_cleared(void **state)
{
	unsigned char a[300], b[300];
	size_t i;

	(void)state;
	memset(a, 7, sizeof(a));
	memset(b, 7, sizeof(b));
	assert_int_equal(unmapped_memcmp(a, b, sizeof(a)), 0);
	for (i = 0; i < sizeof(a); i++) {
		b[i] ^= 0x80;
		assert_int_not_equal(unmapped_memcmp(a, b, sizeof(a)), 0);
		assert_int_equal(unmapped_memcmp(a, b, i), 0);
		b[i] ^= 0x80;
	}
	unmapped_memzero(a, 299);
	assert_true(is_zero(a, 299));
	assert_int_equal(a[299], 7);
}

static void random_trace(void **state)
{
	static struct {
		unsigned char *p;
		size_t size;
		unsigned char fill;
	} held[HELD];
	uint64_t seed = 4711, r;
	unsigned int step, n = 0, k;
	size_t i;

	(void)state;
	for (step = 0; step < 40000 / smaller; step++) {
		r = rng(&seed);
		if (n < HELD && (r & 7) < (step / 4000 % 2 ? 3U : 5U)) {
			i = (r >> 8) % (r & 0x30 ? 200 : r & 0xc0 ? 8000 : 100000);
			held[n].p = r & 0xf00 ? unmapped_malloc(i)
					      : unmapped_guarded_malloc(i);
			assert_non_null(held[n].p);
			held[n].size = unmapped_usable_size(held[n].p);
			held[n].fill = (unsigned char)(r >> 24);
			assert_true(held[n].size >= i);
			assert_true(is_zero(held[n].p, held[n].size));
			memset(held[n].p, held[n].fill, held[n].size);
			n++;
		} else if (n) {
			k = (unsigned int)(r >> 8) % n;
			for (i = 0; i < held[k].size; i++)
				if (held[k].p[i] != held[k].fill)
					fail();
			unmapped_free(held[k].p);
			held[k] = held[--n];
		}
	}
	assert_int_equal(stats().nr_objects, n);
	while (n)
		unmapped_free(held[--n].p);
	assert_int_equal(stats().nr_objects, 0);
	assert_int_equal(stats().pages - stats().used < 64 * PAGE, 1);
}

/* --- what it costs in memory ----------------------------------------------- */

static void ten_thousand_in_a_mebibyte(void **state)
{
	static void *p[10000];
	int i;

	(void)state;
	unmapped_trim();
	for (i = 0; i < 10000; i++) {
		p[i] = unmapped_malloc(32);
		assert_non_null(p[i]);
		memset(p[i], 1, 32);
	}
	assert_true(stats().pages <= MIB);
	if (!strcmp(unmapped_backend(NULL), "device"))
		assert_int_equal(stats().touched, 2 * MIB);
	else
		assert_true(stats().touched <= MIB);
	assert_int_equal(stats().mapped, 2 * MIB);
	for (i = 0; i < 10000; i++)
		unmapped_free(p[i]);
}

static void a_million_live(void **state)
{
	const unsigned int nr = 1000000;
	uint32_t **p = calloc(nr, sizeof(*p));
	unsigned int i;

	(void)state;
	assert_non_null(p);
	for (i = 0; i < nr; i++) {
		p[i] = unmapped_malloc(32);
		if (!p[i])
			print_error("%u: %s\n", i, unmapped_strerror());
		assert_non_null(p[i]);
		*p[i] = i;
	}
	assert_int_equal(stats().nr_objects, nr);
	for (i = 0; i < nr; i++) {
		if (*p[i] != i)
			fail();
		unmapped_free(p[i]);
	}
	assert_int_equal(stats().nr_objects, 0);
	free(p);
}

static void trim_gives_all_back(void **state)
{
	void *p = unmapped_malloc(3 * MIB);
	size_t mapped = stats().mapped;

	(void)state;
	assert_non_null(p);
	assert_true(mapped >= 4 * MIB);
	unmapped_free(p);
	assert_int_equal(unmapped_trim(), mapped);
	assert_int_equal(stats().mapped, 0);
	assert_int_equal(stats().touched, 0);
	assert_int_equal(stats().pages, 0);
	assert_int_equal(unmapped_trim(), 0);
	p = unmapped_malloc(1);
	assert_non_null(p);
	unmapped_free(p);
}

/* What is not used for a second or two goes, without being asked. */
static void decays(void **state)
{
	bool keep = !strcmp(unmapped_backend(NULL), "secretmem");
	void *p = unmapped_malloc(20 * MIB);
	int i, k;

	(void)state;
	assert_non_null(p);
	unmapped_free(p);
	for (i = 0; i < 35; i++) {
		usleep(100000);
		for (k = 0; k < 200; k++)
			unmapped_free(unmapped_malloc(4096));
	}
	if (keep)
		assert_true(stats().mapped >= 20 * MIB);
	else
		assert_true(stats().mapped <= 6 * MIB);
	unmapped_trim();
}

#ifndef SANITIZED /* they have pages of their own for each of ours */
/* A block of the device is mapped by one entry, at the first touch. */
static void few_faults(void **state)
{
	struct rusage before, after;
	char *p;

	(void)state;
	unmapped_trim();
	p = unmapped_malloc(MIB);
	assert_non_null(p);
	getrusage(RUSAGE_SELF, &before);
	memset(p, 1, MIB);
	getrusage(RUSAGE_SELF, &after);
	if (!strcmp(unmapped_backend(NULL), "device"))
		assert_true(after.ru_minflt - before.ru_minflt < 8);
	/* Others were touched, so as to fail in time, before p was returned. */
	assert_true(after.ru_minflt - before.ru_minflt < 64);
	unmapped_free(p);
}

#endif

static void stats_of_any_size(void **state)
{
	size_t some[20];
	size_t *p = unmapped_malloc(1);

	(void)state;
	memset(some, 0xff, sizeof(some));
	assert_int_equal(unmapped_stats((void *)some, sizeof(size_t)), 0);
	assert_int_equal(some[0], 1);
	assert_int_equal(some[1], SIZE_MAX);
	assert_int_equal(unmapped_stats((void *)some, sizeof(some)), 0);
	assert_int_equal(some[19], 0);
	assert_int_equal(unmapped_stats((void *)some, 0), -1);
	assert_int_equal(errno, EINVAL);
	unmapped_free(p);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_of_size),
		cmocka_unit_test(zeroed_when_freed),
		cmocka_unit_test(calloc_multiplies),
		cmocka_unit_test(aligned_as_asked),
		cmocka_unit_test(too_large),
		cmocka_unit_test(strdup_copies),
		cmocka_unit_test(compared_and_cleared),
		cmocka_unit_test(random_trace),
		cmocka_unit_test(ten_thousand_in_a_mebibyte),
		cmocka_unit_test(a_million_live),
		cmocka_unit_test(trim_gives_all_back),
		cmocka_unit_test(decays),
#ifndef SANITIZED
		cmocka_unit_test(few_faults),
#endif
		cmocka_unit_test(stats_of_any_size),
	};

	const struct CMUnitTest small[] = {
		cmocka_unit_test(calloc_multiplies),
		cmocka_unit_test(too_large),
		cmocka_unit_test(strdup_copies),
		cmocka_unit_test(compared_and_cleared),
		cmocka_unit_test(random_trace),
		cmocka_unit_test(ten_thousand_in_a_mebibyte),
		cmocka_unit_test(trim_gives_all_back),
		cmocka_unit_test(stats_of_any_size),
	};

	/* For the runner: is the backend that the environment names to be had? */
	if (argc > 1 && !strcmp(argv[1], "backend"))
		return !unmapped_backend(NULL);
	return run_or_small("api", tests, small);
}
