// SPDX-License-Identifier: MIT
/*
 * Each allocation of metadata failing once, for all of them: what is asked for meanwhile
 * is had or fails with ENOMEM and a reason, and everything works afterwards. Only in
 * builds with checks, where the core can be told to fail.
 */
#include "testlib.h"

extern long um_fail_nth;

enum { DONE, MORE, BROKEN };

/* NULL is right only with an errno and a reason. */
static bool right(const void *p)
{
	return p || (errno == ENOMEM && strstr(unmapped_strerror(), "metadata")) ||
	       (errno == ENOMEM && strstr(unmapped_strerror(), "memory"));
}

static bool use(void)
{
	static void *p[40];
	bool good = true;
	int i;

	for (i = 0; i < 40 && good; i++) {
		errno = 0;
		switch (i % 4) {
		case 0:
			p[i] = unmapped_malloc((size_t)i * 50);
			break;
		case 1:
			p[i] = unmapped_malloc((size_t)i * 100000);
			break;
		case 2:
			p[i] = unmapped_guarded_malloc((size_t)i * 300);
			break;
		default:
			p[i] = unmapped_aligned_alloc(4096, 5000);
		}
		good = right(p[i]);
		if (!good)
			fprintf(stderr, "%d: errno %d, %s\n", i, errno,
				unmapped_strerror());
		if (p[i])
			memset(p[i], 1, unmapped_usable_size(p[i]));
	}
	for (i = 0; i < 40; i++)
		unmapped_free(p[i]);
	return good;
}

static int one(void *nth)
{
	void *p;
	bool good;
	long left;

	um_fail_nth = *(long *)nth;
	good = use();
	left = um_fail_nth;
	um_fail_nth = -1;
	if (!good)
		return BROKEN;
	/* Nothing is lost, and all works now. */
	p = unmapped_guarded_malloc(100);
	if (!p || stats().nr_objects != 1)
		return BROKEN;
	unmapped_free(p);
	if (!use() || stats().nr_objects || stats().used)
		return BROKEN;
	unmapped_trim();
	return stats().mapped ? BROKEN : left >= 0 ? DONE : MORE;
}

static void each_allocation_fails_once(void **state)
{
	int status = MORE;
	char said[4096];
	long nth;

	(void)state;
	for (nth = 0; status == MORE; nth++) {
		assert_true(nth < 1000);
		status = in_child(one, &nth, said, sizeof(said));
		if (status != MORE && status != DONE)
			print_error("%ld: %d, said: %s\n", nth, status, said);
		assert_true(status == MORE || status == DONE);
	}
	/* Tables, magazines of all classes, descriptors. */
	assert_true(nth > 30);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_allocation_fails_once),
	};

	return cmocka_run_group_tests_name("inject", tests, NULL, NULL);
}
