# SPDX-License-Identifier: MIT
"""mm/unmapped: move what is in the way of a block

A block that is owned in part is completed out of what others free in it.
But page cache, tmpfs and memory of programs may be beside our pages for
as long as the machine runs: in one test, which takes secrets when memory
has no whole block left, tmpfs' pages kept 16 and 17 of 20 blocks from
becoming whole.

When nothing that can't be moved is left in such a block, move the rest
to another place of its zone, by migrate_pages().  The old pages are freed
by that, and stolen.

It follows the work that takes pieces over, every few seconds, and moves
only what would be stolen then: nothing while memory is short, nor in
blocks whose entry somebody else has split.  No reclaim is done for it,
no lock or I/O of others waited for, mlocked memory stays, and a block
where it failed is left alone for longer each time.  A block is looked at
under refill_lock, so that its memory can't go offline; no lock is held
while pages are moved.
"""

from documentation import add_counter
from makefile import add_objects
from tree import Error

# What newer kernels have.
ISOLATE = """static bool isolate_folio_to_list(struct folio *folio, struct list_head *list)
{
	if (folio_isolate_lru(folio))
		return false;
	node_stat_add_folio(folio, NR_ISOLATED_ANON + folio_is_file_lru(folio));
	list_add(&folio->lru, list);
	return true;
}

"""
MOVE = """/* As far as there is room: what is freed by it is taken over at the next look. */
static void move_all(void)
{
	struct cache *c;
	long most;
	int nid;

	for_each_node_state(nid, N_MEMORY) {
		c = allocator_cache(&unmapped_allocator, nid);
		most = READ_ONCE(waiting[nid].room) - (long)steal_pending(nid);
		if (c && most > 0)
			move_neighbours(c, (unsigned long)most);
	}
}

"""
# Where migration does not speak of folios yet.
TARGET = """static struct page *target_page(struct page *src, unsigned long nid)
{
	struct folio *folio = target(page_folio(src), nid);

	return folio ? &folio->page : NULL;
}

"""


def apply(tree):
    def older(text):
        if tree.has("include/linux/migrate.h", r"\bisolate_folio_to_list\("):
            return text
        if not tree.has("mm/internal.h", r"^int folio_isolate_lru\("):
            raise Error("mm/internal.h: what does folio_isolate_lru() return?")
        isolate = "/* Off the LRU lists.  Return"
        target = "/*\n * Return: pages moved off one block"
        for where, what in [(isolate, ISOLATE + isolate), (target, TARGET + target),
                            ("migrate_pages(&folios, target,",
                             "migrate_pages(&folios, target_page,")]:
            if text.count(where) != 1:
                raise Error("move.c: where is '%s'?" % where)
            text = text.replace(where, what)
        return text

    add_counter(tree, "moved, pages of others that were in the way")
    tree.add_new("mm/unmapped/move.h")
    tree.add_new("mm/unmapped/move.c", older)
    add_objects(tree, "move.o")
    path = "mm/unmapped/steal.c"
    tree.insert_after(path, r'^#include "host.h"$', '#include "move.h"\n')
    tree.insert_before(path, r"^bool steal_adopt\(", MOVE)
    tree.insert_after(path, r"^\tpm_leave\(\);$", "\tmove_all();\n", within="steal_adopt")
    tree.replace(path, r'"stolen %lu\\nstolen_pending %lu\\n",$',
                 r'"stolen %lu\\nstolen_pending %lu\\nmoved %lu\\n",')
    tree.replace(path, r"&nr_stolen\), pending\);$",
                 "&nr_stolen), pending,\n\t\t   moved_pages());",
                 within="steal_stats_show")
