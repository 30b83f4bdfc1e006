// SPDX-License-Identifier: GPL-2.0 OR MIT
/* See block.h for the model. */
#include "block.h"

/* Bits at which a naturally aligned run of 2^order pages may begin. */
static const unsigned long run_starts[WORD_ORDER + 1] = {
	~0UL,
	0x5555555555555555UL,
	0x1111111111111111UL,
	0x0101010101010101UL,
	0x0001000100010001UL,
	0x0000000100000001UL,
	0x0000000000000001UL,
};

/* A bit at the start of each aligned run of 2^order ones in w. */
static unsigned long free_runs(unsigned long w, unsigned int order)
{
	unsigned int k;

	if (order == WORD_ORDER)
		return !~w;
	for (k = 0; k < order; k++)
		w &= w >> (1U << k);
	return w & run_starts[order];
}

static unsigned long dirty_word(const struct block *b, unsigned int word)
{
	const struct block_masks *m = block_masks(b);

	return m ? (unsigned long)atomic_long_read(&m->dirty[word]) : 0;
}

static bool reserve(struct block *b, int n)
{
	int free = atomic_read(&b->nr_free);

	do {
		if (free < n)
			return false;
	} while (!atomic_try_cmpxchg(&b->nr_free, &free, free - n));
	return true;
}

/* As many as there are, at most n. */
static int reserve_some(struct block *b, int n)
{
	int free = atomic_read(&b->nr_free);
	int some;

	do {
		if (free <= 0)
			return 0;
		some = min(free, n);
	} while (!atomic_try_cmpxchg(&b->nr_free, &free, free - some));
	return some;
}

static void unreserve(struct block *b, int n)
{
	if (n)
		atomic_add_return(n, &b->nr_free);
}

/* An order up to that of a word, of pages that are reserved. */
static int claim_in_word(struct block *b, unsigned int order, bool avoid_dirty)
{
	unsigned int word, bit;
	unsigned long runs;
	long old;

	for (word = 0; word < BLOCK_WORDS; word++) {
		old = atomic_long_read(&b->words[word]);
		for (;;) {
			runs = (unsigned long)old;
			if (avoid_dirty)
				runs &= ~dirty_word(b, word);
			runs = free_runs(runs, order);
			if (!runs)
				break;
			bit = __ffs(runs);
			if (UM_BROKEN(UM_BREAK_TWICE))
				return (int)(word * BITS_PER_LONG + bit);
			if (atomic_long_try_cmpxchg(&b->words[word], &old,
						    old & ~(long)word_mask(bit, order)))
				return (int)(word * BITS_PER_LONG + bit);
		}
	}
	return -ENOMEM;
}

/* Order 7 or 8: two or four words, each wholly free, or none of them. */
static int claim_words(struct block *b, unsigned int order, bool avoid_dirty)
{
	unsigned int nr = 1U << (order - WORD_ORDER);
	unsigned int first, i;
	long all;

	for (first = 0; first < BLOCK_WORDS; first += nr) {
		for (i = 0; i < nr; i++) {
			if (avoid_dirty && dirty_word(b, first + i))
				break;
			all = ~0L;
			if (!atomic_long_try_cmpxchg(&b->words[first + i], &all, 0))
				break;
		}
		if (i == nr)
			return (int)(first * BITS_PER_LONG);
		while (i--)
			atomic_long_fetch_or(~0L, &b->words[first + i]);
	}
	return -ENOMEM;
}

bool block_take_whole(struct block *b)
{
	int free = BLOCK_PAGES;
	unsigned int i;

	if (!atomic_try_cmpxchg(&b->nr_free, &free, 0))
		return false;
	for (i = 0; i < BLOCK_WORDS; i++)
		atomic_long_set(&b->words[i], 0);
	return true;
}

static bool any_dirty(const struct block *b)
{
	unsigned int i;

	for (i = 0; block_masks(b) && i < BLOCK_WORDS; i++)
		if (dirty_word(b, i))
			return true;
	return false;
}

int block_alloc(struct block *b, unsigned int order, bool avoid_dirty)
{
	int pages = 1 << order;
	int index;

	if (order == BLOCK_ORDER) {
		if (avoid_dirty && any_dirty(b))
			return -ENOMEM;
		return block_take_whole(b) ? 0 : -ENOMEM;
	}

	if (!reserve(b, pages))
		return -ENOMEM;
	if (order > WORD_ORDER)
		index = claim_words(b, order, avoid_dirty);
	else
		index = claim_in_word(b, order, avoid_dirty);
	/*
	 * There is a bit for each page reserved, but it may move from a word
	 * not yet looked at to one before it while others claim and free.
	 */
	while (index < 0 && !order && !avoid_dirty)
		index = claim_in_word(b, order, false);
	if (index < 0)
		unreserve(b, pages);
	return index;
}

