// SPDX-License-Identifier: GPL-2.0 OR MIT
/* See check.h; the comments name the invariants by their numbers. */
#include "check.h"

void snapshot_take(struct snapshot *s, const struct machine *m)
{
	s->region_split = malloc(m->map.nr_regions);
	s->block_split = malloc(m->map.nr_blocks);
	if (!s->region_split || !s->block_split)
		abort();
	memcpy(s->region_split, m->map.region_split, m->map.nr_regions);
	memcpy(s->block_split, m->map.block_split, m->map.nr_blocks);
}

void snapshot_free(struct snapshot *s)
{
	free(s->region_split);
	free(s->block_split);
}

static void check_page(struct machine *m, const struct block *b, unsigned long pfn)
{
	unsigned int index = pfn % BLOCK_PAGES;
	bool marked;

	if (m->owner[pfn] != OWNER_CORE) {
		/* 2 */
		if (m->map.absent[pfn] && m->owner[pfn] != OWNER_OTHERS)
			machine_broken(m, "pfn %#lx is the system's and absent", pfn);
		if (m->holder[pfn])
			machine_broken(m, "pfn %#lx is in use and the system's", pfn);
		return;
	}
	/* 1: whatever is the core's may be handed out at any time */
	if (!m->map.absent[pfn])
		machine_broken(m, "pfn %#lx is the core's and present", pfn);
	if (m->map.stale[pfn])
		machine_broken(m, "pfn %#lx is the core's and was not flushed", pfn);
	/* 3: what is dirty is marked, and was a client's who did not care */
	if (m->holder[pfn] || !m->tag[pfn] || m->config.dirty_is_fine ||
	    (b && b->flags & BLOCK_QUARANTINED))
		return;
	marked = b && b->masks &&
		 (unsigned long)atomic_long_read(
			 &b->masks->dirty[index / BITS_PER_LONG]) >>
				 index % BITS_PER_LONG &
			 1;
	if (!(m->tag[pfn] & TAG_NOT_ZEROED))
		machine_broken(m, "pfn %#lx is free with content that is to be zeroed",
			       pfn);
	else if (!marked)
		machine_broken(m, "pfn %#lx is free, dirty and not marked so", pfn);
}

static void check_block(struct machine *m, unsigned long block, bool pages)
{
	unsigned long pfn = block << BLOCK_ORDER, i;
	const struct block *b = table_lookup(&m->allocator.table, pfn);
	unsigned int nr_core = m->nr_core[block];

	if (nr_core && (!b || b->nr_owned != nr_core))
		machine_broken(m, "the core has %u pages at pfn %#lx and counts %u",
			       nr_core, pfn, b ? b->nr_owned : 0);
	if (!nr_core && b && b->nr_owned)
		machine_broken(m, "the core counts %u pages at pfn %#lx and has none",
			       b->nr_owned, pfn);
	if (m->map.nr_absent[block] < nr_core)
		machine_broken(m, "%u pages at pfn %#lx are the core's, %u are absent",
			       nr_core, pfn, m->map.nr_absent[block]);
	/* 4: what we split is healed as soon as it can be */
	if (m->map.block_split[block] == SPLIT_BY_US && !m->heal_refused[block] &&
	    (nr_core == BLOCK_PAGES || !nr_core))
		machine_broken(m, "the entry of pfn %#lx was split and could be healed",
			       pfn);
	for (i = pfn; pages && i < pfn + BLOCK_PAGES; i++)
		check_page(m, b, i);
}

static void check_counts(struct machine *m, unsigned long owned, unsigned long held)
{
	unsigned long stats[NR_CACHE_STATS] = { 0 };
	unsigned long nr_free = 0, nr_owned = 0;
	struct allocator_report r;
	unsigned int n, i;

	for (n = 0; n < m->config.nr_nodes; n++) {
		allocator_report(&m->allocator, (int)n, &r);
		for (i = 0; i < NR_CACHE_STATS; i++)
			stats[i] += r.stats[i];
		nr_free += r.pages_free;
		nr_owned += r.pages_owned;
	}
	if (nr_owned != owned)
		machine_broken(m, "the core has %lu pages and counts %lu", owned,
			       nr_owned);
	if ((unsigned long)atomic_long_read(&m->allocator.owned) != owned)
		machine_broken(m,
			       "the core has %lu pages and holds %ld against its limit",
			       owned, atomic_long_read(&m->allocator.owned));
	if (!stats[STAT_QUARANTINED] && held + nr_free != owned)
		machine_broken(m, "%lu pages in use and %lu free are not the %lu owned",
			       held, nr_free, owned);
	if (stats[STAT_REFILLS] != stats[STAT_FLUSHES] ||
	    stats[STAT_FLUSHES] != m->map.flushes)
		machine_broken(m, "%lu refills, %lu flushes counted, %lu made",
			       stats[STAT_REFILLS], stats[STAT_FLUSHES], m->map.flushes);
	/* What was unmapped in vain is split, but in no statistics. */
	if (stats[STAT_SPLITS_2M] != m->map.splits_2m ||
	    stats[STAT_SPLITS_1G] != m->map.splits_1g)
		machine_broken(m, "splits: %lu and %lu counted, %lu and %lu made",
			       stats[STAT_SPLITS_2M], stats[STAT_SPLITS_1G],
			       m->map.splits_2m, m->map.splits_1g);
	if (stats[STAT_HEALS_2M] != m->map.heals_2m ||
	    stats[STAT_HEALS_1G] != m->map.heals_1g)
		machine_broken(m, "heals: %lu and %lu counted, %lu and %lu made",
			       stats[STAT_HEALS_2M], stats[STAT_HEALS_1G],
			       m->map.heals_2m, m->map.heals_1g);
}

