// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * LLFree-c under the workloads of bench/core.c: `make bench-core LLFREE=DIR`, DIR
 * its sources (https://github.com/luhsra/llfree-c, as of 970bb3d).  Nothing of it
 * is part of this project; this is the allocator that bench/core.c calls when it is
 * built with -DPEER, behind four functions.
 *
 * As its authors set it up for one process: all frames free, two classes, a local
 * slot for each core and class.
 */
#include <stdlib.h>

#include "llfree.h"
#include "llfree_inner.h"
#include "peer.h"

static llfree_t llfree;
static size_t cores;

static uint8_t *room(size_t size)
{
	uint8_t *p = aligned_alloc(64, (size + 63) & ~(size_t)63);

	if (!p)
		abort();
	return p;
}

void peer_start(unsigned long pages, unsigned int cpus)
{
	llfree_classing_t classing = llfree_classing_simple(cpus);
	llfree_meta_size_t size = llfree_metadata_size(&classing, pages);
	llfree_meta_t meta = {
		.local = room(size.local),
		.trees = room(size.trees),
		.lower = room(size.lower),
	};

	cores = cpus;
	if (!llfree_is_ok(llfree_init(&llfree, pages, LLFREE_INIT_FREE, meta, &classing)))
		abort();
}

void peer_stop(void)
{
	llfree_meta_t meta = llfree_metadata(&llfree);

	free(meta.local);
	free(meta.trees);
	free(meta.lower);
}

int peer_alloc(unsigned int cpu, unsigned int order, unsigned long *pfn)
{
	llfree_request_t request = llfree_simple_request(cores, (uint8_t)order, cpu);
	llfree_result_t r = llfree_get(&llfree, frame_id_none(), request);

	*pfn = r.frame.value;
	return llfree_is_ok(r) ? 0 : -1;
}

int peer_free(unsigned int cpu, unsigned int order, unsigned long pfn)
{
	llfree_request_t request = llfree_simple_request(cores, (uint8_t)order, cpu);

	return llfree_is_ok(llfree_put(&llfree, frame_id(pfn), request)) ? 0 : -1;
}
