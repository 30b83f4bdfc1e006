# SPDX-License-Identifier: MIT
"""mm/secretmem: take pages from the allocator of unmapped ones

memfd_secret(2) takes each page out of the direct map at its own fault.
That splits an entry of 2 MiB, for good, wherever a page happens to be,
and flushes all TLBs for each page.

Take pages that are absent, flushed and cleared already.  They are freed
by their last reference, and cleared then.  So nothing is left to be
done at a fault, or when a page leaves the page cache, and the fault
handler's error path can't free a page before it is mapped again.

RLIMIT_MEMLOCK, get_user_pages(), migration and hibernation remain as
they are.  Pages come from the nodes that the policy of the mapping, or of
the task, and its cpuset allow.

Where the allocator is not there, in the configuration or on the
machine, pages are taken out one by one as before.  So are they when it
finds no more memory: it leaves the last of it to others, and it is for
the page allocator to reclaim and to call the OOM killer.
"""

FOLIO_ALLOC = """/* A zeroed folio, which the direct map does not have if it is the allocator's. */
static struct folio *secretmem_alloc_folio(struct vm_fault *vmf, gfp_t gfp)
{
	struct folio *folio = unmapped_fault_folio(vmf, gfp, 0);

	/* None to be had: let the page allocator do what it does then. */
	return folio ? folio : folio_alloc(gfp | __GFP_ZERO, 0);
}

"""
PAGE_ALLOC = """/* A zeroed page, which the direct map does not have if it is the allocator's. */
static struct page *secretmem_alloc_page(struct vm_fault *vmf, gfp_t gfp)
{
	struct folio *folio = unmapped_fault_folio(vmf, gfp, 0);

	/* None to be had: let the page allocator do what it does then. */
	return folio ? &folio->page : alloc_page(gfp | __GFP_ZERO);
}

"""
UNMAP = """/* From the direct map, and from all TLBs. */
static int secretmem_unmap_page(struct page *page)
{
	unsigned long addr = (unsigned long)page_address(page);
	int err;

	if (unmapped_owns(page))
		return 0;
	err = set_direct_map_invalid_noflush(page);
	if (!err)
		flush_tlb_kernel_range(addr, addr + PAGE_SIZE);
	return err;
}

/* One that the page cache did not take. */
static void secretmem_map_page(struct page *page)
{
	if (!unmapped_owns(page))
		set_direct_map_default_noflush(page);
}

"""
FREE = """	/* Cleared when its last reference goes, which gives it back. */
	if (unmapped_owns(&folio->page))
		return;

"""


def last_look(tree):
    """hibernation_available() is asked once, while programs still run."""
    path = "mm/unmapped/pm.c"
    tree.insert_after(path, r"^#include <linux/percpu-rwsem.h>$",
                      "#include <linux/secretmem.h>\n")
    tree.insert_after(path, r"^\tif \(!pm_closed\(\)\)\n\t\treturn 0;$",
                      "\tif (secretmem_active()) {\n"
                      "\t\tpr_err(\"no hibernation image: memfd_secret(2) is in use\\n\");\n"
                      "\t\treturn -EBUSY;\n\t}\n", within="last_look")


def apply(tree):
    path = "mm/secretmem.c"
    tree.replace(path, r"^\t+/\*\n\t+ \* If a split of large page was required, it\n"
                       r"(?:\t+ \* .*\n)+\t+ \*/\n", "", within="secretmem_fault")
    tree.cocci(path, "secretmem.cocci",
               there=[r"secretmem_alloc_\w+\(vmf, gfp\);", r"secretmem_unmap_page\(",
                      r"secretmem_map_page\("])
    alloc = FOLIO_ALLOC if tree.has(path, r"secretmem_alloc_folio\(") else PAGE_ALLOC
    tree.insert_before(path, r"^static vm_fault_t secretmem_fault\(", alloc + UNMAP)
    tree.insert_after(path, r"^static void secretmem_free_folio\(struct folio \*folio\)\n\{$",
                      FREE)
    tree.insert_after(path, r"^\tconst char \*anon_name = \"\[secretmem\]\";\n(?:\tint err;\n)?$",
                      "\n\tunmapped_put_page_enable();\n",
                      within="secretmem_file_create")
    tree.insert_after(path, r'^#include "internal.h"$', '#include "unmapped/page.h"\n')
    last_look(tree)
    tree.require(path, "secretmem_fault", gone=[
        "set_direct_map", "flush_tlb", r"\baddr\b"])
