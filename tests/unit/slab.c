// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * core/slab.c against the plainest model there is: an array that says of each
 * byte of the window which object has it.  The pages come from a host that
 * checks that they are given back once, with nothing of an object in them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "slab.h"

#define FIRST	  BLOCK_PAGES /* pages before it are not the host's */
#define NR_PFNS	  (FIRST + 3 * BLOCK_PAGES)
#define MAX_HELD  20000U
#define CPUS	  4
#define NO_CANARY 0
#define CANARY	  0x1122334455667788ULL

static struct slabs s;
static char *window;
static bool out[NR_PFNS]; /* pages that slabs have */
static unsigned long nr_out, next_pfn, page_limit;
static pthread_mutex_t host_lock = PTHREAD_MUTEX_INITIALIZER;

static struct held {
	char *p;
	size_t size;
	u8 fill;
} held[MAX_HELD];
static unsigned int nr_held;
static u32 owner[NR_PFNS * PAGE_SIZE]; /* 0: nobody; else its number in held + 1 */

static int host_get(void *host, unsigned long *pfn)
{
	int err = -ENOMEM;

	assert_ptr_equal(host, &window);
	pthread_mutex_lock(&host_lock);
	if (nr_out < page_limit) {
		while (out[next_pfn])
			next_pfn = next_pfn + 1 < NR_PFNS ? next_pfn + 1 : FIRST;
		out[next_pfn] = true;
		nr_out++;
		*pfn = next_pfn;
		err = 0;
	}
	pthread_mutex_unlock(&host_lock);
	return err;
}

static void host_put(void *host, unsigned long pfn)
{
	assert_ptr_equal(host, &window);
	pthread_mutex_lock(&host_lock);
	if (!out[pfn])
		abort();
	out[pfn] = false;
	nr_out--;
	/* Without canaries all of the page is zero. */
	for (unsigned int i = 0; !s.secret && i < PAGE_SIZE; i++)
		if (window[pfn * PAGE_SIZE + i])
			abort();
	memset(window + pfn * PAGE_SIZE, 0, PAGE_SIZE);
	pthread_mutex_unlock(&host_lock);
}

static const struct slab_ops ops = { .get = host_get, .put = host_put };

static void start(u64 secret)
{
	um_nr_cpus = CPUS;
	um_cpu = 0;
	window = aligned_alloc(PAGE_SIZE, NR_PFNS * PAGE_SIZE);
	assert_non_null(window);
	memset(window, 0, NR_PFNS * PAGE_SIZE);
	memset(out, 0, sizeof(out));
	memset(owner, 0, sizeof(owner));
	next_pfn = FIRST;
	nr_out = nr_held = 0;
	page_limit = NR_PFNS - FIRST;
	assert_int_equal(slabs_init(&s, &ops, &window, window, NR_PFNS, secret), 0);
}

static void sound(void)
{
	const char *wrong = slabs_validate(&s);

	if (wrong)
		print_error("%s\n", wrong);
	assert_null(wrong);
}

static void drain_all(void)
{
	int cpu = um_cpu;

	for (um_cpu = 0; um_cpu < CPUS; um_cpu++)
		slabs_drain_cpu(&s);
	um_cpu = cpu;
}

static bool take_one(size_t size)
{
	char *p = slabs_alloc(&s, size);
	size_t i, usable = slabs_usable(&s, p);

	if (!p)
		return false;
	assert_true(usable >= size);
	assert_true(p >= window + FIRST * PAGE_SIZE && p < window + NR_PFNS * PAGE_SIZE);
	assert_int_equal((uintptr_t)p % SLAB_ALIGN, 0);
	assert_true(out[(unsigned long)(p - window) / PAGE_SIZE]);
	assert_int_equal((unsigned long)(p - window) / PAGE_SIZE,
			 (unsigned long)(p + usable - 1 - window) / PAGE_SIZE);
	for (i = 0; i < usable; i++) {
		assert_int_equal(p[i], 0);
		assert_int_equal(owner[p - window + (long)i], 0);
		owner[p - window + (long)i] = nr_held + 1;
	}
	held[nr_held] = (struct held){ p, usable, (u8)(nr_held * 7 + 1) };
	memset(p, held[nr_held].fill, usable);
	nr_held++;
	return true;
}

static void free_one(unsigned int k)
{
	struct held h = held[k];
	size_t i;

	for (i = 0; i < h.size; i++) {
		assert_int_equal((u8)h.p[i], h.fill);
		owner[h.p - window + (long)i] = 0;
	}
	assert_int_equal(slabs_free(&s, h.p), 0);
	for (i = 0; i < h.size; i++)
		assert_int_equal(h.p[i], 0);
	assert_int_equal(slabs_usable(&s, h.p), 0);
	held[k] = held[--nr_held];
}

