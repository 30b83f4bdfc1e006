# SPDX-License-Identifier: MIT
"""mm/page_alloc: give unmapped pages back to their block

Pages of the page cache are freed by whoever drops the last reference,
and that ends in the page allocator.  So that they can be unmapped ones,
give those back to the allocator that they came from: with them on the
lists of free pages, the next to get one would fault.

There is one place for it, where a page has no references and no state
any more and nobody has written to it yet through the direct map.  No
page flag is needed: the table of blocks knows which pages are unmapped.
A static key keeps the look-up out of the way until the first user whose
pages are freed by reference.

The free is told to page owner and allocation profiling when the block
goes back, as its allocation was when it came.  What is a folio meanwhile
has the one tag that profiling expects of it, in case it is split.
"""

from makefile import add_objects
from tree import Error

TAKE_BACK = """
	/* The direct map does not have these: back to their block. */
	if (unmapped_take_back(page, order))
		return false;

"""
# Where pages to be freed are on a list, of which they are taken too late.  That the
# allocator's own are looked up twice is the cheaper way: one more call of
# free_unref_page_prepare() here, and it is not inlined in others, which then take 13
# instructions more for each page that anybody frees.
OFF_THE_LIST = """
		if (unmapped_owns(page)) {
			/* It may be somebody else's as soon as it is free. */
			list_del(&page->lru);
			free_pcp_prepare(page, 0);
			continue;
		}
"""


def apply(tree):
    def rmappable(text):
        if tree.has("mm/internal.h", r"\bpage_rmappable_folio\("):
            return text
        if text.count("page_rmappable_folio(") != 1:
            raise Error("page.c: where does a page become a folio?")
        return text.replace("page_rmappable_folio(", "prep_transhuge_page(")

    tree.add_new("mm/unmapped/page.h")
    path = "mm/unmapped/page.c"
    tree.add_new(path, rmappable)
    if tree.exists("mm/unmapped/tags.h"):
        tree.insert_after(path, r'^#include "poison.h"$', '#include "tags.h"\n')
        tree.insert_before(path, r"^\t/\* If that fails it has warned", "\ttags_split(page, order);\n",
                           within="take_back")
        tree.insert_before(path, r"^\tprep_compound_page\(page, order\);$",
                           "\ttags_join(page, order);\n")
    add_objects(tree, "page.o")
    path = "mm/page_alloc.c"
    tree.insert_after(path, r'^#include "page_reporting.h"$',
                      '#include "unmapped/page.h"\n')
    function = "__free_pages_prepare" if tree.has(path, r"\b__free_pages_prepare\(") \
        else "free_pages_prepare"
    tree.insert_after(path, r"^\tpage->private = 0;$", TAKE_BACK, within=function)
    if tree.has(path, r"^void free_unref_page_list\("):
        tree.insert_before(path, r"^\t\tif \(!free_unref_page_prepare\(page, pfn, 0\)\) \{$",
                           OFF_THE_LIST, within="free_unref_page_list")
    elif not tree.has(path, r"^void free_unref_folios\("):
        raise Error("%s: how are many pages freed at once?" % path)
