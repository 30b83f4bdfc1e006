# SPDX-License-Identifier: MIT
"""mm/unmapped: memory of programs outside of the direct map

XPFO wants the pages of programs to have one owner: while a program has
a page, the kernel does not.  The patches of 2016 to 2019 took out and put
back each page when it changed hands, with a flush of all TLBs, and on 96
CPUs a kernel build took 24,129 s of system time, not 915 ("xpfo, mm:
Defer TLB flushes for non-current CPUs").  Dave Hansen said that only
batching would help: lists of pages for the kernel and lists of pages
for users, remapped together.

The allocator is that: its blocks are out of the direct map as a whole,
and stay so while pages come and go.  As an experiment, take order-0
pages of anonymous memory and of tmpfs from there, where whoever asks
has said by __GFP_HIGHMEM and __GFP_MOVABLE that they are for programs
and are reached by kmap_local_page() only.  They are freed by their last
reference.

Large folios, swapped-in pages and page cache of other file systems are
not taken from there.  Memory policies beyond the preferred node of the
task are not asked.  When the allocator has none, pages come from the
page allocator.  unmapped.xpfo=0 turns it off.
"""

from documentation import add_parameter
from makefile import add_config, add_objects_if

VERSIONS = ("7.2",)

KCONFIG = """
config UNMAPPED_XPFO
	bool "Memory of programs is not in the direct map"
	depends on UNMAPPED_ALLOC && NUMA && NR_CPUS <= 256
	select UNMAPPED_KMAP_LOCAL
	help
	  Takes single pages of anonymous memory and of tmpfs from blocks that
	  the direct map does not have.  The kernel maps one when it has to
	  copy from it or to it.  A read that strays through the direct map
	  faults, and code that does not use kmap_local_page() does so, too.

	  This is an experiment.  If unsure, say N.
"""

PAGE_H = """#ifdef CONFIG_UNMAPPED_XPFO
DECLARE_STATIC_KEY_FALSE(unmapped_xpfo_key);

struct folio *__unmapped_user_folio(gfp_t gfp);

/* A zeroed folio for a program, or NULL if it is not to be one of these. */
static inline struct folio *unmapped_user_folio(gfp_t gfp, unsigned int order)
{
	if (!static_branch_unlikely(&unmapped_xpfo_key) || order)
		return NULL;
	return __unmapped_user_folio(gfp);
}

/* Then the number of pages in use never stands still. */
static inline bool unmapped_serves_programs(void)
{
	return static_branch_unlikely(&unmapped_xpfo_key);
}
#endif

"""
NONE = """
#ifndef CONFIG_UNMAPPED_XPFO
static inline struct folio *unmapped_user_folio(gfp_t gfp, unsigned int order)
{
	return NULL;
}

static inline bool unmapped_serves_programs(void)
{
	return false;
}
#endif

"""

UNMAPPED_H = """#ifdef CONFIG_UNMAPPED_XPFO
/* Whether page_address() of a program's page is of no use. */
bool unmapped_is_absent(const struct page *page);
#else
static inline bool unmapped_is_absent(const struct page *page)
{
	return false;
}
#endif

"""

FIRST = """	folio = unmapped_user_folio(gfp, order);
	if (folio)
		return folio;

"""

# The tests that count pages.
SKIP = """	if (unmapped_serves_programs())
		kunit_skip(test, "programs take and free pages all the time");
"""


def apply(tree):
    add_parameter(tree, "unmapped.xpfo", """
[X86-64,MM] Format: <bool>
Memory of programs is not in the direct map, with
CONFIG_UNMAPPED_XPFO. Default: 1.
""")
    path = "mm/unmapped/page.h"
    tree.insert_before(path, r"^#else\n\nstatic inline void unmapped_put_page_enable\(", PAGE_H)
    tree.insert_before(path, r"^#endif /\* UNMAPPED_PAGE_H \*/$", NONE.lstrip("\n"))
    tree.insert_before("mm/mempolicy.c", r"^\tpol = get_vma_policy\(vma, addr, order, &ilx\);$",
                       FIRST, within="vma_alloc_folio_noprof")
    tree.insert_before("mm/shmem.c", r"^\tmpol = shmem_get_pgoff_policy\(",
                       FIRST, within="shmem_alloc_folio")
    for path in ("mm/mempolicy.c", "mm/shmem.c"):
        tree.insert_after(path, r'^#include "internal.h"$', '#include "unmapped/page.h"\n')
    # Rings in a program's memory: it has a way for pages that have no address.
    path = "io_uring/memmap.c"
    tree.replace(path, r"^\t\tif \(ifd.nr_folios == 1 && !PageHighMem\(mr->pages\[0\]\)\) \{$",
                 "\t\tif (ifd.nr_folios == 1 && !PageHighMem(mr->pages[0]) &&\n"
                 "\t\t    !unmapped_is_absent(mr->pages[0])) {")
    tree.insert_after(path, r"^#include <linux/io_uring_types.h>$", "#include <linux/unmapped.h>\n")
    tree.insert_before("include/linux/unmapped.h", r"^#endif /\* _LINUX_UNMAPPED_H \*/$", UNMAPPED_H)
    tree.insert_before("mm/unmapped/unmapped_kunit.c", r"^\tunmapped_put_page_enable\(\);$", SKIP,
                       within="freed_by_reference")
    path = "mm/unmapped/dma_kunit.c"
    tree.insert_after(path, r'^#include "image.h"$', '#include "page.h"\n')
    tree.insert_before(path, r"^\tpdev = platform_device_register_simple\(", SKIP, within="device_init")
    tree.add_new("mm/unmapped/xpfo.c")
    add_objects_if(tree, "UNMAPPED_XPFO", "xpfo.o")
    add_config(tree, KCONFIG)
