# SPDX-License-Identifier: MIT
"""mm/unmapped: complete blocks that are owned in part

When memory has no whole block, the allocator takes pieces of some, and
their entries of the direct map are split.  Such a block is whole again,
and its entry heals, when all of it has become the allocator's, or none.
Pages of memfd_secret(2) can't be moved out of it.  So keep the rest of
the block, page by page, as others free it.

Where a page is about to enter the lists of free pages, ask whether it
lies in such a block, and if so put it on a list of the allocator's
instead.  A work takes over what is there, every few seconds and with
one flush; with the last page the entry heals.

 - The question comes after free_pages_prepare(), when the page is free
   for all that account for pages, and not in it, because some callers
   ignore what that returns.
 - No zone or per-CPU list is locked there, and no lock is taken.  The
   list is one that is added to by cmpxchg, so that any context that may
   free pages can do it, those of free_pages_nolock() included.
 - An order that the block has room for is taken as a whole; others can't
   be in a block of which a page is owned.  Pages of CMA, of isolated
   pageblocks and of the reserve for atomic requests are left alone, and
   those that a memory error hit.
 - When pages that were taken become the allocator's, post_alloc_hook()
   makes them allocated ones for KASAN, page owner, page table check and
   allocation profiling.  When the allocator frees them these see a free.
 - It is bounded: 1/64 of a node's memory may wait at a time, and pieces
   that nobody uses are at most 1/8.  Nothing is taken in a zone below its
   high watermark, and for a while after reclaim has called the shrinker,
   which gives back first what waits.  The limit of the allocator counts.

Where there is no such block it costs a test of a flag behind the static
key that is there, and nothing while that is off.

unmapped.steal=0 turns it off, at any time.
"""

import re

from documentation import add_counter, add_figure, add_parameter
from makefile import add_objects
from tree import Error

# Where pages to be freed are on a list.
OFF_THE_LIST = """
		if (unmapped_steal_enabled()) {
			/* It may be somebody else's as soon as it is stolen. */
			list_del(&page->lru);
			if (unmapped_steal(page, 0))
				continue;
			list_add_tail(&page->lru, &next->lru);
		}
"""


def free_path(tree):
    path = "mm/page_alloc.c"
    tree.insert_after(path, r'^#include "unmapped/page.h"$', '#include "unmapped/steal.h"\n')
    one = "__free_frozen_pages" if tree.has(path, r"^static void __free_frozen_pages\(") \
        else "free_unref_page"
    tree.replace(path, r"^\tif \((!?)(\w*free_pages_prepare\(page, order.*\))\)$",
                 lambda m: "\tif (%s%s %s(page, order))" % (
                     m[1], m[2], "|| unmapped_steal" if m[1] else "&& !unmapped_steal"),
                 within="__free_pages_ok")
    tree.replace(path, r"^(\tif \(!\w*free_\w+_prepare\(page, .*\))\)$",
                 "\\1 ||\n\t    unmapped_steal(page, order))", within=one)
    if tree.has(path, r"^void free_unref_folios\("):
        tree.replace(path, r"^(\t\tif \(!\w*free_pages_prepare\(&folio->page, .*\))\)$",
                     "\\1 ||\n\t\t    unmapped_steal(&folio->page, order))",
                     within="free_unref_folios")
    else:
        tree.insert_after(path, r"^\t\tif \(!free_unref_page_prepare\(page, pfn, 0\)\) \{\n"
                          r"(?:.*\n){2}\t\t\}$", OFF_THE_LIST, within="free_unref_page_list")
    left = [n for n in re.findall(r"^\t+if \(.*free_\w*_?prepare\(.*\)\)$", tree.read(path), re.M)
            if "unmapped_steal" not in n]
    # Where no page is freed, but only made ready to be.
    if len(left) > 2:
        raise Error("%s: pages are freed in more places: %s" % (path, left))


