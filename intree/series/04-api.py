# SPDX-License-Identifier: MIT
"""mm/unmapped: add an API for kernel code

unmapped_pages_alloc() and unmapped_pages_free() for pages, of orders 0
to 18; unmapped_map_local() to reach one page for a moment, on one CPU,
and unmapped_vmap() to reach many for longer, with 2 MiB entries where
that is possible.  The contract is in <linux/unmapped.h>.

__GFP_ACCOUNT charges pages to the memory cgroup of the caller.
"""

from makefile import add_objects
from project import copy

OBJECTS = ("api", "free_later", "memcg", "vmap")


def apply(tree):
    copy(tree, "kernel/memcg.h", "kernel/memcg.c", "kernel/api.c", "kernel/vmap.c",
         "kernel/free_later.h", "kernel/free_later.c")
    add_objects(tree, *["%s.o" % n for n in OBJECTS])
