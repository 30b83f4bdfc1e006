// SPDX-License-Identifier: GPL-2.0 OR MIT
/* What the allocator holds, and whether all of it fits together. */
#include "allocator.h"

static void report_magazines(struct cache *c, struct allocator_report *r)
{
	unsigned int cpu, kind, pages;

	for_each_possible_cpu(cpu) {
		for (kind = 0; kind < NR_KINDS; kind++) {
			pages = hweight32(magazine_pages(
				READ_ONCE(per_cpu_ptr(c->cpu, cpu)->magazine[kind])));
			r->pages_free += pages;
			r->free[0] += pages;
		}
	}
}

/* Count each free run once, at the largest order that it is aligned for. */
static void report_runs(const struct block *b, struct allocator_report *r)
{
	unsigned int i = 0, order;

	if (atomic_read(&b->nr_free) == BLOCK_PAGES) {
		r->free[BLOCK_ORDER]++;
		return;
	}
	while (i < BLOCK_PAGES) {
		unsigned long w =
			(unsigned long)atomic_long_read(&b->words[i / BITS_PER_LONG]);
		unsigned int bit = i % BITS_PER_LONG;

		if (!(w >> bit & 1)) {
			i++;
			continue;
		}
		order = 0;
		while (order < WORD_ORDER && !(bit & ((2U << order) - 1)) &&
		       !(~w & word_mask(bit, order + 1)))
			order++;
		if (order == WORD_ORDER) {
			while (order < BLOCK_ORDER - 1 && !(i & ((2U << order) - 1))) {
				unsigned int k, whole = 1;

				for (k = 1U << (order - WORD_ORDER);
				     k < 2U << (order - WORD_ORDER); k++)
					whole &= !~(unsigned long)atomic_long_read(
						&b->words[i / BITS_PER_LONG + k]);
				if (!whole)
					break;
				order++;
			}
		}
		r->free[order]++;
		i += 1U << order;
	}
}

void allocator_report(struct allocator *a, int nid, struct allocator_report *r)
{
	struct cache *c = a->caches[nid];
	unsigned long reg;
	struct block *b;
	unsigned int i;
	int nr_free;

	memset(r, 0, sizeof(*r));
	if (!c)
		return;
	for (i = 0; i < NR_CACHE_STATS; i++)
		r->stats[i] = (unsigned long)atomic_long_read(&c->stats[i]);
	r->pages_owned = r->stats[STAT_PAGES_OWNED];
	report_magazines(c, r);
	table_for_each_block(&a->table, reg, i, b) {
		if ((int)b->nid != nid || !(READ_ONCE(b->flags) & BLOCK_LIVE))
			continue;
		nr_free = max(atomic_read(&b->nr_free), 0);
		r->pages_free += (unsigned long)nr_free;
		if (b->flags & BLOCK_FALLBACK)
			r->fallback++;
		else if (nr_free == BLOCK_PAGES)
			r->whole++;
		else if (nr_free)
			r->partial++;
		else
			r->full++;
		if (!(b->flags & BLOCK_QUARANTINED))
			report_runs(b, r);
	}
	/* A refill that is not over yet has made some free, and not yet counted them. */
	r->pages_free = min(r->pages_free, r->pages_owned);
}

/* --- validation ---------------------------------------------------------- */

static bool is_active(struct allocator *a, const struct block *b)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu)
		if (per_cpu_ptr(a->caches[b->nid]->cpu, cpu)->active == b)
			return true;
	return false;
}

