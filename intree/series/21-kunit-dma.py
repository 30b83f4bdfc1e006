# SPDX-License-Identifier: MIT
"""mm/unmapped: add KUnit tests of DMA without a kernel mapping

A device that does nothing gets memory with DMA_ATTR_NO_KERNEL_MAPPING,
and without it, within its reach.
"""

from makefile import add_objects_if


def apply(tree):
    tree.add_new("mm/unmapped/dma_kunit.c")
    add_objects_if(tree, "UNMAPPED_KUNIT_TEST", "dma_kunit.o")
