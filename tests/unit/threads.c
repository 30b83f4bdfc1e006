// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The whole allocator under threads, for a race detector: each thread is a CPU,
 * and allocates, frees, frees what others allocated, shrinks and drains.  The
 * machine sees pages handed out twice, present or dirty; at the end, everything
 * has to fit together and to come back.
 */
#include "unit.h"

#define THREADS 4
#define STEPS	6000
#define SLOTS	256

/* Pages on their way from one thread to another. */
static struct held mail[SLOTS];
static bool full[SLOTS];
static pthread_mutex_t mail_lock = PTHREAD_MUTEX_INITIALIZER;
static bool use_shrink, use_dirty;

static u64 rng(u64 *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

/* What this client got last goes into a slot; what was there is its own now. */
static void swap_mail(struct client *c, unsigned int slot)
{
	struct held mine = c->held[c->nr_held - 1], theirs;
	bool some;

	pthread_mutex_lock(&mail_lock);
	theirs = mail[slot];
	some = full[slot];
	mail[slot] = mine;
	full[slot] = true;
	pthread_mutex_unlock(&mail_lock);
	c->nr_held--;
	if (some) {
		c->held[c->nr_held++] = theirs;
		client_free(c, c->nr_held - 1, BLOCK_ORDER);
	}
}

static void *work(void *arg)
{
	struct client c;
	unsigned int i, order, flags;
	u64 seed, r;

	um_cpu = (int)(intptr_t)arg;
	seed = 1000 + (u64)um_cpu;
	client_init(&c, &m, (u32)um_cpu + 1);
	for (i = 0; i < STEPS; i++) {
		machine_safe_point(&m);
		r = rng(&seed);
		order = r >> 8 & 3 ? 0 : (unsigned int)(r >> 16) % 10;
		flags = use_dirty && (r >> 32 & 3) == 0 ? 0 : UM_ZERO;
		if (r >> 34 & 1)
			flags |= UM_NOWAIT;
		switch (r & 15) {
		case 0:
		case 1:
		case 2:
		case 3:
		case 4:
		case 5:
			client_alloc(&c, um_cpu % 2, order, flags);
			break;
		case 6:
			client_alloc_bulk(&c, um_cpu % 2, flags, (r >> 40) % 200);
			break;
		case 7:
		case 8:
			if (c.nr_held)
				swap_mail(&c, (unsigned int)(r >> 20) % SLOTS);
			break;
		case 9:
			if (use_shrink && !(r >> 20 & 3))
				allocator_shrink(&m.allocator, r >> 24 & 1 ? -1 : 0,
						 (r >> 32) % 5000,
						 r >> 25 & 1 ? UM_TRY : 0);
			break;
		case 10:
			/* Memory that goes away, and that comes. */
			if (use_shrink && !(r >> 20 & 7))
				allocator_release_range(&m.allocator,
							(r >> 24) % 100 * BLOCK_PAGES,
							(r >> 32) % 140 * BLOCK_PAGES);
			if (!(r >> 23 & 255))
				allocator_grow(&m.allocator, (r >> 32 & 63)
								     << REGION_ORDER);
			allocator_shrinkable(&m.allocator, -1);
			break;
		default:
			if (c.nr_held)
				client_free(&c, (r >> 20) % c.nr_held,
					    r >> 60 ? BLOCK_ORDER : 0);
		}
		while (c.nr_held > 400)
			client_free(&c, (r >> 20) % c.nr_held, BLOCK_ORDER);
	}
	client_free_all(&c);
	client_destroy(&c);
	return NULL;
}

static void run_threads(bool shrink, bool dirty, unsigned long node_blocks)
{
	const struct machine_config config = {
		.nr_nodes = 2,
		.nr_cpus = THREADS,
		.node_pages = node_blocks * BLOCK_PAGES,
		.threaded = true,
	};
	pthread_t threads[THREADS];
	unsigned int k;
	intptr_t i;

	start(&config);
	use_shrink = shrink;
	use_dirty = dirty;
	for (i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, work, (void *)i), 0);
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(client_alloc(&one, 0, 0, UM_ZERO), 0);
	client_free_all(&one);
	for (k = 0; k < SLOTS; k++) {
		if (!full[k])
			continue;
		one.held[one.nr_held++] = mail[k];
		client_free(&one, 0, BLOCK_ORDER);
		full[k] = false;
	}
	assert_sound();
	assert_true(stat_of(0, STAT_REFILLS) > 0);
	finish();
}

static void allocate_and_free(void **state)
{
	(void)state;
	run_threads(false, false, 64);
}

static void with_shrink_and_refill(void **state)
{
	(void)state;
	run_threads(true, false, 64);
}

static void with_dirty_pages(void **state)
{
	(void)state;
	run_threads(true, true, 64);
}

static void with_little_memory(void **state)
{
	(void)state;
	run_threads(true, true, 3);
}

static bool looked_enough;

/* As the page allocator asks, without a lock, whose a page is: how often all of a block. */
static void *look(void *arg)
{
	uintptr_t wholly = 0, in_part = 0;
	const struct block *b;
	unsigned int i, flags;

	(void)arg;
	um_cpu = 1;
	while (!__atomic_load_n(&looked_enough, __ATOMIC_RELAXED)) {
		for (i = 0; i < 4; i++) {
			b = table_lookup(&m.allocator.table, i * BLOCK_PAGES);
			flags = b ? smp_load_acquire(&b->flags) : 0;
			wholly += flags & BLOCK_LIVE && !(flags & BLOCK_FALLBACK);
			in_part += flags & BLOCK_LIVE && flags & BLOCK_FALLBACK;
		}
	}
	return (void *)(wholly ? wholly : in_part ? 0 : ~0UL);
}

/* Each block has pages of others, so at no time all of one is ours. */
static void others_pages_are_not_ours(void **state)
{
	const struct machine_config config = {
		.nr_nodes = 1,
		.nr_cpus = 2,
		.node_pages = 4 * BLOCK_PAGES,
		.threaded = true,
	};
	pthread_t thread;
	void *wholly;
	int i;

	(void)state;
	start(&config);
	others_fill(&m, 0, BLOCK_PAGES / 2);
	looked_enough = false;
	assert_int_equal(pthread_create(&thread, NULL, look, NULL), 0);
	for (i = 0; i < 3000; i++) {
		assert_int_equal(client_alloc(&one, 0, 0, UM_ZERO), 0);
		client_free_all(&one);
		allocator_shrink(&m.allocator, -1, ~0UL, 0);
	}
	__atomic_store_n(&looked_enough, true, __ATOMIC_RELAXED);
	pthread_join(thread, &wholly);
	assert_ptr_equal(wholly, NULL);
	assert_true(stat_of(0, STAT_PIECES_TAKEN) >= 3000);
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(allocate_and_free),
		cmocka_unit_test(with_shrink_and_refill),
		cmocka_unit_test(with_dirty_pages),
		cmocka_unit_test(with_little_memory),
		cmocka_unit_test(others_pages_are_not_ours),
	};

	return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
