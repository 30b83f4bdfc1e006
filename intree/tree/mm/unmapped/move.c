// SPDX-License-Identifier: GPL-2.0
/*
 * Moving what is in the way of a block that is owned in part.
 *
 * Stealing (steal.c) completes such a block out of what others free in it.  Page
 * cache, tmpfs and memory of programs may be there for long, but need not be there:
 * when nothing else is left in the block, they are moved elsewhere as compaction
 * does it, and their old pages are freed, and stolen.  A block with anything that
 * can't be moved is left alone, as it would not become whole.
 */
#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/mm_inline.h>
#include <linux/mutex.h>
#include <linux/nodemask.h>
#include <linux/sched.h>

#include "../internal.h"
#include "core/adopt.h"
#include "host.h"
#include "move.h"

static atomic_long_t nr_moved;

static bool is_ours(const struct block *b, unsigned int i)
{
	return READ_ONCE(block_masks(b)->owned[i / BITS_PER_LONG]) &
	       BIT(i % BITS_PER_LONG);
}

/*
 * How many pages of a block would have to be moved for all of it to be ours; 0 if
 * there is anything that can't be.  What has no references is free, or about to be.
 */
static unsigned long pages_to_move(const struct block *b)
{
	struct page *page = pfn_to_page(block_pfn(b));
	unsigned long nr = 0;
	unsigned int i;

	for (i = 0; i < BLOCK_PAGES; i++, page++) {
		if (is_ours(b, i) || !page_ref_count(compound_head(page)))
			continue;
		if (!PageLRU(page))
			return 0;
		nr++;
	}
	return nr;
}

/* Off the LRU lists.  Return: whether all could be taken. */
static bool isolate(const struct block *b, struct list_head *list)
{
	unsigned int i;

	for (i = 0; i < BLOCK_PAGES; i++) {
		struct page *page = pfn_to_page(block_pfn(b) + i);
		struct folio *folio = page_folio(page);
		bool good;

		if (is_ours(b, i) || !folio_try_get(folio))
			continue;
		/* The second half of one that was taken is not on a list any more. */
		good = page_folio(page) != folio || !folio_test_lru(folio) ||
		       (!folio_maybe_dma_pinned(folio) &&
			isolate_folio_to_list(folio, list));
		folio_put(folio);
		if (!good)
			return false;
	}
	return true;
}

/* Pages moved off one block, or 0.  At most @most are. */
static unsigned long move_from(struct cache *c, const struct block *b, unsigned long most)
{
	struct migration_target_control target = {
		.nid = c->nid,
		.nmask = &node_states[N_MEMORY],
		.gfp_mask = GFP_HIGHUSER_MOVABLE | __GFP_NORETRY | __GFP_NOWARN,
	};
	unsigned long nr = 0;
	LIST_HEAD(folios);

	/* While pieces are in this block, its memory can't go offline. */
	mutex_lock(&c->refill_lock);
	if (cache_owns_in_part(c, b)) {
		nr = pages_to_move(b);
		if (nr && (nr > most || !isolate(b, &folios)))
			nr = 0;
	}
	mutex_unlock(&c->refill_lock);
	if (nr && !list_empty(&folios) &&
	    migrate_pages(&folios, alloc_migration_target, NULL, (unsigned long)&target,
			  MIGRATE_SYNC_LIGHT, MR_CONTIG_RANGE, NULL))
		nr = 0;
	putback_movable_pages(&folios);
	return nr;
}

void move_neighbours(struct cache *c, unsigned long most)
{
	unsigned long reg, nr, moved = 0;
	struct block *b;
	unsigned int i;

	table_for_each_block(&c->allocator->table, reg, i, b) {
		if (!cache_owns_in_part(c, b))
			continue;
		nr = move_from(c, b, most - moved);
		atomic_long_add((long)nr, &nr_moved);
		moved += nr;
		cond_resched();
	}
}

unsigned long moved_pages(void)
{
	return (unsigned long)atomic_long_read(&nr_moved);
}
