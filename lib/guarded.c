// SPDX-License-Identifier: MIT
/*
 * Guarded objects: pages of their own, between two that can't be accessed.
 *
 *	| guard | ....... canary object | guard ... |
 *
 * The object ends where its pages do.  A small one keeps what is left of its run as
 * guard, too: neighbours then lie guard to guard, and each costs the process two
 * mappings (of vm.max_map_count), not four.
 */
#include <sys/mman.h>

#include "lib.h"

#define CANARY_BYTES 16UL
/* Runs up to this order are kept whole. */
#define SMALL_ORDER 3U

static void canary(const void *p, u64 *c)
{
	c[0] = slab_canary(&lib.slabs, p);
	c[1] = slab_canary(&lib.slabs, &((const char *)p)[8]) * 0x9e3779b97f4a7c15ULL;
}

static bool canary_is_there(const char *p)
{
	u64 want[2], have[2];

	canary(p, want);
	memcpy(have, p - CANARY_BYTES, sizeof(have));
	/* Both are gone when hibernation has wiped them. */
	return (have[0] == want[0] && have[1] == want[1]) ||
	       (!have[0] && !have[1] && wipes());
}

static int protect(unsigned long pfn, unsigned long nr, int prot)
{
	if (!mprotect(page_address(pfn), nr * PAGE_SIZE, prot)) {
		if (lib.watched)
			watch_pages(page_address(pfn), nr * PAGE_SIZE);
		return 0;
	}
	return failed(-ENOMEM, "mprotect: %s: sysctl vm.max_map_count may be too low",
		      strerror(errno));
}

/* How many pages an object takes, without guards. */
static unsigned long pages_of(size_t size)
{
	return (size + CANARY_BYTES + PAGE_SIZE - 1) / PAGE_SIZE;
}

/*
 * Pages with guards: one before, and one or more behind.  Of a large run those that
 * are not needed are freed.  Return: how many there are, 0 for none.
 */
static unsigned long take_pages(unsigned long nr, unsigned long *first)
{
	unsigned int order = order_of((nr + 2) * PAGE_SIZE);
	unsigned long all = 1UL << order, pfn;

	if (pages_alloc(order, &pfn))
		return 0;
	if (order > SMALL_ORDER) {
		pages_free(pfn + nr + 2, all - nr - 2);
		all = nr + 2;
	}
	if (!pages_touch(pfn + 1, nr) && !protect(pfn, 1, PROT_NONE)) {
		if (!protect(pfn + nr + 1, all - nr - 1, PROT_NONE)) {
			*first = pfn;
			return all;
		}
		mprotect(page_address(pfn), PAGE_SIZE, PROT_READ | PROT_WRITE);
	}
	pages_free(pfn, all);
	return 0;
}

static void *guarded_alloc(size_t size)
{
	unsigned long nr, first, pfn;
	struct span *s;
	u64 c[2];
	char *p;

	if (size > UNMAPPED_MAX - 2 * PAGE_SIZE - CANARY_BYTES) {
		failed(-ENOMEM, "%zu bytes are more than the largest guarded object, %zu",
		       size, UNMAPPED_MAX - 2 * PAGE_SIZE - CANARY_BYTES);
		return NULL;
	}
	nr = take_pages(pages_of(size), &first);
	if (!nr)
		return NULL;
	p = (char *)page_address(first + 1 + pages_of(size)) - size;
	/* One of 0 bytes starts where the guard does. */
	page_of(p, &pfn);
	s = span_of(pfn, true);
	if (!s) {
		protect(first, nr, PROT_READ | PROT_WRITE);
		pages_free(first, nr);
		return NULL;
	}
	canary(p, c);
	memcpy(p - CANARY_BYTES, c, sizeof(c));
	s->lead = (u32)(pfn - first);
	s->nr = (u32)nr;
	s->size = size;
	s->access = UNMAPPED_READWRITE;
	WRITE_ONCE(s->kind, SPAN_GUARDED);
	return p;
}

EXPORT void *unmapped_guarded_malloc(size_t size)
{
	enum entry e = ENTER();
	void *p;

	if (e == ENTRY_FAILED)
		return NULL;
	p = guarded_alloc(size);
	if (!p)
		errno = ENOMEM;
	else if (lib.watched)
		watch_alloc(p, size);
	LEAVE(e);
	return p;
}

/* Where the object of a span starts. */
static char *start_of(unsigned long pfn, const struct span *s)
{
	return (char *)page_address(pfn - s->lead + 1 + pages_of(s->size)) - s->size;
}

void guarded_free(void *p, unsigned long pfn, struct span *s)
{
	unsigned long first = pfn - s->lead, nr = s->nr;

	if (p != start_of(pfn, s))
		misuse(p, "freed, but not the start of an object");
	if (s->access == UNMAPPED_NOACCESS &&
	    protect(first + 1, pages_of(s->size), PROT_READ | PROT_WRITE))
		misuse(p, unmapped_strerror());
	if (!canary_is_there(p))
		misuse(p, "written before the start: its canary is gone");
	if (cmpxchg(&s->kind, SPAN_GUARDED, SPAN_NONE) != SPAN_GUARDED)
		misuse(p, "freed twice");
	/* Fewer mappings: this can't fail where the guards could be made. */
	if (protect(first, nr, PROT_READ | PROT_WRITE))
		misuse(p, unmapped_strerror());
	pages_free(first, nr);
	pages_decay();
}

EXPORT int unmapped_protect(void *p, int access)
{
	static const int prots[] = {
		[UNMAPPED_NOACCESS] = PROT_NONE,
		[UNMAPPED_READONLY] = PROT_READ,
		[UNMAPPED_READWRITE] = PROT_READ | PROT_WRITE,
	};
	struct span *s = NULL;
	unsigned long pfn;
	enum entry e;
	int err;

	if (access != UNMAPPED_NOACCESS && access != UNMAPPED_READONLY &&
	    access != UNMAPPED_READWRITE) {
		failed(-EINVAL, "access %d is not 0, 1 or 3 (UNMAPPED_NOACCESS, ...)",
		       access);
		return -1;
	}
	e = ENTER();
	if (e == ENTRY_FAILED)
		return -1;
	if (page_of(p, &pfn))
		s = span_of(pfn, false);
	if (!s || s->kind != SPAN_GUARDED || p != start_of(pfn, s)) {
		err = failed(-EINVAL, "%p is not a guarded object", p);
	} else {
		err = protect(pfn - s->lead + 1, pages_of(s->size), prots[access]);
		if (!err)
			s->access = (u8)access;
		if (!err && lib.watched && access != UNMAPPED_NOACCESS)
			watch_usable(p, s->size);
	}
	LEAVE(e);
	return err ? -1 : 0;
}