u32 block_take_half(struct block *b, bool avoid_dirty, unsigned int *half)
{
	int reserved = reserve_some(b, HALF_PAGES);
	unsigned int word, shift;
	unsigned long bits;
	long old;

	if (!reserved)
		return 0;
	for (word = 0; word < BLOCK_WORDS; word++) {
		old = atomic_long_read(&b->words[word]);
		for (;;) {
			bits = (unsigned long)old;
			if (avoid_dirty)
				bits &= ~dirty_word(b, word);
			if (!bits)
				break;
			shift = __ffs(bits) & HALF_PAGES;
			bits = bits >> shift & 0xffffffffUL;
			while (hweight_long(bits) > (unsigned int)reserved)
				bits &= bits - 1;
			if (!UM_BROKEN(UM_BREAK_TWICE) &&
			    !atomic_long_try_cmpxchg(&b->words[word], &old,
						     old & ~(long)(bits << shift)))
				continue;
			unreserve(b, reserved - (int)hweight_long(bits));
			*half = word * 2 + shift / HALF_PAGES;
			return (u32)bits;
		}
	}
	unreserve(b, reserved);
	return 0;
}

unsigned int block_take_all(struct block *b, unsigned long *bits)
{
	unsigned int reserved = (unsigned int)reserve_some(b, BLOCK_PAGES);
	unsigned int taken = 0;
	unsigned int word;
	unsigned long want;
	long old;

	for (word = 0; word < BLOCK_WORDS; word++) {
		bits[word] = 0;
		old = atomic_long_read(&b->words[word]);
		do {
			want = (unsigned long)old;
			while (hweight_long(want) > reserved - taken)
				want &= want - 1;
		} while (want && !atomic_long_try_cmpxchg(&b->words[word], &old,
							  old & ~(long)want));
		bits[word] = want;
		taken += hweight_long(want);
	}
	unreserve(b, (int)(reserved - taken));
	return taken;
}

int block_put_bits(struct block *b, unsigned int word, unsigned long bits)
{
	unsigned long old;

	old = (unsigned long)atomic_long_fetch_or((long)bits, &b->words[word]);
	if (old & bits)
		return -EEXIST;
	return atomic_add_return((int)hweight_long(bits), &b->nr_free);
}

int block_free(struct block *b, unsigned int index, unsigned int order)
{
	unsigned int first = index / BITS_PER_LONG;
	unsigned int i;

	if (!order) {
		if (test_and_set_bit((long)index, (unsigned long *)b->words))
			return -EEXIST;
		return atomic_add_return(1, &b->nr_free);
	}
	if (order <= WORD_ORDER)
		return block_put_bits(b, first, word_mask(index % BITS_PER_LONG, order));

	/* These words are the caller's alone: nobody may claim or free in them. */
	for (i = 0; i < 1U << (order - WORD_ORDER); i++) {
		if (atomic_long_read(&b->words[first + i]))
			return -EEXIST;
		atomic_long_set(&b->words[first + i], ~0L);
	}
	return atomic_add_return(1 << order, &b->nr_free);
}

int block_largest(const struct block *b)
{
	unsigned long all = 0; /* a bit for each wholly free word */
	unsigned int word;
	unsigned long w;
	int largest = -1;

	for (word = 0; word < BLOCK_WORDS; word++) {
		w = (unsigned long)atomic_long_read(&b->words[word]);
		if (!~w)
			all |= 1UL << word;
		while (largest < (int)WORD_ORDER &&
		       free_runs(w, (unsigned int)(largest + 1)))
			largest++;
	}
	if (largest < (int)WORD_ORDER)
		return largest;
	if (all == 0xff)
		return BLOCK_ORDER;
	if ((all & 0x0f) == 0x0f || (all & 0xf0) == 0xf0)
		return 8;
	return (all & (all >> 1) & 0x55) ? 7 : WORD_ORDER;
}

struct block_masks *block_get_masks(struct block *b, gfp_t gfp)
{
	struct block_masks *m = block_masks(b);
	struct block_masks *made;
	unsigned int i;

	if (m)
		return m;
	made = kzalloc(sizeof(*made), gfp);
	if (!made)
		return NULL;
	for (i = 0; i < BLOCK_WORDS; i++)
		made->owned[i] = ~0UL;
	m = cmpxchg(&b->masks, NULL, made);
	if (m)
		kfree(made);
	return m ? m : made;
}
