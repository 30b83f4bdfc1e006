// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * core/block.c against the plainest model there is: an array that says of each
 * page whether it is free.  Then many threads on one block, where the model is
 * an array that says who has the page.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "block.h"

static bool is_free[BLOCK_PAGES];

static void block_init(struct block *b)
{
	memset(b, 0, sizeof(*b));
	b->list_id = BLOCK_UNLISTED;
	b->flags = BLOCK_LIVE;
	assert_int_equal(block_free(b, 0, BLOCK_ORDER), BLOCK_PAGES);
}

static bool model_run(unsigned int index, unsigned int order)
{
	unsigned int i;

	for (i = index; i < index + (1U << order); i++)
		if (!is_free[i])
			return false;
	return true;
}

static bool model_has(unsigned int order)
{
	unsigned int i;

	for (i = 0; i < BLOCK_PAGES; i += 1U << order)
		if (model_run(i, order))
			return true;
	return false;
}

static int model_largest(void)
{
	int order = BLOCK_ORDER;

	while (order >= 0 && !model_has((unsigned int)order))
		order--;
	return order;
}

static void model_set(unsigned int index, unsigned int nr, bool value)
{
	while (nr--) {
		assert_int_not_equal(is_free[index], value);
		is_free[index++] = value;
	}
}

static void same(struct block *b)
{
	unsigned int i, nr = 0;

	for (i = 0; i < BLOCK_PAGES; i++) {
		nr += is_free[i];
		assert_int_equal(
			(unsigned long)atomic_long_read(&b->words[i / 64]) >> i % 64 & 1,
			is_free[i]);
	}
	assert_int_equal(atomic_read(&b->nr_free), nr);
	assert_int_equal(block_largest(b), model_largest());
}

static void each_order_fills_the_block(void **state)
{
	unsigned int order, n;
	struct block b;
	int index;

	(void)state;
	for (order = 0; order <= BLOCK_ORDER; order++) {
		block_init(&b);
		memset(is_free, true, sizeof(is_free));
		for (n = 0; n < BLOCK_PAGES >> order; n++) {
			index = block_alloc(&b, order, false);
			assert_in_range(index, 0, BLOCK_PAGES - 1);
			assert_int_equal(index % (1 << order), 0);
			model_set((unsigned int)index, 1U << order, false);
			same(&b);
		}
		assert_int_equal(block_alloc(&b, order, false), -ENOMEM);
		assert_int_equal(block_alloc(&b, 0, false), -ENOMEM);
		assert_int_equal(block_largest(&b), -1);
		for (n = 0; n < BLOCK_PAGES >> order; n++)
			assert_int_equal(block_free(&b, n << order, order),
					 (n + 1) << order);
		assert_int_equal(block_largest(&b), BLOCK_ORDER);
	}
}

