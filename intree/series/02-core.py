# SPDX-License-Identifier: MIT
"""mm/unmapped: add an allocator for memory outside of the direct map

Secrets, guest memory and code want pages that the direct map does not
reach.  Taken out one by one each of them splits a 2 MiB entry, for
good, and costs a flush of all TLBs.

Add the core of an allocator that knows the direct map.  It takes blocks
of 2 MiB from the system, has them made absent, many with one flush, and
serves orders 0 to 9 from them and runs of blocks up to 1 GiB.  Only if
there is no free block does it take smaller pieces; the entries that
this splits are made whole again when all of a block has become the
allocator's or has been released.

 - The usual allocation and free of a page takes no lock: 32 free pages
   of a CPU are a word, changed by this_cpu_cmpxchg().
 - A block is 512 bits, claimed by a counter and then by bits, without
   locks.
 - For each request that block is used which is just large enough, so
   that the others stay whole and can be released.
 - All metadata is outside of the pages, and none is in struct page: 128
   bytes for each block.

The core knows the machine only through struct um_host_ops.  It is
compiled in user space as well, where a simulated machine checks every
invariant after every step, with each call that can fail failing in
turn.

Its parts need each other, so the option that has it compiled comes with
the last of them.
"""

from makefile import add_objects
from project import copy

OBJECTS = ("block", "table", "lists", "dirty", "cache", "refill", "run", "policy", "shrink",
           "allocator", "report")
HEADERS = ("allocator.h", "block.h", "cache.h", "dirty.h", "lists.h", "magazine.h", "platform.h",
           "platform_kernel.h", "table.h")


def apply(tree):
    copy(tree, *["core/%s" % n for n in HEADERS])
    copy(tree, *["core/%s.c" % n for n in OBJECTS])
    copy(tree, "kernel/trace.h", "kernel/trace.c")
    add_objects(tree, *["core/%s.o" % n for n in OBJECTS])
    add_objects(tree, "trace.o")
    tree.insert_before("mm/Makefile", r"^obj-\$\(CONFIG_DAMON\) \+= damon/$",
                       "obj-$(CONFIG_UNMAPPED_ALLOC) += unmapped/\n")
    tree.insert_before(
        "MAINTAINERS", r"^UNSORTED BLOCK IMAGES \(UBI\)$",
        "UNMAPPED MEMORY ALLOCATOR\n"
        "M:\t%s\n"
        "L:\tlinux-mm@kvack.org\n"
        "S:\tMaintained\n"
        "F:\tDocumentation/ABI/testing/debugfs-unmapped\n"
        "F:\tDocumentation/ABI/testing/sysfs-kernel-mm-unmapped\n"
        "F:\tinclude/linux/unmapped.h\n"
        "F:\tinclude/uapi/linux/unmapped.h\n"
        "F:\tmm/unmapped/\n\n" % tree.maintainer)
