/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * A magazine: up to 32 free pages that one CPU serves order 0 from, in one
 * 64-bit word.
 *
 *	bits 63..32	which aligned run of 32 pages (pfn >> 5)
 *	bits 31..0	which pages of it are in the magazine
 *
 * Its CPU changes it by this_cpu_cmpxchg(): one instruction with no lock
 * prefix, safe against interrupts and preemption on that CPU.  All of the state
 * is in the one word, so it does no harm when the task is moved to another CPU
 * between the look and the exchange: an equal word means the same there.  No
 * CPU may change the magazine of another that is online: allocator_drain_cpu()
 * runs on the CPU whose magazine is to be drained.
 *
 * A free that falls into the run of the magazine goes back into it, even when
 * that is empty.  0 is a magazine with no run: pfn 0 to 31 are never ours.
 */
#ifndef UM_MAGAZINE_H
#define UM_MAGAZINE_H

#include "block.h"

#define MAGAZINE_EMPTY 0ULL

/* The highest pfn that fits, exclusive: 512 TiB. */
#define MAGAZINE_MAX_PFN (1UL << (32 + HALF_SHIFT))

static inline u64 magazine_make(unsigned long pfn, u32 pages)
{
	return (u64)(pfn >> HALF_SHIFT) << 32 | pages;
}

static inline unsigned long magazine_pfn(u64 m)
{
	return (unsigned long)(m >> 32) << HALF_SHIFT;
}

static inline u32 magazine_pages(u64 m)
{
	return (u32)m;
}

/* Whether a page belongs to the magazine's run. */
static inline bool magazine_covers(u64 m, unsigned long pfn)
{
	return m >> 32 == pfn >> HALF_SHIFT;
}

static inline u64 magazine_bit(unsigned long pfn)
{
	return 1ULL << (pfn % HALF_PAGES);
}

#endif /* UM_MAGAZINE_H */
