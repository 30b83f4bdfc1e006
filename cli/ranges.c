// SPDX-License-Identifier: MIT
/*
 * What a walk found, as ranges: neighbours in the same state are one.
 */
#include "walk.h"

struct joiner {
	struct walk_range now;
	int (*fn)(void *arg, const struct walk_range *r);
	void *arg;
};

static int join(struct joiner *j, const struct walk_range *r)
{
	struct walk_range *n = &j->now;
	int err = 0;

	if (n->end == r->start && n->end && n->size == r->size &&
	    n->absent == r->absent && n->healable == r->healable) {
		n->end = r->end;
		n->absent_bytes += r->absent_bytes;
		return 0;
	}
	if (n->end)
		err = j->fn(j->arg, n);
	*n = *r;
	return err;
}

static int block_range(struct joiner *j, uint64_t start, const struct walk_block *b)
{
	struct walk_range r = {
		.start = start,
		.end = start + BLOCK_BYTES,
		.size = b->kind == KIND_TABLE ? ENTRY_4K : ENTRY_2M,
		.absent = b->mapped != b->ram,
		.healable = b->healable,
		.absent_bytes = (uint64_t)(b->ram - b->mapped) * KCORE_PAGE,
	};

	return b->ram ? join(j, &r) : 0;
}

int walk_ranges(const struct walk *w, int (*fn)(void *arg, const struct walk_range *r),
		void *arg)
{
	struct joiner j = { .fn = fn, .arg = arg };
	const struct walk_region *r;
	unsigned int i;
	int err = 0;

	for (r = w->regions; !err && r < w->regions + w->nr_regions; r++) {
		struct walk_range whole = {
			.start = r->start,
			.end = r->start + REGION_BYTES,
			.size = ENTRY_1G,
			.absent = r->kind != KIND_MAPPED,
		};

		if (whole.absent)
			whole.absent_bytes = r->ram * (uint64_t)KCORE_PAGE;
		if (r->kind != KIND_TABLE)
			err = join(&j, &whole);
		for (i = 0; !err && r->blocks && i < REGION_BLOCKS; i++)
			err = block_range(&j, r->start + i * BLOCK_BYTES, &r->blocks[i]);
	}
	return err || !j.now.end ? err : fn(arg, &j.now);
}
