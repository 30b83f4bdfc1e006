# SPDX-License-Identifier: MIT
"""mm/unmapped: keep page tables read-only in the direct map

Who can write to one page table of a program can have any page of the
machine.  The tables are in the direct map, writable at all times, while
they are written to only now and then.

Add a second allocator, of the same kind and by the same code, whose
blocks are not absent from the direct map but read-only in it, 2 MiB by
one entry, and take the tables of the lowest level (PTE tables) of
programs from it.  Those are nearly all page tables there are.

The writable window is the mapping that pte_offset_map() makes.  All
that writes to these tables asks for one and ends it by pte_unmap(), as
32-bit machines may have the tables in highmem; here it is a slot of the
fixmap, of the task that asks.  So no helper that writes an entry has to
change, a window serves many entries (a fork copies 512), and no CPU is
ever without write protection as it would be with CR0.WP cleared.  Who
only reads through the direct map, such as a dump of a fault, does that
as before, and a writer that was overlooked faults.

Tables of the upper levels, and of the kernel itself, are not taken from
there.  The windows are in page tables that all CPUs share: they are
short, not private.

When the allocator has nothing, and until it is there, tables come from
the page allocator and are writable, as ever.  unmapped.pagetables=0
turns it off.
"""

from documentation import add_parameter
from makefile import add_config, add_objects_if

VERSIONS = ("7.2",)

KCONFIG = """
config UNMAPPED_PAGETABLES
	bool "Page tables of programs are read-only in the direct map"
	depends on UNMAPPED_ALLOC && NR_CPUS <= 256
	select UNMAPPED_KMAP_LOCAL
	help
	  Keeps page tables of the lowest level in blocks of 2 MiB that the
	  direct map has read-only, and maps one for writing only as long as
	  it is worked on.  A stray or malicious write through the direct map
	  faults.  It costs a mapping for each use of a page table.

	  This is an experiment.  If unsure, say N.

config UNMAPPED_PAGETABLES_KUNIT_TEST
	bool "KUnit tests of read-only page tables" if !KUNIT_ALL_TESTS
	depends on UNMAPPED_PAGETABLES && KUNIT=y
	default KUNIT_ALL_TESTS
	help
	  Tests that page tables can't be written to through the direct map,
	  and can be through the mapping that pte_offset_map() makes.  They
	  run once at boot and say in the log what they found.

	  If unsure, say N.
"""

PGTABLE_H = """#elif defined(CONFIG_UNMAPPED_PAGETABLES)
/* The table is read-only in the direct map: what is mapped is writable. */
pte_t *__pte_map(pmd_t *pmd, unsigned long address);
void kunmap_local_indexed(const void *vaddr);
static inline void pte_unmap(pte_t *pte)
{
	kunmap_local_indexed(pte);
	rcu_read_unlock();
}
"""

MM_H = """#ifdef CONFIG_UNMAPPED_PAGETABLES
/* Return: false if it is a page of the page allocator. */
bool unmapped_pagetable_free(struct page *page);
struct page *unmapped_pagetable_alloc(gfp_t gfp);
#else
static inline bool unmapped_pagetable_free(struct page *page)
{
	return false;
}

static inline struct page *unmapped_pagetable_alloc(gfp_t gfp)
{
	return NULL;
}
#endif

"""

PTE_ALLOC = """	struct page *page = unmapped_pagetable_alloc(GFP_PGTABLE_USER);

	if (page) {
		if (pagetable_pte_ctor(mm, page_ptdesc(page)))
			return page;
		unmapped_pagetable_free(page);
		return NULL;
	}
"""

DRAIN = """
#ifdef CONFIG_UNMAPPED_PAGETABLES
/* The drain of one CPU is that of both allocators. */
void unmapped_pagetables_drain_cpu(void);
#else
static inline void unmapped_pagetables_drain_cpu(void)
{
}
#endif
"""


def apply(tree):
    add_parameter(tree, "unmapped.pagetables", """
[X86-64,MM] Format: <bool>
Page tables of programs are read-only in the direct
map, with CONFIG_UNMAPPED_PAGETABLES. Default: 1.
""")
    path = "include/linux/pgtable.h"
    tree.replace(path, r"(^\tkunmap_local\(\(pte\)\);\t\\\n\trcu_read_unlock\(\);\t\\\n"
                       r"\} while \(0\)\n)#else\n", behind(r"\1", PGTABLE_H + "#else\n"))
    path = "include/linux/mm.h"
    tree.insert_before(path, r"^static inline void __pagetable_free\(struct ptdesc \*pt\)$", MM_H)
    tree.insert_after(path, r"^\tstruct page \*page = ptdesc_page\(pt\);\n$",
                      "\n\tif (unmapped_pagetable_free(page))\n\t\treturn;\n",
                      within="__pagetable_free")
    tree.insert_before("arch/x86/mm/pgtable.c",
                       r"^\treturn __pte_alloc_one\(mm, GFP_PGTABLE_USER\);$", PTE_ALLOC + "\n",
                       within="pte_alloc_one")

    # One allocator's operations, but for two, are another's.
    tree.replace("mm/unmapped/host.c", r"^static (const struct um_host_ops host_ops = \{)$", r"\1")
    tree.insert_after("mm/unmapped/host.h", r"^extern struct allocator unmapped_allocator;$",
                      "extern const struct um_host_ops host_ops;\n")
    tree.insert_after("mm/unmapped/host.c",
                      r"^\tallocator_drain_cpu\(&unmapped_allocator\);$",
                      "\tunmapped_pagetables_drain_cpu();\n")
    tree.insert_after("mm/unmapped/page.h", r"^void unmapped_put_page_enable\(void\);$", DRAIN)
    tree.insert_after("mm/unmapped/host.c", r'^#include "host\.h"$', '#include "page.h"\n')
    tree.add_new("mm/unmapped/pagetables.c")
    tree.add_new("mm/unmapped/pagetables_kunit.c")
    add_objects_if(tree, "UNMAPPED_PAGETABLES", "pagetables.o")
    add_objects_if(tree, "UNMAPPED_PAGETABLES_KUNIT_TEST", "pagetables_kunit.o")
    add_config(tree, KCONFIG)


def behind(group, text):
    """For replace(): @text as it is, behind a group."""
    return group + text.replace("\\", "\\\\")
