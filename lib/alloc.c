// SPDX-License-Identifier: MIT
/*
 * Objects: small ones from slabs, others in whole pages, of which a span tells.
 * Of the pages of an order only those that are needed are kept.
 */
#include "lib.h"

unsigned int order_of(size_t bytes)
{
	return bytes <= PAGE_SIZE ? 0
				  : BITS_PER_LONG - PAGE_SHIFT -
					    (unsigned int)__builtin_clzl(bytes - 1);
}

void misuse(const void *p, const char *what)
{
	say("unmapped: %p: %s\n", p, what);
	abort();
}

struct span *span_of(unsigned long pfn, bool make)
{
	struct span **at = &lib.spans[pfn / BLOCK_PAGES], *made, *spans;

	spans = smp_load_acquire(at);
	if (unlikely(!spans)) {
		if (!make)
			return NULL;
		made = um_alloc(BLOCK_PAGES * sizeof(*made), GFP_KERNEL);
		if (!made)
			return NULL;
		spans = cmpxchg(at, NULL, made);
		if (spans)
			um_free(made);
		else
			spans = made;
	}
	return &spans[pfn % BLOCK_PAGES];
}

/* Whole pages, aligned to 2^@order of them at least. */
static void *large_alloc(size_t size, unsigned int order)
{
	unsigned long pfn, nr = (size + PAGE_SIZE - 1) / PAGE_SIZE;
	struct span *s;

	order = max(order, order_of(size));
	if (order > REGION_ORDER || size > UNMAPPED_MAX) {
		failed(-ENOMEM, "%zu bytes are more than the largest object, %zu", size,
		       UNMAPPED_MAX);
		return NULL;
	}
	if (pages_alloc(order, &pfn))
		return NULL;
	if (nr < 1UL << order)
		pages_free(pfn + nr, (1UL << order) - nr);
	s = span_of(pfn, true);
	if (!s || pages_touch(pfn, nr)) {
		pages_free(pfn, nr);
		return NULL;
	}
	s->nr = (u32)nr;
	s->lead = 0;
	s->size = nr * PAGE_SIZE;
	WRITE_ONCE(s->kind, SPAN_LARGE);
	return page_address(pfn);
}

/* errno of a system call on the way is nobody's, the one that counts is last. */
static void *allocate(size_t size)
{
	void *p;

	if (likely(size <= slabs_max(&lib.slabs)))
		p = slabs_alloc(&lib.slabs, size);
	else
		p = large_alloc(size, 0);
	if (unlikely(!p))
		errno = ENOMEM;
	return p;
}

/* Bytes that may be used of an object, 0 if it is none. */
static size_t usable_size(const void *p)
{
	size_t size = slabs_usable(&lib.slabs, p);
	unsigned long pfn;
	struct span *s;

	if (size || !page_of(p, &pfn))
		return size;
	s = span_of(pfn, false);
	if (!s || s->kind == SPAN_NONE)
		return 0;
	return s->kind == SPAN_GUARDED || p == page_address(pfn) ? s->size : 0;
}

/* As LEAVE(), with what was asked for. */
static inline void leave_with(enum entry e, void *p, size_t size)
{
	if (likely(e != ENTERED_SHARED))
		return;
	if (lib.watched && p)
		watch_alloc(p, size);
	thread_leave();
}

EXPORT void *unmapped_malloc(size_t size)
{
	enum entry e = ENTER();
	void *p;

	if (unlikely(e == ENTRY_FAILED))
		return NULL;
	p = allocate(size);
	leave_with(e, p, size);
	return p;
}

EXPORT void *unmapped_calloc(size_t n, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes)) {
		failed(-ENOMEM, "%zu times %zu bytes are more than can be counted", n,
		       size);
		return NULL;
	}
	return unmapped_malloc(bytes);
}

/* The class of a power of two is aligned to it, if no canary makes it one more. */
EXPORT void *unmapped_aligned_alloc(size_t alignment, size_t size)
{
	size_t least = max(size, 1UL);
	enum entry e;
	void *p;

	if (!alignment || alignment & (alignment - 1) || alignment > UNMAPPED_MAX) {
		failed(-EINVAL, "alignment %zu is not a power of two, or more than %zu",
		       alignment, UNMAPPED_MAX);
		return NULL;
	}
	e = ENTER();
	if (e == ENTRY_FAILED)
		return NULL;
	if (alignment <= SLAB_ALIGN) {
		p = allocate(size);
	} else if (max(least, alignment) <= SLAB_MAX - SLAB_CANARY) {
		least = max(least + SLAB_CANARY, alignment);
		least = 1UL << (BITS_PER_LONG - __builtin_clzl(least - 1));
		p = allocate(least - SLAB_CANARY);
	} else {
		p = large_alloc(least, order_of(alignment));
		if (!p)
			errno = ENOMEM;
	}
	leave_with(e, p, size);
	return p;
}

EXPORT char *unmapped_strdup(const char *s)
{
	size_t size = strlen(s) + 1;
	char *p = unmapped_malloc(size);

	return p ? memcpy(p, s, size) : NULL;
}

/*
 * Canaries go with all else when hibernation wipes memory.  That of an object in use
 * is put back when it is missed, if that is what can have happened to it.
 */
static bool canary_was_wiped(void *p)
{
	const struct slab_class *c;
	unsigned long pfn;
	u64 *at;

	if (!wipes() || !page_of(p, &pfn))
		return false;
	c = &lib.slabs.classes[slab_of(&lib.slabs, pfn)->class];
	at = slab_canary_at(c, p);
	if (*at)
		return false;
	*at = slab_canary(&lib.slabs, at);
	return true;
}

static void free_span(void *p, int err)
{
	unsigned long pfn, nr;
	struct span *s = NULL;
	u8 kind = SPAN_NONE;

	if (inherited(p))
		return;
	if (err == -EEXIST)
		misuse(p, "freed, but not in use: freed twice?");
	if (err == -EOVERFLOW)
		misuse(p, "written past the end: its canary is gone");
	if (err == -ENOENT && page_of(p, &pfn))
		s = span_of(pfn, false);
	if (s)
		kind = READ_ONCE(s->kind);
	if (kind == SPAN_LARGE && p == page_address(pfn)) {
		nr = s->nr;
		if (cmpxchg(&s->kind, kind, SPAN_NONE) != kind)
			misuse(p, "freed twice");
		pages_free(pfn, nr);
		pages_decay();
	} else if (kind == SPAN_GUARDED) {
		guarded_free(p, pfn, s);
	} else {
		misuse(p, "freed, but not an object: freed twice, or not from here");
	}
}

EXPORT void unmapped_free(void *p)
{
	int err, was = errno;
	enum entry e;

	if (!p)
		return;
	e = ENTER();
	if (unlikely(e == ENTRY_FAILED)) {
		if (!inherited(p))
			misuse(p, "freed, but nothing was ever allocated");
		errno = was;
		return;
	}
	if (unlikely(e == ENTERED_SHARED) && lib.watched && !inherited(p))
		watch_free(p, usable_size(p));
	do
		err = slabs_free(&lib.slabs, p);
	while (unlikely(err == -EOVERFLOW) && canary_was_wiped(p));
	if (unlikely(err)) {
		free_span(p, err);
		errno = was;
	}
	LEAVE(e);
}

EXPORT size_t unmapped_usable_size(const void *p)
{
	enum entry e;
	size_t size;

	if (!p)
		return 0;
	e = ENTER();
	if (e == ENTRY_FAILED)
		return 0;
	size = usable_size(p);
	if (lib.watched && size)
		watch_usable(p, size);
	LEAVE(e);
	return size;
}
