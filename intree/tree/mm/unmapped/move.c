// SPDX-License-Identifier: GPL-2.0
/*
 * Moving what is in the way of a block that is owned in part.
 *
 * Stealing (steal.c) completes such a block out of what others free in it.  Page
 * cache, tmpfs and memory of programs may be there for long, but need not be there:
 * when nothing that can't be moved is left in the block, they are moved to another
 * place of their zone, and their old pages are freed, and stolen.
 *
 * It is a favour to us, so others must not notice: no reclaim is done for it, nobody's
 * lock or I/O is waited for, memory that is locked stays, and a block where it
 * failed is left alone for longer each time.  No lock of ours is held meanwhile.
 */
#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/mm_inline.h>
#include <linux/mutex.h>
#include <linux/sched.h>

#include "../internal.h"
#include "core/adopt.h"
#include "host.h"
#include "move.h"
#include "steal.h"

/* At one call, in pages. */
#define MOVE_MAX 8192UL
/* Pages of a block that may be with the page allocator: these come later, or not. */
#define FREE_MAX (BLOCK_PAGES / 8)

/*
 * Blocks where it failed, by their number: what it is, and how many calls it is
 * still left alone.  One of many blocks with the same place is forgotten.
 */
#define FAILED	  256U
#define PAUSE_MAX 4096U

static struct failure {
	u32 number;
	unsigned int pause, left;
} failures[FAILED]; /* only one worker is here */

static atomic_long_t nr_moved;

static struct failure *failure_of(const struct block *b)
{
	struct failure *f = &failures[b->number % FAILED];

	if (f->number != b->number)
		*f = (struct failure){ .number = b->number };
	return f;
}

static bool is_ours(const struct block *b, unsigned int i)
{
	return READ_ONCE(block_masks(b)->owned[i / BITS_PER_LONG]) &
	       BIT(i % BITS_PER_LONG);
}

/*
 * A page that has no references is on its way to or from a list, or on one, unless
 * it has a type: newer kernels have none for slab.
 */
static bool is_unused(struct page *page)
{
	struct page *head = compound_head(page);

	return !page_ref_count(head) && (PageBuddy(head) || !page_has_type(head));
}

/* On a list of free pages, from here on; it may be gone from there by now. */
static unsigned long pages_free_at(struct page *page)
{
	if (!PageBuddy(page))
		return 0;
	return 1UL << min_t(unsigned long, buddy_order_unsafe(page), BLOCK_ORDER);
}

/* A folio that we have a reference to. */
static bool may_be_moved(struct folio *folio, struct page *page)
{
	return folio_test_lru(folio) && !folio_test_unevictable(folio) &&
	       !folio_maybe_dma_pinned(folio) && !PageHWPoison(page);
}

/* How many pages of a block would have to be moved; 0 if there is one that can't be. */
static unsigned long pages_to_move(const struct block *b)
{
	unsigned long nr = 0, unused = 0;
	unsigned int i;

	for (i = 0; i < BLOCK_PAGES; i++) {
		struct page *page = pfn_to_page(block_pfn(b) + i);
		struct folio *folio = page_folio(page);
		bool good;

		if (is_ours(b, i))
			continue;
		if (!folio_try_get(folio)) {
			if (!is_unused(page))
				return 0;
			unused += pages_free_at(page);
			continue;
		}
		good = page_folio(page) == folio && may_be_moved(folio, page);
		folio_put(folio);
		if (!good)
			return 0;
		nr++;
	}
	return unused <= FREE_MAX ? nr : 0;
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
		/* Not on an LRU list: a further page of a folio that was taken. */
		good = page_folio(page) == folio &&
		       (!folio_test_lru(folio) || (may_be_moved(folio, page) &&
						   isolate_folio_to_list(folio, list)));
		folio_put(folio);
		if (!good)
			return false;
	}
	return true;
}

/* In the zone where it is: what a mapping has asked for, and a policy. */
static struct folio *target(struct folio *src, unsigned long nid)
{
	gfp_t gfp = __GFP_MOVABLE | __GFP_THISNODE | __GFP_NOMEMALLOC | __GFP_NOWARN;

	switch (folio_zonenum(src)) {
	case ZONE_NORMAL:
		break;
	case ZONE_DMA32:
		gfp |= __GFP_DMA32;
		break;
	case ZONE_MOVABLE:
		gfp |= __GFP_HIGHMEM;
		break;
	default:
		return NULL;
	}
	return __folio_alloc_node(gfp, folio_order(src), (int)nid);
}

/*
 * Return: pages moved off one block, at most @most; *@failed: not all that should
 * have been.
 */
static unsigned int move_from(struct cache *c, const struct block *b, unsigned long most,
			      bool *failed)
{
	unsigned int moved = 0;
	unsigned long nr = 0;
	LIST_HEAD(folios);

	*failed = false;
	/* While pieces are in this block, its memory can't go offline. */
	mutex_lock(&c->refill_lock);
	if (steal_wants(pfn_to_page(block_pfn(b)))) {
		nr = pages_to_move(b);
		if (nr > most)
			nr = 0;
		else if (nr)
			*failed = !isolate(b, &folios);
	}
	mutex_unlock(&c->refill_lock);
	if (nr && !*failed && !list_empty(&folios))
		*failed = migrate_pages(&folios, target, NULL, (unsigned long)c->nid,
					MIGRATE_ASYNC, MR_CONTIG_RANGE, &moved);
	putback_movable_pages(&folios);
	return moved;
}

void move_neighbours(struct cache *c, unsigned long most)
{
	unsigned long reg, moved = 0;
	struct region *region;
	struct failure *f;
	struct block *b;
	unsigned int i;
	bool failed;

	most = min(most, MOVE_MAX);
	table_for_each_odd_region(&c->allocator->table, reg, region) {
		for (i = 0; i < REGION_BLOCKS && moved < most; i++) {
			b = &region->blocks[i];
			if (!cache_owns_in_part(c, b))
				continue;
			f = failure_of(b);
			if (f->left && f->left--)
				continue;
			moved += move_from(c, b, most - moved, &failed);
			f->pause = failed ? clamp(f->pause * 2, 1U, PAUSE_MAX) : 0;
			f->left = f->pause;
			cond_resched();
		}
		cond_resched();
	}
	atomic_long_add((long)moved, &nr_moved);
}

unsigned long moved_pages(void)
{
	return (unsigned long)atomic_long_read(&nr_moved);
}
