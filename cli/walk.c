// SPDX-License-Identifier: MIT
/*
 * The page tables of the direct map, read level by level.
 *
 * Tables lie anywhere in memory, and each read of /proc/kcore is a system call.  So
 * the tables of a level are first collected, then sorted by where they are, and
 * neighbours are read with one call.  Nothing but tables is read.
 *
 * Every entry of the direct map says its own address, but for a constant.  An entry
 * that does not is a sign that a table was changed, or freed and used for something
 * else, while it was read.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "walk.h"

#define ENTRIES	      512
#define ENTRY_PRESENT 0x001ULL
#define ENTRY_LARGE   0x080ULL
#define ENTRY_PAT     0x1000ULL /* of a large entry */
/*
 * What may differ within what could be one entry: accessed, dirty, global and bits
 * for software.  Pages that come back from memfd_secret(2) have lost GLOBAL, so
 * nothing would ever be healable if that counted.
 */
#define ENTRY_DONT_CARE 0x760ULL
#define ENTRY_KEEP_4K	0x800ULL /* small on purpose: set_memory_4k() */
#define RUN_TABLES	64
#define TRIES		3

typedef uint64_t table_t[ENTRIES];

struct pending { /* a table still to be read, and what it maps */
	uint64_t table;
	uint32_t region, block;
};

struct queue {
	struct pending *items;
	size_t nr, size;
};

struct walker {
	struct walk *w;
	struct kcore *k;
	walk_table_fn fn;
	void *arg;
	struct queue pmds, ptes;
	table_t *run; /* RUN_TABLES of them */
};

static uint64_t address(const struct walker *v, uint64_t entry)
{
	return entry & v->k->address_bits;
}

static bool is_table(uint64_t entry)
{
	return (entry & (ENTRY_PRESENT | ENTRY_LARGE)) == ENTRY_PRESENT;
}

static bool is_leaf(uint64_t entry)
{
	return (entry & (ENTRY_PRESENT | ENTRY_LARGE)) == (ENTRY_PRESENT | ENTRY_LARGE);
}

static uint64_t flags(const struct walker *v, uint64_t entry)
{
	return entry & ~v->k->address_bits & ~ENTRY_DONT_CARE;
}

static int queue_add(struct walker *v, struct queue *q, uint64_t table, size_t region,
		     size_t block)
{
	struct pending *more;

	/* Every table is a page of its own, so there are not more of them. */
	if (v->pmds.nr + v->ptes.nr >= v->k->nr_pages) {
		snprintf(v->k->error, sizeof(v->k->error),
			 "more page tables than pages in the file");
		return -EINVAL;
	}
	if (q->nr == q->size) {
		q->size = q->size ? q->size * 2 : 256;
		more = reallocarray(q->items, q->size, sizeof(*more));
		if (!more)
			return -ENOMEM;
		q->items = more;
	}
	q->items[q->nr++] = (struct pending){ table, (uint32_t)region, (uint32_t)block };
	return 0;
}

static int by_table(const void *a, const void *b)
{
	const struct pending *x = a, *y = b;

	return (x->table > y->table) - (x->table < y->table);
}

static int read_tables(struct walker *v, uint64_t vaddr, table_t *to, size_t nr)
{
	int err = kcore_read(v->k, vaddr, to, nr * sizeof(*to));
	size_t i;

	if (err) {
		snprintf(v->k->error, sizeof(v->k->error),
			 "can't read a page table at 0x%" PRIx64 ": %s", vaddr,
			 err == -EFAULT ? "not in the file" : strerror(-err));
		return err;
	}
	v->w->totals.tables += nr;
	for (i = 0; v->fn && !err && i < nr; i++)
		err = v->fn(v->arg, vaddr + i * sizeof(*to), to[i]);
	return err;
}

/* --- levels 1 and 2: a table at a time, by queue ---------------------------- */