static void finish(void)
{
	struct slab_report r;

	while (nr_held)
		free_one(nr_held - 1);
	sound();
	drain_all();
	sound();
	assert_true(nr_out <= SLAB_CLASSES);
	slabs_shrink(&s);
	sound();
	slabs_report(&s, &r);
	assert_int_equal(r.pages, 0);
	assert_int_equal(r.objects, 0);
	assert_int_equal(nr_out, 0);
	slabs_destroy(&s);
	free(window);
}

static u64 rng(u64 *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* --- what it serves -------------------------------------------------------- */

static void every_size(void **state)
{
	size_t size, last = 0;
	u64 secret = *(u64 *)*state;

	start(secret);
	assert_int_equal(slabs_max(&s), secret ? 2040 : 2048);
	for (size = 0; size <= slabs_max(&s); size++) {
		assert_true(take_one(size));
		assert_true(held[nr_held - 1].size >= last);
		last = held[nr_held - 1].size;
		/* Never much more than what was asked for. */
		assert_true(last + (secret ? 8 : 0) <=
			    max((size + 8) * 3 / 2 + SLAB_ALIGN, 32UL));
	}
	sound();
	finish();
}

static void powers_of_two_are_aligned(void **state)
{
	size_t size;
	int i;

	(void)state;
	start(NO_CANARY);
	for (size = 16; size <= 2048; size *= 2) {
		for (i = 0; i < 300; i++) {
			assert_true(take_one(size));
			assert_int_equal((uintptr_t)held[nr_held - 1].p % size, 0);
		}
	}
	finish();
}

static void random_trace(void **state)
{
	u64 secret = *(u64 *)*state, seed = 42 + secret, r;
	unsigned int step, i;
	struct slab_report report;
	size_t bytes;

	start(secret);
	for (step = 0; step < 60000; step++) {
		r = rng(&seed);
		um_cpu = (int)(r >> 60 & 1);
		/* More is allocated for a while, then more is freed. */
		if ((r & 7) < (step / 6000 % 2 ? 3U : 5U)) {
			/* Half of them small, and half of any size. */
			take_one((r >> 8) % (r & 8 ? 100 : slabs_max(&s) + 1));
		} else if (nr_held) {
			free_one((unsigned int)(r >> 20) % nr_held);
		}
		if (nr_held == MAX_HELD)
			free_one(0);
		if (!(r >> 40 & 0xfff))
			slabs_drain_cpu(&s);
		if (!(r >> 28 & 0x7ff))
			sound();
	}
	slabs_report(&s, &report);
	for (i = 0, bytes = 0; i < nr_held; i++)
		bytes += held[i].size;
	assert_int_equal(report.objects, nr_held);
	assert_int_equal(report.bytes, bytes);
	assert_int_equal(report.pages, nr_out);
	finish();
}

static void the_page_holds_objects_only(void **state)
{
	struct slab_report r;
	unsigned int i;

	(void)state;
	start(NO_CANARY);
	for (i = 0; i < 2 * SLAB_SLOTS; i++)
		assert_true(take_one(16));
	assert_int_equal(nr_out, 2);
	slabs_report(&s, &r);
	assert_int_equal(r.bytes, 2 * PAGE_SIZE);
	finish();
}

static unsigned long page_of(const char *p)
{
	return (unsigned long)(p - window) / PAGE_SIZE;
}

static void the_fullest_slab_serves_first(void **state)
{
	unsigned int i, kept[8] = { 0 }, per_page = PAGE_SIZE / 64;
	unsigned long page;

	(void)state;
	start(NO_CANARY);
	for (i = 0; i < 8 * per_page; i++)
		assert_true(take_one(64));
	assert_int_equal(nr_out, 8);
	/* Of the first page all but one stay, of all others one. */
	for (i = nr_held; i--;) {
		page = page_of(held[i].p) - FIRST;
		if (kept[page]++ >= (page ? 1 : per_page - 1))
			free_one(i);
	}
	drain_all();
	assert_int_equal(nr_out, 8);
	assert_true(take_one(64));
	assert_int_equal(page_of(held[nr_held - 1].p), FIRST);
	finish();
}

static void pages_come_back_but_for_one(void **state)
{
	unsigned int i;

	(void)state;
	start(CANARY);
	for (i = 0; i < 5000; i++)
		assert_true(take_one(32));
	assert_true(nr_out > 50);
	while (nr_held)
		free_one(nr_held - 1);
	drain_all();
	assert_int_equal(nr_out, 1);
	slabs_shrink(&s);
	assert_int_equal(nr_out, 0);
	finish();
}

/* --- what goes wrong ------------------------------------------------------- */

static void freed_twice(void **state)
{
	char *p, *q;

	(void)state;
	start(CANARY);
	assert_true(take_one(32));
	p = slabs_alloc(&s, 32);
	q = slabs_alloc(&s, 32);
	assert_int_equal(slabs_free(&s, p), 0);
	/* It is in a magazine of this CPU. */
	assert_int_equal(slabs_free(&s, p), -EEXIST);
	/* In one of another. */
	um_cpu = 1;
	assert_int_equal(slabs_free(&s, p), -EEXIST);
	um_cpu = 0;
	/* In its slab. */
	slabs_drain_cpu(&s);
	assert_int_equal(slabs_free(&s, p), -EEXIST);
	sound();
	/* Its page is no slab any more. */
	assert_int_equal(slabs_free(&s, q), 0);
	free_one(0);
	slabs_drain_cpu(&s);
	slabs_shrink(&s);
	assert_int_equal(slabs_free(&s, p), -ENOENT);
	finish();
}

static void never_allocated(void **state)
{
	unsigned int i, size;
	char *p, *page;
	int want;

	(void)state;
	start(NO_CANARY);
	for (size = 16; size <= 2048; size += 16) {
		p = slabs_alloc(&s, size);
		page = window + (p - window) / (long)PAGE_SIZE * (long)PAGE_SIZE;
		size = (unsigned int)slabs_usable(&s, p);
		for (i = 0; i < PAGE_SIZE; i++) {
			if (page + i == p)
				continue;
			want = i % size || i / size >= PAGE_SIZE / size ? -EINVAL
									: -EEXIST;
			assert_int_equal(slabs_free(&s, page + i), want);
			assert_int_equal(slabs_usable(&s, page + i), 0);
		}
		assert_int_equal(slabs_free(&s, p), 0);
	}
	assert_int_equal(slabs_free(&s, NULL), -ENOENT);
	assert_int_equal(slabs_free(&s, window), -ENOENT);
	assert_int_equal(slabs_free(&s, window + NR_PFNS * PAGE_SIZE), -ENOENT);
	assert_int_equal(slabs_free(&s, window - 1), -ENOENT);
	finish();
}

static void written_past_the_end(void **state)
{
	size_t size, usable;
	char *p;
	int bit;

	(void)state;
	start(CANARY);
	for (size = 1; size <= slabs_max(&s); size += 97) {
		p = slabs_alloc(&s, size);
		usable = slabs_usable(&s, p);
		for (bit = 0; bit < 64; bit++) {
			p[usable + (size_t)bit / 8] ^= (char)(1 << bit % 8);
			assert_int_equal(slabs_free(&s, p), -EOVERFLOW);
			p[usable + (size_t)bit / 8] ^= (char)(1 << bit % 8);
		}
		assert_int_equal(slabs_free(&s, p), 0);
	}
	finish();
}

static void canaries_differ(void **state)
{
	char *p, *q;

	(void)state;
	start(CANARY);
	p = slabs_alloc(&s, 24);
	q = slabs_alloc(&s, 24);
	assert_memory_not_equal(p + 24, q + 24, 8);
	assert_int_equal(slabs_free(&s, p), 0);
	assert_int_equal(slabs_free(&s, q), 0);
	finish();
}

static void no_page_to_be_had(void **state)
{
	(void)state;
	start(CANARY);
	page_limit = 3;
	while (take_one(1000))
		;
	assert_int_equal(nr_out, 3);
	assert_null(slabs_alloc(&s, 16));
	sound();
	free_one(0);
	assert_true(take_one(1000));
	finish();
}

static void no_memory_for_descriptors(void **state)
{
	(void)state;
	start(CANARY);
	um_fail_nth = 0;
	assert_null(slabs_alloc(&s, 16));
	um_fail_nth = -1;
	assert_int_equal(nr_out, 0);
	assert_true(take_one(16));
	finish();
}

static void init_fails(void **state)
{
	int nth, err = -ENOMEM;

	(void)state;
	um_nr_cpus = CPUS;
	assert_int_equal(slabs_init(&s, &ops, NULL, NULL, SLAB_MAX_PFN + 1, 0), -E2BIG);
	for (nth = 0; err; nth++) {
		assert_true(nth < 100);
		um_fail_nth = nth;
		err = slabs_init(&s, &ops, NULL, NULL, NR_PFNS, 0);
		assert_true(!err || err == -ENOMEM);
	}
	um_fail_nth = -1;
	assert_int_equal(nth, SLAB_CLASSES + 2);
	slabs_destroy(&s);
}

static unsigned int warnings;

static void count_warning(const char *file, int line, const char *what)
{
	(void)file;
	(void)line;
	(void)what;
	warnings++;
}

/* Two CPUs free the same object in the same instant: both saw it in use. */
static void freed_on_two_cpus_at_once(void **state)
{
	void (*old)(const char *, int, const char *) = um_warn;
	struct slab *slab;
	char *p, *q;

	(void)state;
	start(NO_CANARY);
	p = slabs_alloc(&s, 32);
	slab = slab_of(&s, (unsigned long)(p - window) / PAGE_SIZE);
	assert_int_equal(slabs_free(&s, p), 0);
	slab->used[slab_index(&s.classes[1], (unsigned int)(p - window) % PAGE_SIZE)] = 1;
	um_cpu = 1;
	assert_int_equal(slabs_free(&s, p), 0);
	um_warn = count_warning;
	drain_all();
	um_warn = old;
	assert_int_equal(warnings, 1);
	/* Nothing comes from this page any more. */
	q = slabs_alloc(&s, 32);
	assert_int_not_equal((q - window) / (long)PAGE_SIZE,
			     (p - window) / (long)PAGE_SIZE);
	assert_int_equal(slabs_free(&s, q), 0);
	drain_all();
	slabs_shrink(&s);
	sound();
	assert_int_equal(nr_out, 1);
	slabs_destroy(&s);
	free(window);
}

static void magazines_of_a_dead_cpu(void **state)
{
	(void)state;
	start(NO_CANARY);
	um_cpu = 3;
	assert_true(take_one(48));
	free_one(0);
	um_cpu = 0;
	assert_int_equal(nr_out, 1);
	slabs_drain_dead_cpu(&s, 3);
	sound();
	slabs_shrink(&s);
	assert_int_equal(nr_out, 0);
	finish();
}

/* --- threads ---------------------------------------------------------------- */

#define STEPS 40000
#define SLOTS 64

static struct held mail[SLOTS];

static void *work(void *arg)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	struct held mine[200], h;
	unsigned int n = 0, i, k;
	u64 seed, r;
	size_t j;

	um_cpu = (int)(intptr_t)arg;
	seed = 77 + (u64)um_cpu;
	for (i = 0; i < STEPS || n; i++) {
		r = rng(&seed);
		if (i < STEPS && n < 200 && r & 1) {
			h.size = (r >> 8) % (r & 2 ? 40 : 2000);
			h.p = slabs_alloc(&s, h.size);
			if (!h.p)
				continue;
			h.fill = (u8)(r >> 32);
			for (j = 0; j < h.size; j++)
				if (h.p[j])
					abort();
			memset(h.p, h.fill, h.size);
			mine[n++] = h;
		} else if (n) {
			k = (unsigned int)(r >> 8) % n;
			h = mine[k];
			mine[k] = mine[--n];
			if (r & 4 && i < STEPS) { /* others free it */
				k = (unsigned int)(r >> 32) % SLOTS;
				pthread_mutex_lock(&lock);
				struct held other = mail[k];

				mail[k] = h;
				pthread_mutex_unlock(&lock);
				h = other;
			}
			if (!h.p)
				continue;
			for (j = 0; j < h.size; j++)
				if ((u8)h.p[j] != h.fill)
					abort();
			if (slabs_free(&s, h.p))
				abort();
		}
		if (!(r >> 40 & 0xfff))
			slabs_drain_cpu(&s);
		if (!(r >> 28 & 0xfff))
			slabs_shrink(&s);
	}
	return NULL;
}

