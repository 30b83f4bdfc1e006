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
"""

from makefile import add_objects
from project import copy

OBJECTS = ("direct_map", "contig", "map_local", "host", "poison",
           "nodes", "policy", "hotplug")


def apply(tree):
    copy(tree, "include/linux/unmapped.h", "kernel/compat.h")
    for name in OBJECTS:
        copy(tree, "kernel/%s.h" % name, "kernel/%s.c" % name)
    add_objects(tree, *["%s.o" % n for n in OBJECTS])