/* Which pages of a block are memory: a bit each. */
static void ram_bits(const struct walker *v, uint64_t start, uint64_t bits[8])
{
	const struct kcore_ram *r = kcore_ram_first(v->k, start);
	const struct kcore_ram *end = v->k->ram + v->k->nr_ram;
	uint64_t page;

	for (; r < end && r->start < start + BLOCK_BYTES; r++) {
		page = r->start > start ? (r->start - start) / KCORE_PAGE : 0;
		for (; page < BLOCK_PAGES && start + page * KCORE_PAGE < r->end; page++)
			bits[page / 64] |= 1ULL << page % 64;
	}
}

static unsigned int count(uint64_t x)
{
	return (unsigned int)__builtin_popcountll(x);
}

static int visit_pte_table(struct walker *v, const struct pending *p, const uint64_t *e)
{
	struct walk_region *r = &v->w->regions[p->region];
	struct walk_block *b = &r->blocks[p->block];
	struct walk_totals *t = &v->w->totals;
	uint64_t start = r->start + p->block * BLOCK_BYTES;
	uint64_t present[8] = {}, ram[8] = {};
	unsigned int i, entries = 0, same = 0;

	for (i = 0; i < ENTRIES; i++) {
		entries += e[i] != 0;
		if (!(e[i] & ENTRY_PRESENT))
			continue;
		present[i / 64] |= 1ULL << i % 64;
		t->foreign += address(v, e[i]) != start + i * KCORE_PAGE;
		same += flags(v, e[i]) == flags(v, e[0]);
	}
	if (b->ram == BLOCK_PAGES)
		memset(ram, 0xff, sizeof(ram));
	else if (b->ram)
		ram_bits(v, start, ram);
	b->kind = KIND_TABLE;
	t->blank += !entries && b->ram;
	for (i = 0; i < 8; i++)
		b->mapped = (uint16_t)(b->mapped + count(present[i] & ram[i]));
	b->healable = same == ENTRIES && b->ram == BLOCK_PAGES && !(e[0] & ENTRY_KEEP_4K);
	t->entries[ENTRY_4K] += entries * (uint64_t)KCORE_PAGE;
	return 0;
}

static bool is_blank(const uint64_t *e)
{
	unsigned int i;

	for (i = 0; i < ENTRIES; i++)
		if (e[i])
			return false;
	return true;
}

static int visit_pmd_table(struct walker *v, const struct pending *p, const uint64_t *e)
{
	struct walk_region *r = &v->w->regions[p->region];
	struct walk_totals *t = &v->w->totals;
	unsigned int i, same = 0;
	uint64_t start;
	int err = 0;

	r->blocks = calloc(REGION_BLOCKS, sizeof(*r->blocks));
	if (!r->blocks)
		return -ENOMEM;
	r->kind = KIND_TABLE;
	t->blank += r->ram && is_blank(e);
	for (i = 0; !err && i < ENTRIES; i++) {
		struct walk_block *b = &r->blocks[i];

		start = r->start + i * BLOCK_BYTES;
		b->ram = (uint16_t)kcore_ram_pages(v->k, start, start + BLOCK_BYTES);
		if (is_table(e[i])) {
			err = queue_add(v, &v->ptes, address(v, e[i]), p->region, i);
			continue;
		}
		if (!e[i])
			continue;
		t->entries[ENTRY_2M] += BLOCK_BYTES;
		b->kind = is_leaf(e[i]) ? KIND_MAPPED : KIND_ABSENT;
		if (!is_leaf(e[i]))
			continue;
		b->mapped = b->ram;
		t->foreign += (address(v, e[i]) & ~ENTRY_PAT) != start;
		same += flags(v, e[i]) == flags(v, e[0]);
	}
	r->healable = same == ENTRIES && r->ram == REGION_BYTES / KCORE_PAGE;
	return err;
}

