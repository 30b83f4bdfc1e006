# SPDX-License-Identifier: MIT
"""mm/unmapped: move what is in the way of a block

A block that is owned in part is completed out of what others free in it.
But page cache, tmpfs and memory of programs may be beside our pages for
as long as the machine runs: in one test, which takes secrets when memory
has no whole block left, tmpfs' pages kept 17 of 20 blocks from becoming
whole.

When all that is left in such a block can be moved, move it, by
migrate_pages() as compaction does.  The old pages are freed by that, and
stolen.

It is done where pieces are taken over, every few seconds, and only as far
as pages may be stolen at all: not while memory is short.  A block is
looked at under refill_lock, so that its memory can't go offline; what is
moved is so without that lock.
"""

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


def apply(tree):
    def isolating(text):
        if tree.has("include/linux/migrate.h", r"\bisolate_folio_to_list\("):
            return text
        if not tree.has("mm/internal.h", r"^int folio_isolate_lru\("):
            raise Error("mm/internal.h: what does folio_isolate_lru() return?")
        where = "/* Off the LRU lists.  Return"
        return text.replace(where, ISOLATE + where)

    tree.add_new("mm/unmapped/move.h")
    tree.add_new("mm/unmapped/move.c", isolating)
    add_objects(tree, "move.o")
    path = "mm/unmapped/steal.c"
    tree.insert_after(path, r'^#include "host.h"$', '#include "move.h"\n')
    tree.insert_before(path, r"^\t\tadopt\(w, c\);$",
                       "\t\tif (w->room > 0)\n\t\t\tmove_neighbours(c, w->room);\n",
                       within="steal_adopt")
    tree.replace(path, r'"stolen %lu\\nstolen_pending %lu\\n",$',
                 r'"stolen %lu\\nstolen_pending %lu\\nmoved %lu\\n",')
    tree.replace(path, r"&nr_stolen\), pending\);$",
                 "&nr_stolen), pending,\n\t\t   moved_pages());",
                 within="steal_stats_show")