/* What each node's cache counts of its blocks, against the blocks. */
static void check_node(struct machine *m, unsigned int nid)
{
	const struct cache *c = m->allocator.caches[nid];
	unsigned long fallback = 0, unhealed = 0, r;
	const struct block *b;
	unsigned int i;

	table_for_each_block(&m->allocator.table, r, i, b) {
		if (b->nid != nid)
			continue;
		fallback += b->flags & BLOCK_FALLBACK ? 1 : 0;
		unhealed += (b->flags & (BLOCK_LIVE | BLOCK_SPLIT)) == BLOCK_SPLIT;
	}
	if ((long)fallback != atomic_long_read(&c->nr_fallback))
		machine_broken(m, "node %u counts %ld blocks owned in part and has %lu",
			       nid, atomic_long_read(&c->nr_fallback), fallback);
	if ((long)unhealed != atomic_long_read(&c->nr_unhealed))
		machine_broken(m, "node %u counts %ld blocks to heal and has %lu", nid,
			       atomic_long_read(&c->nr_unhealed), unhealed);
}

void check_step(struct machine *m, bool pages)
{
	unsigned long block, owned = 0, held = 0;
	const char *wrong;
	unsigned int n;

	for (block = 0; block < m->map.nr_blocks; block++) {
		check_block(m, block, pages);
		owned += m->nr_core[block];
		held += m->nr_held[block];
	}
	check_counts(m, owned, held);
	for (n = 0; n < m->config.nr_nodes; n++)
		check_node(m, n);
	wrong = allocator_validate(&m->allocator);
	if (wrong)
		machine_broken(m, "allocator_validate(): %s", wrong);
	if (um_spin_depth)
		machine_broken(m, "a spinlock is still held");
}

static bool small_by(enum splitter now, enum splitter before)
{
	return now && now != SPLIT_BY_OTHERS && now != before;
}

void check_end(struct machine *m, const struct snapshot *s)
{
	struct directmap *d = &m->map;
	unsigned long b, r, i, pfn;
	bool lost = false;
	unsigned int cpu;

	for (i = 0; i < NR_FALLIBLE; i++) {
		m->fail_at[i] = -1;
		m->fails[i] = false;
	}
	um_fail_nth = -1;
	for (cpu = 0; m->config.threaded && cpu < m->config.nr_cpus; cpu++) {
		um_cpu = (int)cpu;
		allocator_drain_cpu(&m->allocator);
	}
	um_cpu = 0;
	/* Twice: what could not be healed the first time is tried again. */
	allocator_shrink(&m->allocator, -1, ~0UL, 0);
	allocator_shrink(&m->allocator, -1, ~0UL, 0);
	check_step(m, true);

	/* 5 and 8 */
	for (b = 0; b < d->nr_blocks; b++) {
		if (m->map_failed[b]) {
			if (!m->nr_core[b])
				machine_broken(
					m, "block %lu is quarantined and was released",
					b);
			lost = true;
			continue;
		}
		if (m->nr_core[b])
			machine_broken(m, "%u pages of block %lu are not given back",
				       m->nr_core[b], b);
		if (small_by(d->block_split[b], s->block_split[b]))
			machine_broken(m, "the entry of block %lu stays split", b);
		for (pfn = b << BLOCK_ORDER; pfn < (b + 1) << BLOCK_ORDER; pfn++)
			if (d->absent[pfn])
				machine_broken(m, "pfn %#lx stays absent", pfn);
	}
	for (r = 0; r < d->nr_regions; r++) {
		if (!small_by(d->region_split[r], s->region_split[r]) ||
		    m->config.cant_heal_regions || lost)
			continue;
		/* Others' small entries keep it from being healed. */
		for (b = r * REGION_BLOCKS;
		     b < min((r + 1) * REGION_BLOCKS, d->nr_blocks) && !d->block_split[b];
		     b++)
			;
		if (b == min((r + 1) * REGION_BLOCKS, d->nr_blocks))
			machine_broken(m, "the entry of region %lu stays split", r);
	}
	if (m->config.cant_heal_regions && d->splits_1g > d->nr_regions)
		machine_broken(m, "%lu splits of 1 GiB in %lu GiB", d->splits_1g,
			       d->nr_regions);
}
