// SPDX-License-Identifier: GPL-2.0
/*
 * Memory pressure: the cache of the node under pressure gives back what is
 * free.  It is told apart by node, and counts only what a scan can release.
 */
#include <linux/mm.h>
#include <linux/shrinker.h>

#include "compat.h"
#include "host.h"
#include "shrinker.h"

static unsigned long count(struct shrinker *s, struct shrink_control *sc)
{
	return allocator_shrinkable(&unmapped_allocator, sc->nid);
}

static unsigned long scan(struct shrinker *s, struct shrink_control *sc)
{
	unsigned long done;

	/* We may be called from our own refill: never wait for one. */
	done = allocator_shrink(&unmapped_allocator, sc->nid, sc->nr_to_scan, UM_TRY);
	sc->nr_scanned = done;
	return done ? done : SHRINK_STOP;
}

static struct shrinker *shrinker;

int unmapped_shrinker_init(void)
{
	int err;

	shrinker = shrinker_alloc(SHRINKER_NUMA_AWARE, "unmapped");
	if (!shrinker)
		return -ENOMEM;
	shrinker->count_objects = count;
	shrinker->scan_objects = scan;
	/* What is idle here costs less to get again than anybody's data. */
	shrinker->seeks = 0;
	shrinker->batch = BLOCK_PAGES;
	err = shrinker_register(shrinker);
	if (err)
		shrinker_free(shrinker);
	return err;
}

void unmapped_shrinker_exit(void)
{
	shrinker_free(shrinker);
}
