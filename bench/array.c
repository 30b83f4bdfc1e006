// SPDX-License-Identifier: GPL-2.0 OR MIT
/* See array.h. */
#include <time.h>

#include "allocator.h"
#include "array.h"

static int array_get(void *host, int nid, unsigned int order, unsigned int flags,
		     unsigned long *pfn)
{
	struct array *m = host;

	(void)nid;
	(void)flags;
	if (order != BLOCK_ORDER || !m->nr)
		return -ENOMEM;
	*pfn = (unsigned long)m->blocks[--m->nr] << BLOCK_ORDER;
	return 0;
}

static void array_put(void *host, unsigned long pfn, unsigned int order)
{
	struct array *m = host;

	if (order != BLOCK_ORDER)
		abort();
	m->blocks[m->nr++] = (u32)(pfn >> BLOCK_ORDER);
}

static int array_unmap(void *host, unsigned long pfn, unsigned int order)
{
	(void)host;
	(void)pfn;
	(void)order;
	return 0;
}

static void array_flush(void *host)
{
	(void)host;
}

static int array_heal(void *host, unsigned long pfn)
{
	(void)host;
	(void)pfn;
	return -EBUSY;
}

static bool array_unbroken(void *host, unsigned long pfn)
{
	(void)host;
	(void)pfn;
	return false;
}

/* No thread runs while the main one shrinks. */
static void array_drain(void *host, struct allocator *a)
{
	int cpu = um_cpu;

	(void)host;
	for (um_cpu = 0; um_cpu < (int)um_nr_cpus; um_cpu++)
		allocator_drain_cpu(a);
	um_cpu = cpu;
}

static int array_nearest_node(void *host, int nid, int prev)
{
	(void)host;
	return prev < 0 ? nid : -1;
}

/* The core is content with a coarse clock, as the kernel's jiffies are. */
static u64 coarse_now(void *host)
{
	struct timespec t;

	(void)host;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (u64)t.tv_sec * 1000000000ULL + (u64)t.tv_nsec;
}

const struct um_host_ops array_ops = {
	.get = array_get,
	.put = array_put,
	.unmap = array_unmap,
	.map = array_unmap,
	.flush = array_flush,
	.heal = array_heal,
	.heal_region = array_heal,
	.unbroken = array_unbroken,
	.now = coarse_now,
	.drain = array_drain,
	.nearest_node = array_nearest_node,
};