static const char *check_block(struct allocator *a, struct block *b)
{
	unsigned int word, bits = 0, owned = 0;
	int nr_free = atomic_read(&b->nr_free);
	unsigned long w;

	for (word = 0; word < BLOCK_WORDS; word++) {
		w = (unsigned long)atomic_long_read(&b->words[word]);
		bits += hweight_long(w);
		if (b->masks && b->flags & BLOCK_LIVE) {
			owned += hweight_long(b->masks->owned[word]);
			if (w & ~b->masks->owned[word])
				return "a page is free that is not owned";
		}
	}
	if (b->flags & BLOCK_QUARANTINED)
		return b->list_id == BLOCK_UNLISTED ? NULL
						    : "a quarantined block is listed";
	if ((int)bits != nr_free)
		return "nr_free differs from the free bits";
	if (!(b->flags & BLOCK_LIVE)) {
		if (nr_free || b->nr_owned || b->list_id != BLOCK_UNLISTED)
			return "a block that is not in use holds pages";
		return NULL;
	}
	if (b->nid >= a->nr_nodes || !a->caches[b->nid])
		return "a block is of a node that there is not";
	if (b->masks && owned != b->nr_owned)
		return "nr_owned differs from the owned bits";
	if (!(b->flags & BLOCK_FALLBACK) != (b->nr_owned == BLOCK_PAGES))
		return "a block is owned in part and not marked so, or the reverse";
	if (b->list_id == BLOCK_ACTIVE)
		return is_active(a, b) ? NULL : "no CPU is on an active block";
	if (!nr_free != (b->list_id == BLOCK_UNLISTED))
		return "a block with free pages is not listed, or the reverse";
	if ((nr_free == BLOCK_PAGES) != (b->list_id == LIST_WHOLE))
		return "a whole block is not on the list of whole ones, or the reverse";
	return NULL;
}

static const char *check_lists(struct cache *c, const struct shard *s)
{
	unsigned long whole = 0;
	struct block *b;
	unsigned int id;

	for (id = 0; id < NR_LISTS; id++) {
		list_for_each_entry(b, &s->lists[id], list) {
			if (b->list_id != id || (int)b->nid != c->nid ||
			    cache_shard(c, b) != s)
				return "a block does not know its list";
			whole += id == LIST_WHOLE;
		}
		if (id < LIST_WHOLE &&
		    list_empty(&s->lists[id]) ==
			    (s->occupied[id / NR_STEPS] >> id % NR_STEPS & 1))
			return "an empty list is marked occupied, or the reverse";
	}
	return whole == s->nr_whole ? NULL : "nr_whole is wrong";
}

static const char *check_magazine(struct allocator *a, struct cache *c, u64 m)
{
	struct block *b = table_lookup(&a->table, magazine_pfn(m));
	unsigned int index = magazine_pfn(m) % BLOCK_PAGES;

	if (!magazine_pages(m))
		return NULL;
	if (!b || !(b->flags & BLOCK_LIVE) || (int)b->nid != c->nid)
		return "a magazine holds pages of no block of its node";
	if ((unsigned long)atomic_long_read(&b->words[index / BITS_PER_LONG]) >>
		    index % BITS_PER_LONG &
	    magazine_pages(m))
		return "a page is in a magazine and in its block";
	return NULL;
}

static const char *check_magazines(struct allocator *a, struct cache *c)
{
	const char *wrong = NULL;
	unsigned int cpu, kind;

	for_each_possible_cpu(cpu)
		for (kind = 0; kind < NR_KINDS && !wrong; kind++)
			wrong = check_magazine(a, c,
					       per_cpu_ptr(c->cpu, cpu)->magazine[kind]);
	return wrong;
}

const char *allocator_validate(struct allocator *a)
{
	unsigned long r, nr_blocks, owned = 0;
	const char *wrong = NULL;
	struct region *region;
	struct block *b;
	unsigned int i, n;

	for (r = 0; r < table_nr_regions(&a->table); r++) {
		region = table_region_nr(&a->table, r);
		if (!region)
			continue;
		nr_blocks = 0;
		for (i = 0; i < REGION_BLOCKS && !wrong; i++) {
			b = &region->blocks[i];
			wrong = check_block(a, b);
			nr_blocks += !!(b->flags & BLOCK_LIVE);
			owned += b->nr_owned;
		}
		if (!wrong && (int)nr_blocks != atomic_read(&region->nr_blocks))
			wrong = "a region counts its blocks wrongly";
		if (!wrong && nr_blocks < REGION_BLOCKS &&
		    atomic_read(&region->one_entry))
			wrong = "a region is absent by one entry and not all ours";
	}
	for (n = 0; n < a->nr_nodes && !wrong; n++) {
		if (!a->caches[n])
			continue;
		for (i = 0; i < NR_SHARDS && !wrong; i++)
			wrong = check_lists(a->caches[n], &a->caches[n]->shards[i]);
		if (!wrong)
			wrong = check_magazines(a, a->caches[n]);
		owned -= (unsigned long)atomic_long_read(
			&a->caches[n]->stats[STAT_PAGES_OWNED]);
	}
	if (!wrong && owned)
		wrong = "the pages owned are not those of the blocks";
	return wrong;
}