static void many_threads(void **state)
{
	pthread_t threads[CPUS];
	intptr_t i;

	start(*(u64 *)*state);
	page_limit = 400;
	memset(mail, 0, sizeof(mail));
	for (i = 0; i < CPUS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, work, (void *)i), 0);
	for (i = 0; i < CPUS; i++)
		pthread_join(threads[i], NULL);
	sound();
	for (i = 0; i < SLOTS; i++)
		if (mail[i].p)
			assert_int_equal(slabs_free(&s, mail[i].p), 0);
	finish();
}

int main(void)
{
	static u64 without = NO_CANARY, with = CANARY;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate(every_size, &without),
		cmocka_unit_test_prestate(every_size, &with),
		cmocka_unit_test(powers_of_two_are_aligned),
		cmocka_unit_test_prestate(random_trace, &without),
		cmocka_unit_test_prestate(random_trace, &with),
		cmocka_unit_test(the_page_holds_objects_only),
		cmocka_unit_test(the_fullest_slab_serves_first),
		cmocka_unit_test(pages_come_back_but_for_one),
		cmocka_unit_test(freed_twice),
		cmocka_unit_test(never_allocated),
		cmocka_unit_test(written_past_the_end),
		cmocka_unit_test(canaries_differ),
		cmocka_unit_test(no_page_to_be_had),
		cmocka_unit_test(no_memory_for_descriptors),
		cmocka_unit_test(init_fails),
		cmocka_unit_test(freed_on_two_cpus_at_once),
		cmocka_unit_test(magazines_of_a_dead_cpu),
		cmocka_unit_test_prestate(many_threads, &without),
		cmocka_unit_test_prestate(many_threads, &with),
	};

	return cmocka_run_group_tests_name("slab", tests, NULL, NULL);
}
