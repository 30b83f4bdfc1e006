# SPDX-License-Identifier: MIT
"""mm/unmapped: add KUnit tests

For the core, on a machine that only counts what is done to it, and for
the allocator of the running kernel, by what the direct map says.

More tests of the core run in user space.
"""

from makefile import add_config, add_objects_if

KCONFIG = """
config UNMAPPED_KUNIT_TEST
	bool "KUnit tests of the allocator of unmapped pages" if !KUNIT_ALL_TESTS
	depends on UNMAPPED_ALLOC && KUNIT=y
	default KUNIT_ALL_TESTS
	help
	  Tests of the allocator of unmapped pages: of its core on a machine
	  that only counts what is done to it, and of the allocator of this
	  kernel.  They run once at boot, take some MiB for a moment, and say
	  in the log what they found.

	  If unsure, say N.
"""


def apply(tree):
    tree.add_new("mm/unmapped/unmapped_kunit.c")
    add_objects_if(tree, "UNMAPPED_KUNIT_TEST", "unmapped_kunit.o")
    add_config(tree, KCONFIG)
