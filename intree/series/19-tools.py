# SPDX-License-Identifier: MIT
"""tools/testing/unmapped: add tests of the allocator's core

The core of the allocator of unmapped pages calls the kernel only by the
names in platform.h.  platform_user.h has these names for user space,
stricter than the kernel is: a lock taken twice, a call that may sleep
under a spinlock, or an allocation with GFP_KERNEL in atomic context end
the program, and any allocation can be made to fail.

Compile mm/unmapped/core as it is against that, on a simulated machine
with nodes, CPUs and a direct map, which checks after every step that no
page is handed out present, stale or dirty, or to two, that none is
released absent, and that nothing is left of a step that failed:

  make -C tools/testing/unmapped run

It needs a compiler with the address and undefined behaviour sanitizers,
and no library.
"""

import re

from project import copy_tool

DIRECTORY = "tools/testing/unmapped/"
OWN = ("Makefile", ".gitignore", "harness.h")
CORE = ("platform_user.h", "platform_user.c")
LAB = ("check", "client", "directmap", "machine", "trace")
TESTS = ("block", "table", "cache", "refill", "shrink", "runs", "policy", "adopt",
         "test_cache", "test_failures", "test_shrink", "test_traces", "threads")
# Where the tree's core allocates by the type of an object.
BY_OBJECT = """/* An object, by its type or itself; without flags, GFP_KERNEL. */
#define kzalloc_obj(...)	       um_alloc_obj(__VA_ARGS__, GFP_KERNEL, 0)
#define um_alloc_obj(obj, gfp, ...)    um_alloc(sizeof(obj), gfp)
"""


def apply(tree):
    for name in OWN:
        tree.add_new(DIRECTORY + name)
    copy_tool(tree, DIRECTORY, *["core/" + n for n in CORE])
    for name in LAB:
        copy_tool(tree, DIRECTORY, "lab/%s.h" % name, "lab/%s.c" % name)
    copy_tool(tree, DIRECTORY, "tests/unit/unit.h",
              *["tests/unit/%s.c" % n for n in TESTS])
    if any(re.search(r"\bkzalloc_obj\(", tree.read("mm/unmapped/core/%s.c" % n))
           for n in ("allocator", "cache", "table")):
        tree.insert_before(DIRECTORY + "platform_user.h", r"^#define kcalloc\(", BY_OBJECT)
    tree.replace("mm/unmapped/core/platform.h", r'^#include "platform_kernel.h"$',
                 '#ifdef __KERNEL__\n#include "platform_kernel.h"\n#else\n'
                 '#include "platform_user.h" /* in tools/testing/unmapped */\n#endif')
    tree.insert_after("MAINTAINERS", r"^F:\tmm/unmapped/$",
                      "F:\ttools/testing/unmapped/\n")
