// SPDX-License-Identifier: MIT
/*
 * Each input is a program for the library's functions: two bytes say what is done
 * with which of a few objects, and of what size. All objects are filled with a pattern
 * of their own, which has to be there when they are freed; new ones have to be zero.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unmapped.h"

#define HELD 32

struct held {
	unsigned char *p;
	size_t size;
	unsigned char fill;
	int guarded, access;
};

static void fail(const char *what)
{
	fprintf(stderr, "fuzz/lib: %s\n", what);
	abort();
}

static void take(struct held *h, unsigned char *p, size_t asked)
{
	size_t i;

	if (!p)
		fail(unmapped_strerror());
	h->p = p;
	h->size = unmapped_usable_size(p);
	h->access = UNMAPPED_READWRITE;
	if (h->size < asked)
		fail("less than asked for");
	for (i = 0; i < h->size; i++)
		if (p[i])
			fail("not zero");
	memset(p, ++h->fill, h->size);
}

static void look(const struct held *h)
{
	size_t i;

	if (h->access == UNMAPPED_NOACCESS)
		return;
	for (i = 0; i < h->size; i++)
		if (h->p[i] != h->fill)
			fail("changed by somebody else");
}

/* Small ones mostly, and some of a few pages and of more than a block. */
static size_t size_of(unsigned int op, unsigned int arg)
{
	switch (op >> 5 & 3) {
	case 0:
	case 1:
		return arg;
	case 2:
		return arg * 16;
	default:
		return arg < 250 ? arg * 300 : arg * 10000;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int accesses[] = { UNMAPPED_NOACCESS, UNMAPPED_READONLY,
					UNMAPPED_READWRITE };
	struct held held[HELD] = { 0 }, *h;
	struct unmapped_stats s;
	size_t i, bytes, live = 0;
	unsigned int op, arg;

	for (i = 0; i + 2 < size; i += 3) {
		op = data[i];
		arg = data[i + 1];
		h = &held[data[i + 2] % HELD];
		bytes = size_of(op, arg);
		if (h->p) {
			look(h);
			if (op & 16 && h->guarded) {
				h->access = accesses[arg % 3];
				if (unmapped_protect(h->p, h->access))
					fail(unmapped_strerror());
				continue;
			}
			if (op & 8 && !unmapped_protect(h->p, 2))
				fail("an access that there is not");
			unmapped_free(h->p);
			h->p = NULL;
			live--;
			continue;
		}
		h->guarded = (op & 7) == 0;
		live++;
		switch (op & 7) {
		case 0:
			take(h, unmapped_guarded_malloc(bytes), bytes);
			break;
		case 1:
			take(h, unmapped_calloc(arg, 3), (size_t)arg * 3);
			break;
		case 2:
			take(h, unmapped_aligned_alloc(1UL << arg % 15, bytes), bytes);
			if ((uintptr_t)h->p & ((1UL << arg % 15) - 1))
				fail("not aligned");
			break;
		case 3:
			live--;
			if (op & 8)
				unmapped_trim();
			if (unmapped_stats(&s, sizeof(s)) || s.nr_objects != live)
				fail("objects are miscounted");
			if (s.used > s.pages || s.touched > s.mapped)
				fail("bytes are miscounted");
			break;
		default:
			take(h, unmapped_malloc(bytes), bytes);
		}
	}
	for (h = held; h < held + HELD; h++) {
		if (!h->p)
			continue;
		look(h);
		unmapped_free(h->p);
	}
	if (unmapped_stats(&s, sizeof(s)) || s.nr_objects || s.used)
		fail("objects remain");
	return 0;
}
