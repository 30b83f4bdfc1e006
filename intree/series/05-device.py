# SPDX-License-Identifier: MIT
"""mm/unmapped: add /dev/unmapped

memfd_secret(2) gives order-0 pages of any node, to anybody.  For
programs that want more, add a device: objects have a NUMA node if
wanted, aligned parts are 2 MiB blocks and are mapped by one entry, and
who may have them is a matter of file permissions.  Like
memfd_secret(2), what is held counts against RLIMIT_MEMLOCK, is in no
core dump, and is out of reach of get_user_pages().

The contract is in <uapi/linux/unmapped.h>.
"""

from makefile import add_objects
from project import copy

OBJECTS = ("object", "device", "holders", "heal", "kvm", "pm")


def apply(tree):
    copy(tree, "include/uapi/linux/unmapped.h")
    for name in OBJECTS:
        copy(tree, "kernel/%s.h" % name, "kernel/%s.c" % name)
    add_objects(tree, *["%s.o" % n for n in OBJECTS])