static int visit_queue(struct walker *v, struct queue *q,
		       int (*visit)(struct walker *, const struct pending *,
				    const uint64_t *))
{
	size_t i, j, first, nr;
	uint64_t base;
	int err = 0;

	if (q->nr)
		qsort(q->items, q->nr, sizeof(*q->items), by_table);
	for (first = 0; !err && first < q->nr; first = j) {
		base = q->items[first].table;
		nr = 1;
		/* Neighbours, and the same one again, which only a forger has. */
		for (j = first + 1; j < q->nr && nr < RUN_TABLES; j++) {
			if (q->items[j].table == base + nr * KCORE_PAGE)
				nr++;
			else if (q->items[j].table != base + (nr - 1) * KCORE_PAGE)
				break;
		}
		err = read_tables(v, v->k->page_offset + base, v->run, nr);
		for (i = first; !err && i < j; i++)
			err = visit(v, &q->items[i],
				    v->run[(q->items[i].table - base) / KCORE_PAGE]);
	}
	return err;
}

/* --- the levels above, a GiB at a time -------------------------------------- */

/* The table of one level on the way to a region; kept for the next one. */
struct step {
	uint64_t vaddr; /* 0: none read yet */
	table_t table;
};

static int step_read(struct walker *v, struct step *s, uint64_t vaddr)
{
	int err;

	if (s->vaddr == vaddr)
		return 0;
	s->vaddr = 0;
	err = read_tables(v, vaddr, &s->table, 1);
	if (!err)
		s->vaddr = vaddr;
	return err;
}

static int visit_regions(struct walker *v)
{
	static const unsigned int shifts[] = { 48, 39, 30 };
	unsigned int first = v->k->five_levels ? 0 : 1, level;
	struct walk_totals *t = &v->w->totals;
	struct step steps[3] = {};
	uint64_t vaddr, table, entry = 0;
	struct walk_region *r;
	size_t i;
	int err;

	for (i = 0; i < v->w->nr_regions; i++) {
		r = &v->w->regions[i];
		vaddr = v->k->page_offset + r->start;
		table = v->k->top_table;
		for (level = first; level < 3; level++) {
			err = step_read(v, &steps[level], table);
			if (err)
				return err;
			entry = steps[level].table[vaddr >> shifts[level] & 511];
			if (!is_table(entry))
				break;
			table = v->k->page_offset + address(v, entry);
		}
		if (level == 3) {
			err = queue_add(v, &v->pmds, address(v, entry), i, 0);
			if (err)
				return err;
			continue;
		}
		if (level != 2 || !entry)
			continue; /* KIND_NONE */
		r->kind = is_leaf(entry) ? KIND_MAPPED : KIND_ABSENT;
		t->entries[ENTRY_1G] += REGION_BYTES;
		t->foreign += is_leaf(entry) &&
			      (address(v, entry) & ~ENTRY_PAT) != r->start;
	}
	return 0;
}

/* The kernel's image is mapped once more, by a GiB of 2 MiB entries. */
static int visit_image(struct walker *v)
{
	static const unsigned int shifts[] = { 48, 39, 30 };
	unsigned int level, i;
	uint64_t vaddr = v->k->top_table, entry;
	struct step s = {};
	int err;

	for (level = v->k->five_levels ? 0 : 1; level < 3; level++) {
		err = step_read(v, &s, vaddr);
		if (err)
			return err;
		entry = s.table[KCORE_IMAGE >> shifts[level] & 511];
		if (!is_table(entry))
			return 0;
		vaddr = v->k->page_offset + address(v, entry);
	}
	err = step_read(v, &s, vaddr);
	for (i = 0; !err && i < ENTRIES; i++)
		v->w->totals.image_splits += is_table(s.table[i]);
	return err;
}

/* --- all of it -------------------------------------------------------------- */

