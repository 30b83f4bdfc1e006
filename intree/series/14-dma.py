# SPDX-License-Identifier: MIT
"""dma-direct: unmapped pages for DMA_ATTR_NO_KERNEL_MAPPING

Who asks for DMA memory with DMA_ATTR_NO_KERNEL_MAPPING says that the
kernel needs no mapping of it, and gets no address.  The direct map has
it all the same.

Take it from the allocator of unmapped pages: contiguous, zeroed, and
zeroed again when it is freed.  Only if the device is coherent and the
memory is not to be decrypted or bounced, all of which is done through
the direct map.

The allocator does not know of zones.  Where what it gives is out of the
device's reach, or it has none, all is as before.

dma_mmap_attrs() goes by the pfn and needs no change.
"""

from makefile import add_objects

HEADER = """
/**
 * unmapped_alloc_exact - contiguous unmapped pages
 * @nid, @gfp:	as for unmapped_pages_alloc_node()
 * @size:	in bytes, at least 1; rounded up to pages
 *
 * They are aligned to their size, rounded up to a power of 2.
 *
 * Return: the first page; NULL also without an allocator.
 */
struct page *unmapped_alloc_exact(int nid, gfp_t gfp, size_t size);

/*
 * Free them; @size as it was.  Return: false, with nothing done, if @page is no
 * unmapped one.  Any context.
 */
bool unmapped_free_exact(struct page *page, size_t size);

"""
STUBS = """
static inline struct page *unmapped_alloc_exact(int nid, gfp_t gfp, size_t size)
{
	return NULL;
}

static inline bool unmapped_free_exact(struct page *page, size_t size)
{
	return false;
}

"""
ALLOC = """
/* Pages without a kernel mapping; NULL where only others will do. */
static struct page *dma_direct_alloc_unmapped(struct device *dev, size_t size,
		gfp_t gfp)
{
	struct page *page;

	if (!dev_is_dma_coherent(dev))
		return NULL;
	page = unmapped_alloc_exact(dev_to_node(dev), gfp | __GFP_ZERO |
				    __GFP_NORETRY | __GFP_NOWARN, size);
	if (page && !dma_coherent_ok(dev, page_to_phys(page), size)) {
		unmapped_free_exact(page, size);
		page = NULL;
	}
	return page;
}

"""


def apply(tree):
    tree.add_new("mm/unmapped/exact.c")
    add_objects(tree, "exact.o")
    header = "include/linux/unmapped_page.h"
    tree.insert_before(header, r"^#else$", HEADER[1:])
    tree.insert_before(header, r"^#endif /\* CONFIG_UNMAPPED_ALLOC \*/$", STUBS[1:])

    path = "kernel/dma/direct.c"
    tree.insert_after(path, r"^#include <linux/slab\.h>$", "#include <linux/unmapped_page.h>\n")
    tree.insert_before(path, r"^static void \*dma_direct_alloc_no_mapping\(", ALLOC[1:])
    tree.insert_before(path, r"^\tpage = __dma_direct_alloc_pages\(", """\
	page = dma_direct_alloc_unmapped(dev, size, gfp);
	if (page)
		goto out;

""", within="dma_direct_alloc_no_mapping")
    tree.insert_before(path, r"^\t/\* return the page pointer as the opaque cookie \*/$",
                       "out:\n", within="dma_direct_alloc_no_mapping")
    tree.replace(path, r"^(\t\t)(dma_free_contiguous\(dev, cpu_addr, size\);)$",
                 "\\1if (!unmapped_free_exact(cpu_addr, size))\n\\1\t\\2",
                 within="dma_direct_free")
    tree.replace("mm/unmapped/Kconfig", r"^(\t  memfd_secret\(2\) takes its pages from here.*\n"
                 r"(?:\t  .*\n)*)",
                 "\\1\n\t  Memory for DMA that needs no mapping of the kernel's\n"
                 "\t  (DMA_ATTR_NO_KERNEL_MAPPING) comes from here, too.\n")