static u64 rng(u64 *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

static void random_operations_as_the_model(void **state)
{
	unsigned int step, order, index, half, i, n;
	unsigned long bits[BLOCK_WORDS];
	u64 seed = 42, r;
	struct block b;
	u32 pages;
	int got;

	(void)state;
	block_init(&b);
	memset(is_free, true, sizeof(is_free));
	for (step = 0; step < 100000; step++) {
		r = rng(&seed);
		order = r >> 8 & 3 ? (unsigned int)(r >> 16) % 4
				   : (unsigned int)(r >> 16) % 10;
		index = (unsigned int)(r >> 32) % BLOCK_PAGES & ~((1U << order) - 1);
		switch (r & 15) {
		case 0:
			pages = block_take_half(&b, false, &half);
			assert_int_equal(!pages, !model_has(0));
			for (i = 0; i < 32 && pages; i++)
				if (pages >> i & 1)
					model_set(half * 32 + i, 1, false);
			/* All of the run that was free. */
			for (i = 0; i < 32 && pages; i++)
				assert_false(is_free[half * 32 + i]);
			break;
		case 1:
			if (step % 64)
				break;
			n = block_take_all(&b, bits);
			for (i = 0; i < BLOCK_PAGES; i++) {
				assert_int_equal(bits[i / 64] >> i % 64 & 1, is_free[i]);
				n -= is_free[i];
				is_free[i] = false;
			}
			assert_int_equal(n, 0);
			break;
		case 2:
			assert_int_equal(block_take_whole(&b), model_has(BLOCK_ORDER));
			if (model_has(BLOCK_ORDER))
				memset(is_free, false, sizeof(is_free));
			break;
		case 3:
			bits[0] = 0;
			for (i = 0; i < 64; i++)
				if (!is_free[index / 64 * 64 + i] && rng(&seed) & 1)
					bits[0] |= 1UL << i;
			if (!bits[0])
				break;
			for (i = 0; i < 64; i++)
				if (bits[0] >> i & 1)
					model_set(index / 64 * 64 + i, 1, true);
			assert_true(block_put_bits(&b, index / 64, bits[0]) > 0);
			break;
		case 4:
		case 5:
		case 6:
		case 7:
		case 8:
		case 9:
			got = block_alloc(&b, order, false);
			assert_int_equal(got >= 0, model_has(order));
			if (got < 0) {
				assert_int_equal(got, -ENOMEM);
				break;
			}
			assert_int_equal(got % (1 << order), 0);
			model_set((unsigned int)got, 1U << order, false);
			break;
		default:
			for (i = index; i < index + (1U << order) && !is_free[i]; i++)
				;
			if (i < index + (1U << order))
				break;
			model_set(index, 1U << order, true);
			assert_true(block_free(&b, index, order) > 0);
		}
		same(&b);
	}
}

static void dirty_pages_are_avoided(void **state)
{
	struct block_masks masks;
	unsigned int order, n, i;
	struct block b;
	int index;

	(void)state;
	for (order = 0; order <= BLOCK_ORDER; order++) {
		block_init(&b);
		memset(&masks, 0, sizeof(masks));
		memset(masks.owned, 0xff, sizeof(masks.owned));
		b.masks = &masks;
		/* Dirty: the first page of each second run. */
		for (i = 0; i < BLOCK_PAGES; i += 2U << order)
			atomic_long_fetch_or((long)(1UL << i % 64), &masks.dirty[i / 64]);
		for (n = 0; n < (BLOCK_PAGES >> order) / 2; n++) {
			index = block_alloc(&b, order, true);
			assert_true(index >= 0);
			assert_int_equal(index >> order & 1, 1);
		}
		assert_int_equal(block_alloc(&b, order, true), -ENOMEM);
		assert_true(block_alloc(&b, order, false) >= 0);
	}
}

static void a_double_free_is_seen(void **state)
{
	unsigned int order;
	struct block b;

	(void)state;
	for (order = 0; order < BLOCK_ORDER; order++) {
		block_init(&b);
		assert_int_equal(block_alloc(&b, order, false), 0);
		assert_int_equal(block_free(&b, 0, order), BLOCK_PAGES);
		assert_int_equal(block_free(&b, 0, order), -EEXIST);
	}
	block_init(&b);
	assert_int_equal(block_put_bits(&b, 3, 1), -EEXIST);
}

/* --- threads --------------------------------------------------------------- */

#define THREADS 4
#define ROUNDS	60000

static struct block shared;
static int has[BLOCK_PAGES]; /* 0, or the thread */
static int overlaps;

static void take_pages(unsigned int index, unsigned int nr, int id)
{
	while (nr--)
		if (__atomic_exchange_n(&has[index++], id, __ATOMIC_RELAXED))
			__atomic_store_n(&overlaps, 1, __ATOMIC_RELAXED);
}

static void leave_pages(unsigned int index, unsigned int nr, int id)
{
	while (nr--)
		if (__atomic_exchange_n(&has[index++], 0, __ATOMIC_RELAXED) != id)
			__atomic_store_n(&overlaps, 1, __ATOMIC_RELAXED);
}

static void *hammer(void *arg)
{
	struct {
		unsigned int index, order;
	} mine[16];
	unsigned long bits[BLOCK_WORDS];
	int id = (int)(intptr_t)arg, got;
	unsigned int nr = 0, i, k, half;
	u64 seed = 77 + (u64)id;
	u32 pages;

	for (i = 0; i < ROUNDS; i++) {
		u64 r = rng(&seed);

		if (nr < 16 && r & 1) {
			mine[nr].order = r >> 8 & 7 ? (unsigned int)(r >> 16) % 3
						    : (unsigned int)(r >> 16) % 10;
			got = block_alloc(&shared, mine[nr].order, false);
			if (got < 0)
				continue;
			mine[nr].index = (unsigned int)got;
			take_pages(mine[nr].index, 1U << mine[nr].order, id);
			nr++;
		} else if (nr && r & 2) {
			k = (unsigned int)(r >> 16) % nr;
			leave_pages(mine[k].index, 1U << mine[k].order, id);
			if (block_free(&shared, mine[k].index, mine[k].order) <= 0)
				__atomic_store_n(&overlaps, 1, __ATOMIC_RELAXED);
			mine[k] = mine[--nr];
		} else if (r & 4) {
			pages = block_take_half(&shared, false, &half);
			for (k = 0; k < 32; k++)
				if (pages >> k & 1)
					take_pages(half * 32 + k, 1, id);
			for (k = 0; k < 32; k++)
				if (pages >> k & 1)
					leave_pages(half * 32 + k, 1, id);
			if (pages)
				block_put_bits(&shared, half / 2,
					       (unsigned long)pages
						       << (half & 1 ? 32 : 0));
		} else if (!(r >> 8 & 63)) {
			block_take_all(&shared, bits);
			for (k = 0; k < BLOCK_PAGES; k++)
				if (bits[k / 64] >> k % 64 & 1) {
					take_pages(k, 1, id);
					leave_pages(k, 1, id);
				}
			for (k = 0; k < BLOCK_WORDS; k++)
				if (bits[k])
					block_put_bits(&shared, k, bits[k]);
		} else if (block_take_whole(&shared)) {
			take_pages(0, BLOCK_PAGES, id);
			leave_pages(0, BLOCK_PAGES, id);
			block_free(&shared, 0, BLOCK_ORDER);
		}
	}
	while (nr--) {
		leave_pages(mine[nr].index, 1U << mine[nr].order, id);
		block_free(&shared, mine[nr].index, mine[nr].order);
	}
	return NULL;
}

static void threads_never_share_a_page(void **state)
{
	pthread_t threads[THREADS];
	intptr_t i;

	(void)state;
	block_init(&shared);
	memset(has, 0, sizeof(has));
	for (i = 0; i < THREADS; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, hammer, (void *)(i + 1)), 0);
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_false(overlaps);
	memset(is_free, true, sizeof(is_free));
	same(&shared);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_order_fills_the_block),
		cmocka_unit_test(random_operations_as_the_model),
		cmocka_unit_test(dirty_pages_are_avoided),
		cmocka_unit_test(a_double_free_is_seen),
		cmocka_unit_test(threads_never_share_a_page),
	};

	return cmocka_run_group_tests_name("block", tests, NULL, NULL);
}