static int regions_make(struct walk *w, struct kcore *k, size_t max)
{
	uint64_t nr, next = 0, last;
	struct walk_region *more;
	size_t i, size = 0;

	for (i = 0; i < k->nr_ram; i++) {
		last = (k->ram[i].end - 1) / REGION_BYTES;
		if (k->ram[i].start / REGION_BYTES > next)
			next = k->ram[i].start / REGION_BYTES;
		if (last < next)
			continue;
		nr = last + 1 - next;
		if (nr > max - w->nr_regions) {
			snprintf(k->error, sizeof(k->error),
				 "more than %zu GiB of memory", max);
			return -EFBIG;
		}
		if (w->nr_regions + nr > size) {
			size = (w->nr_regions + nr) * 2;
			more = reallocarray(w->regions, size, sizeof(*more));
			if (!more)
				return -ENOMEM;
			w->regions = more;
		}
		for (; next <= last; next++) {
			uint64_t start = next * REGION_BYTES;

			w->regions[w->nr_regions++] = (struct walk_region){
				.start = start,
				.ram = (uint32_t)kcore_ram_pages(k, start,
								 start + REGION_BYTES),
			};
		}
	}
	return 0;
}

static void add_up_block(struct walk_totals *t, const struct walk_block *b)
{
	enum entry_size size = b->kind == KIND_TABLE ? ENTRY_4K : ENTRY_2M;

	t->mapped[size] += b->mapped * (uint64_t)KCORE_PAGE;
	t->absent[size] += (uint64_t)(b->ram - b->mapped) * KCORE_PAGE;
	if (b->healable)
		t->healable_2m += BLOCK_BYTES;
}

static void add_up(struct walk *w)
{
	struct walk_totals *t = &w->totals;
	const struct walk_region *r;
	unsigned int i;

	for (r = w->regions; r < w->regions + w->nr_regions; r++) {
		uint64_t bytes = r->ram * (uint64_t)KCORE_PAGE;

		t->ram += bytes;
		if (r->healable)
			t->healable_1g += REGION_BYTES;
		if (r->kind == KIND_MAPPED)
			t->mapped[ENTRY_1G] += bytes;
		else if (r->kind != KIND_TABLE)
			t->absent[ENTRY_1G] += bytes;
		for (i = 0; r->blocks && i < REGION_BLOCKS; i++)
			add_up_block(t, &r->blocks[i]);
	}
}

static int walk_once(struct walk *w, struct kcore *k, size_t max, walk_table_fn fn,
		     void *arg)
{
	struct walker v = { .w = w, .k = k, .fn = fn, .arg = arg };
	int err;

	memset(w, 0, sizeof(*w));
	v.run = malloc(RUN_TABLES * sizeof(table_t));
	err = v.run ? regions_make(w, k, max) : -ENOMEM;
	if (!err)
		err = visit_regions(&v);
	if (!err)
		err = visit_image(&v);
	if (!err)
		err = visit_queue(&v, &v.pmds, visit_pmd_table);
	if (!err)
		err = visit_queue(&v, &v.ptes, visit_pte_table);
	if (!err)
		add_up(w);
	if (err == -ENOMEM)
		snprintf(k->error, sizeof(k->error), "out of memory");
	free(v.run);
	free(v.pmds.items);
	free(v.ptes.items);
	return err;
}

int walk_read(struct walk *w, struct kcore *k, size_t max_regions, walk_table_fn table,
	      void *arg)
{
	int err, tries = TRIES;

	do {
		err = walk_once(w, k, max_regions ? max_regions : WALK_REGIONS_MAX, table,
				arg);
		if (err || !w->totals.foreign || !--tries)
			break;
		walk_free(w);
	} while (true);
	if (err)
		walk_free(w);
	return err;
}

void walk_free(struct walk *w)
{
	size_t i;

	for (i = 0; i < w->nr_regions; i++)
		free(w->regions[i].blocks);
	free(w->regions);
	w->regions = NULL;
	w->nr_regions = 0;
}
