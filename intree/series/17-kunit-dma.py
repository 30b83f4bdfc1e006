# SPDX-License-Identifier: MIT
"""mm/unmapped: add KUnit tests of DMA without a kernel mapping

A device that does nothing gets memory with DMA_ATTR_NO_KERNEL_MAPPING,
and without it, within its reach.
"""

import os

from makefile import PATH
from tree import HERE


def apply(tree):
    name = "mm/unmapped/dma_kunit.c"
    with open(os.path.join(HERE, "tree", name)) as f:
        tree.add(name, f.read())
    tree.write(PATH, tree.read(PATH) +
               "unmapped-$(CONFIG_UNMAPPED_KUNIT_TEST) += dma_kunit.o\n")