def allocator_parts(tree):
    host = "mm/unmapped/host.c"
    tree.replace(host, r"^static bool freeze\(", "bool host_freeze(")
    text, n = re.subn(r"\bfreeze\((?=page, )", "host_freeze(", tree.read(host))
    if n != 2:
        raise Error("%s: freeze() is called %d times" % (host, n))
    tree.write(host, text)
    tree.insert_after(host, r'^#include "policy.h"$', '#include "steal.h"\n')
    tree.insert_before(host, r"^\treturn allocator_shrink\(", "\tsteal_give_back_all();\n",
                       within="host_shrink")
    tree.insert_before("mm/unmapped/host.h", r"^/\* Give back up to @nr free pages",
                       "/*\n * Pages fresh from the system, with a reference each, for the "
                       "cache: without.\n * Return: whether they had no other; if so they have "
                       "been freed.\n */\n"
                       "bool host_freeze(struct page *page, unsigned int order);\n\n")
    path = "mm/unmapped/policy.c"
    tree.insert_after(path, r'^#include "policy.h"$', '#include "steal.h"\n')
    tree.replace(path, r"^\tif \(heal_by_asking\(\)\)$",
                 "\tbool more = heal_by_asking();\n\n\tif (steal_adopt() || more)")
    tree.insert_after(path, r"^\trestart\(&heal_work, ms\);$",
                      "\tif (!ms)\n\t\tsteal_give_back_all();\n")
    path = "mm/unmapped/heal.c"
    tree.insert_after(path, r'^#include "pm.h"$', '#include "steal.h"\n')
    tree.replace(path, r"!allocator_free_in_pieces\(&unmapped_allocator, nid\)",
                 "!steal_may_release(nid)")
    tree.replace(path, r"allocator_release_pieces\(&unmapped_allocator, nid\)",
                 "steal_release(nid)")
    path = "mm/unmapped/shrinker.c"
    tree.insert_after(path, r'^#include "shrinker.h"$', '#include "steal.h"\n')
    tree.replace(path, r"^\treturn allocator_shrinkable\(&unmapped_allocator, sc->nid\);$",
                 "\treturn allocator_shrinkable(&unmapped_allocator, sc->nid) +\n"
                 "\t       steal_pending(sc->nid);")
    tree.replace(path, r"^(\t/\* We may be called .*\n)\tdone = (allocator_shrink\()"
                 r"&unmapped_allocator, sc->nid, sc->nr_to_scan,\s+UM_TRY\);$",
                 "\\1\tdone = steal_give_back(sc->nid, false);\n"
                 "\tif (done < sc->nr_to_scan)\n"
                 "\t\tdone += \\2&unmapped_allocator, sc->nid,\n"
                 "\t\t\t\t\t sc->nr_to_scan - done, UM_TRY);")
    path = "mm/unmapped/hotplug.c"
    tree.insert_after(path, r'^#include "hotplug.h"$', '#include "steal.h"\n')
    tree.insert_before(path, r"^\t\treturn notifier_from_errno\(going_offline\(",
                       "\t\tsteal_give_back_all();\n")
    path = "mm/unmapped/debugfs.c"
    tree.insert_after(path, r'^#include "host.h"$', '#include "steal.h"\n')
    tree.insert_before(path, r'^\tseq_printf\(m, "pages_free ', "\tsteal_stats_show(m);\n")


NEXT_PAGE = """static struct page *next_page_noprof(struct llist_node **list, unsigned int *order,
				     gfp_t gfp)
"""
HOOKS = """/* For memory allocation profiling they are pages of this line. */
#define next_page(...) alloc_hooks(next_page_noprof(__VA_ARGS__))

"""


def apply(tree):
    def profiled(text):
        """Where the kernel counts who has which memory."""
        if not tree.has("include/linux/alloc_tag.h", r"^#define alloc_hooks\("):
            return text
        text, n = re.subn(r"^static struct page \*next_page\(.*\n(?=\{)", NEXT_PAGE, text,
                          flags=re.M)
        where = "static void give_back("
        if n != 1 or text.count(where) != 1:
            raise Error("mm/unmapped/steal.c: no next_page() before give_back()")
        return text.replace(where, HOOKS + where)

    for name in ("core/adopt.h", "core/adopt.c", "steal.h"):
        tree.add_new("mm/unmapped/" + name)
    tree.add_new("mm/unmapped/steal.c", profiled)
    add_objects(tree, "core/adopt.o", "steal.o")
    free_path(tree)
    allocator_parts(tree)
    add_counter(tree, "stolen, pages that others freed beside pieces")
    add_figure(tree, "stolen_pending, those of them that are not in use yet")
    add_parameter(tree, "unmapped.steal", """
[X86-64,MM] Format: <bool>
Complete blocks of which the allocator has pieces out
of what others free. Default: 1. Can be changed later:
/sys/module/unmapped/parameters/steal.
""")
