// SPDX-License-Identifier: GPL-2.0
/*
 * Healing by asking: what lives in pieces moves into whole blocks.
 *
 * When the system had no whole block, pieces of some were taken, and their entries
 * split.  Such a block is whole again when all of it is ours, or none.  The rest
 * of it can't be asked for: alloc_contig_range() isolates whole pageblocks, which
 * blocks are, and refuses one that holds a page of ours in use, as nobody but us
 * could move that.  So it is done the other way round: now and then the system is
 * asked for a whole block, and what objects have in pieces is moved there, page by
 * page, while it is mapped (object_move()).  Then the pieces go back, and their
 * entries heal.
 *
 * Nothing runs while no block is owned in part, and the system is asked only when
 * there is something to move or to give back.  Pages of kernel callers stay where
 * they are: somebody has their addresses.
 */
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/nodemask.h>
#include <linux/unmapped.h>

#include "heal.h"
#include "holders.h"
#include "host.h"
#include "object.h"
#include "pm.h"

/* No more blocks are asked for in one go after so much time. */
#define BUDGET (50 * NSEC_PER_MSEC)

static struct cache *cache_of(const struct spare *s)
{
	return allocator_cache(&unmapped_allocator, s->nid);
}

/* A block, if it is easily had; if not, that is all for now. */
static bool ask(struct spare *s)
{
	const gfp_t gfp = GFP_KERNEL | __GFP_ZERO | __GFP_NOWARN | __GFP_NORETRY |
			  __GFP_THISNODE;

	cache_count(cache_of(s), STAT_HEAL_ASKED, 1);
	s->used = 0;
	s->block =
		unmapped_pages_alloc_nodes(s->nid, NULL, gfp, BLOCK_ORDER, BLOCK_PAGES);
	if (!s->block) {
		s->used = BLOCK_PAGES;
		s->until = 0;
		return false;
	}
	cache_count(cache_of(s), STAT_HEAL_GOT, 1);
	return true;
}

/* What was not needed of the last one. */
static void give_back(struct spare *s)
{
	unsigned int order;

	while (s->block && s->used < BLOCK_PAGES) {
		order = s->used ? __ffs(s->used) : BLOCK_ORDER;
		unmapped_pages_free(s->block + s->used, order);
		s->used += 1U << order;
	}
	s->block = NULL;
}

bool spare_wants(const struct spare *s, struct page *page)
{
	return page_to_nid(page) == s->nid &&
	       allocator_in_pieces(&unmapped_allocator, page_to_pfn(page));
}

unsigned int spare_left(struct spare *s)
{
	/*
	 * A block that was had is used up, however long it takes: what is left of it
	 * would go back, and with a limit there may be no room for another.
	 */
	if (s->used == BLOCK_PAGES && (ktime_get_ns() > s->until || !ask(s)))
		return 0;
	return BLOCK_PAGES - s->used;
}

struct page *spare_page(struct spare *s)
{
	return s->block + s->used++;
}

static void heal_node(int nid)
{
	struct spare s = { .nid = nid, .until = ktime_get_ns() + BUDGET };
	unsigned long moved;

	if (!allocator_free_in_pieces(&unmapped_allocator, nid) && !holders_in_pieces(&s))
		return;
	if (!ask(&s))
		return;
	moved = holders_move(&s);
	cache_count(cache_of(&s), STAT_HEAL_MOVED, (long)moved);
	give_back(&s);
	allocator_release_pieces(&unmapped_allocator, nid);
}

bool heal_by_asking(void)
{
	bool more = false;
	int nid;

	for_each_node_state(nid, N_MEMORY) {
		if (!allocator_has_pieces(&unmapped_allocator, nid))
			continue;
		/* No object is wiped meanwhile, nor an image made with our block. */
		if (!pm_enter())
			return true;
		heal_node(nid);
		pm_leave();
		more |= allocator_has_pieces(&unmapped_allocator, nid);
	}
	return more;
}
