# SPDX-License-Identifier: MIT
"""mm/unmapped: connect it to the direct map and the page allocator

The machine below the core: blocks come from the page allocator and go
back to it, by address if need be (alloc_contig_range()), and entries of
the direct map are written under cpa_lock, as large as they are found.
direct_map.c says why that is safe.  What the allocator split is
collapsed again, 2 MiB and 1 GiB.

Pages are cleared when they are freed, through a mapping that only one
CPU uses, so that no other has to be interrupted.

CPUs and memory may go away.

With memory allocation profiling each page has a tag of its own, since it
may be freed alone; these become one before a block is freed as a whole.
"""

import re

from makefile import add_objects, add_objects_if
from project import copy
from tree import Error

OBJECTS = ("direct_map", "contig", "map_local", "host", "poison",
           "nodes", "policy", "hotplug")


# Before references were small enough to be in page->flags, too.
OLDER = """static struct alloc_tag *tag_of(struct page *page)
{
	union codetag_ref *ref = get_page_tag_ref(page);
	struct alloc_tag *tag = NULL;

	if (!ref)
		return NULL;
	if (ref->ct && !is_codetag_empty(ref))
		tag = ct_to_alloc_tag(ref->ct);
	put_page_tag_ref(ref);
	return tag;
}

static void give(struct page *page, struct alloc_tag *tag)
{
	union codetag_ref *ref = get_page_tag_ref(page);

	if (!ref)
		return;
	/* Not one that is marked as empty. */
	ref->ct = NULL;
	alloc_tag_ref_set(ref, tag);
	put_page_tag_ref(ref);
}

static void take_off(struct page *page, unsigned long bytes)
{
	union codetag_ref *ref = get_page_tag_ref(page);

	if (!ref)
		return;
	alloc_tag_sub(ref, bytes);
	put_page_tag_ref(ref);
}
"""


def tags(tree):
    """Where the kernel counts who has which memory."""
    header = "include/linux/pgalloc_tag.h"
    if not tree.exists(header):
        return

    def older(text):
        if tree.has(header, r"^union pgtag_ref_handle \{$"):
            return text
        text, n = re.subn(r"^static struct alloc_tag \*tag_of\(.*?^\}\n\nstatic void take_off\("
                          r".*?^\}\n", OLDER, text, flags=re.M | re.S)
        if n != 1 or not tree.has(header, r"^static inline union codetag_ref "
                                  r"\*get_page_tag_ref\(struct page \*page\)$"):
            raise Error(header + ": how is a page's tag had?")
        return text

    tree.add_new("mm/unmapped/tags.h")
    tree.add_new("mm/unmapped/tags.c", older)
    add_objects_if(tree, "MEM_ALLOC_PROFILING", "tags.o")
    path = "mm/unmapped/host.c"
    tree.insert_after(path, r'^#include "policy.h"$', '#include "tags.h"\n')
    tree.insert_before(path, r"^\t\*pfn = page_to_pfn\(page\);$",
                       "\tif (at_once)\n\t\ttags_split(page, order);\n", within="host_get")
    tree.insert_before(path, r"^\t\tif \(unlikely\(any_poisoned\(page, order\)\)\)$",
                       "\t\ttags_join(page, order);\n", within="host_put")


def apply(tree):
    copy(tree, "include/linux/unmapped.h", "kernel/compat.h")
    for name in OBJECTS:
        copy(tree, "kernel/%s.h" % name, "kernel/%s.c" % name)
    add_objects(tree, *["%s.o" % n for n in OBJECTS])
    tags(tree)
