# SPDX-License-Identifier: MIT
"""mm, x86: permissions of an area end at what the direct map does not have

set_memory_*() on an area of vmalloc() changes the aliases of its pages
in the direct map, too; vfree() and execmem make them invalid and valid
again where permissions have to be reset; and /proc/kcore reads the area
through them.

The next patch lets areas for code have pages without such an alias.
Change nothing in the direct map for those: to make them valid would
expose them, and split the entry of their block.  Each page is asked
for, not the area, as an area may have pages of both kinds.  /proc/kcore
maps such a page for the moment, on one CPU.

There are no such pages until the next patch, which comes with the
option, so nothing changes yet.
"""

from tree import Error

HEADER = """#ifdef CONFIG_UNMAPPED_EXECMEM

/*
 * Whether a page is out of the direct map for good, so that no change of
 * permissions may touch it there: one of the allocator's, in use or free.
 * Context: any.
 */
bool pfn_unmapped(unsigned long pfn);

#else

static inline bool pfn_unmapped(unsigned long pfn)
{
	return false;
}

#endif /* CONFIG_UNMAPPED_EXECMEM */

"""
# /proc/kcore: where the rest of the file uses the direct map.
VREAD = """/* The same from a page that the direct map does not have. */
static size_t vread_unmapped(struct page *page, unsigned long offset, size_t bytes,
			     struct iov_iter *iter)
{
	void *from = unmapped_map_local(page);
	size_t copied;

	pagefault_disable();
	copied = copy_to_iter(from + offset, bytes, iter);
	pagefault_enable();
	unmapped_unmap_local(from);
	return copied;
}

"""
VALID = """/* What the direct map does not have stays out of it. */
static int execmem_set_page_valid(struct page *page, unsigned int nr, bool valid)
{
	if (pfn_unmapped(page_to_pfn(page)))
		return 0;
	return set_direct_map_valid_noflush(page, nr, valid);
}

"""


def vmalloc(tree):
    path = "mm/vmalloc.c"
    tree.insert_before(path, r"^#include <linux/uio.h>$" if
                       tree.has(path, r"^#include <linux/uio.h>$") else
                       r"^#include <linux/uaccess.h>$", "#include <linux/unmapped.h>\n")
    # Given back.
    reset = "vm_reset_perms" if tree.has(path, r"\bvm_reset_perms\(") else \
        "vm_remove_mappings"
    tree.replace(path, r"^\t\tif \(addr\) \{$",
                 "\t\tif (addr && !pfn_unmapped(page_to_pfn(area->pages[i]))) {",
                 within=reset)
    tree.replace(path, r"^\t\tif \(page_address\(area->pages\[i\]\)\)$",
                 "\t\tif (page_address(area->pages[i]) &&\n"
                 "\t\t    !pfn_unmapped(page_to_pfn(area->pages[i])))",
                 within="set_area_direct_map")
    # Read by debuggers.
    if tree.has(path, r"^static int aligned_vread\("):
        tree.replace(path, r"^\t\t\tvoid \*map = kmap_atomic\(p\);$",
                     "\t\t\tbool unmapped = pfn_unmapped(page_to_pfn(p));\n"
                     "\t\t\tvoid *map = unmapped ? unmapped_map_local(p) :\n"
                     "\t\t\t\t\t       kmap_local_page(p);\n",
                     within="aligned_vread")
        tree.replace(path, r"^\t\t\tkunmap_atomic\(map\);$",
                     "\n\t\t\tif (unmapped)\n"
                     "\t\t\t\tunmapped_unmap_local(map);\n"
                     "\t\t\telse\n"
                     "\t\t\t\tkunmap_local(map);", within="aligned_vread")
    else:
        tree.insert_before(path, r"^/\*\n(?: \*.*\n)+ \*/\nstatic size_t aligned_vread_iter\("
                           if tree.has(path, r"^ \*/\nstatic size_t aligned_vread_iter\(")
                           else r"^static size_t aligned_vread_iter\(", VREAD)
        tree.replace(path, r"^\t\tif \(page\)$",
                     "\t\tif (page && pfn_unmapped(page_to_pfn(page)))\n"
                     "\t\t\tcopied = vread_unmapped(page, offset, length, iter);\n"
                     "\t\telse if (page)", within="aligned_vread_iter")


def execmem(tree):
    """The cache of executable memory, and how it ends."""
    path = "mm/execmem.c"
    if tree.has(path, r"\bexecmem_set_direct_map_valid\("):
        tree.insert_before(path, r"^#include <linux/vmalloc.h>$",
                           "#include <linux/unmapped.h>\n")
        tree.insert_before(path, r"^static int execmem_set_direct_map_valid\(", VALID)
        tree.replace(path, r"\berr = set_direct_map_valid_noflush\(",
                     "err = execmem_set_page_valid(", within="execmem_set_direct_map_valid")
        tree.replace(path, r"^\t\tset_direct_map_valid_noflush\(",
                     "\t\texecmem_set_page_valid(", within="execmem_set_direct_map_valid")
    elif tree.has(path, r"set_direct_map"):
        raise Error("%s: what does it do to the direct map?" % path)


def apply(tree):
    tree.insert_before("include/linux/unmapped.h",
                       r"^#endif /\* _LINUX_UNMAPPED_H \*/$", HEADER)
    vmalloc(tree)
    execmem(tree)
    path = "arch/x86/mm/pat/set_memory.c"
    tree.insert_after(path, r"^\tif \(!pfn_range_is_mapped\(cpa->pfn, cpa->pfn \+ 1\)\)\n"
                      r"\t\treturn 0;$", """
	/* What the direct map does not have: nothing to change, nor to split. */
	if (pfn_unmapped(cpa->pfn))
		return 0;
""", within="cpa_process_alias")
    tree.insert_before(path, r"^#include <linux/vmalloc.h>$",
                       "#include <linux/unmapped.h>\n")
