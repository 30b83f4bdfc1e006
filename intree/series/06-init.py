# SPDX-License-Identifier: MIT
"""mm/unmapped: start it, with a shrinker, settings and debugfs

Free memory of the cache goes back under memory pressure: whole blocks
first, longest idle first, and then pieces.  What is idle for long goes
back without pressure, too.

Settings are in /sys/kernel/mm/unmapped, figures in debugfs:
pagetypeinfo like that of the page allocator, counters, and a list of
who holds how much.

Hibernation is refused while unmapped memory is in use, as it is for
memfd_secret(2): the image would hold it.

Add the option: all that the allocator is made of is there.
"""

import os

from makefile import add_objects
from project import copy
from tree import ROOT

OBJECTS = ("shrinker", "sysfs", "debugfs", "main")


def apply(tree):
    tree.add_new("mm/unmapped/Kconfig")
    tree.insert_before("mm/Kconfig", r'^source "mm/damon/Kconfig"$',
                       'source "mm/unmapped/Kconfig"\n\n')
    for name in OBJECTS[:-1]:
        copy(tree, "kernel/%s.h" % name, "kernel/%s.c" % name)
    copy(tree, "kernel/main.c")
    with open(os.path.join(ROOT, "docs/ABI/sysfs-kernel-mm-unmapped")) as f:
        tree.add("Documentation/ABI/testing/sysfs-kernel-mm-unmapped", f.read())
    add_objects(tree, *["%s.o" % n for n in OBJECTS])
