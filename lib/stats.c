// SPDX-License-Identifier: MIT
/* How much there is, and giving back what is not used. */
#include "lib.h"

static void count_spans(struct unmapped_stats *s)
{
	unsigned long pfn;
	struct span *span;

	for (pfn = BLOCK_PAGES; pfn < lib.nr_pfns; pfn++) {
		span = span_of(pfn, false);
		if (!span) {
			pfn |= BLOCK_PAGES - 1;
			continue;
		}
		if (READ_ONCE(span->kind) == SPAN_NONE)
			continue;
		s->nr_objects++;
		s->nr_guarded += span->kind == SPAN_GUARDED;
		s->used += span->size;
		s->pages += span->nr * PAGE_SIZE;
	}
}

EXPORT int unmapped_stats(struct unmapped_stats *stats, size_t size)
{
	struct unmapped_stats s = { 0 };
	struct allocator_report pages;
	struct slab_report slabs;
	enum entry e;

	if (!size) {
		failed(-EINVAL, "unmapped_stats: a size of 0");
		return -1;
	}
	e = ENTER();
	if (e == ENTRY_FAILED)
		return -1;
	allocator_report(&lib.pages, 0, &pages);
	slabs_report(&lib.slabs, &slabs);
	s.nr_objects = slabs.objects;
	s.used = slabs.bytes;
	s.pages = slabs.pages * PAGE_SIZE;
	count_spans(&s);
	s.touched = pages_touched();
	s.mapped = pages.pages_owned * PAGE_SIZE;
	s.metadata = metadata_bytes();
	s.nr_taken = pages.stats[STAT_BLOCKS_TAKEN] + pages.stats[STAT_PIECES_TAKEN];
	s.nr_released = pages.stats[STAT_BLOCKS_RELEASED];
	LEAVE(e);
	/* A program of a later version asks for more: that is 0. */
	memset(stats, 0, size);
	memcpy(stats, &s, min(size, sizeof(s)));
	return 0;
}

EXPORT size_t unmapped_trim(void)
{
	enum entry e = ENTER();
	size_t pages;

	if (e == ENTRY_FAILED)
		return 0;
	slabs_drain_cpu(&lib.slabs);
	thread_drain_shared();
	slabs_shrink(&lib.slabs);
	allocator_drain_cpu(&lib.pages);
	pages = allocator_shrink(&lib.pages, -1, ~0UL, 0);
	LEAVE(e);
	return pages * PAGE_SIZE;
}
