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

from documentation import add_abi, add_parameter
from makefile import add_objects
from project import copy

OBJECTS = ("shrinker", "sysfs", "debugfs", "main")


def apply(tree):
    tree.add_new("mm/unmapped/Kconfig")
    tree.insert_before("mm/Kconfig", r'^source "mm/damon/Kconfig"$',
                       'source "mm/unmapped/Kconfig"\n\n')
    for name in OBJECTS[:-1]:
        copy(tree, "kernel/%s.h" % name, "kernel/%s.c" % name)
    copy(tree, "kernel/main.c")
    add_abi(tree)
    add_parameter(tree, "unmapped.<setting>", """
[X86-64,MM] What /sys/kernel/mm/unmapped has, from boot on;
see Documentation/ABI/testing/sysfs-kernel-mm-unmapped.
""")
    add_objects(tree, *["%s.o" % n for n in OBJECTS])
