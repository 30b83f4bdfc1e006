# SPDX-License-Identifier: MIT
"""mm/secretmem: 2 MiB of memfd_secret(2) in one fault and one entry

The allocator's blocks are of 2 MiB and absent as a whole, so that large
folios of secret memory cost no more than small ones: give those out where
file, mapping and alignment allow, and mappings an address that does.

Whether that is wanted is what transparent_hugepage/enabled in /sys and
prctl(PR_SET_THP_DISABLE) say, and madvise(2) where these say so.  What is
accounted to RLIMIT_MEMLOCK is what a folio takes.  So as not to take from
others what nobody has touched, a large one must leave half of the limit.

get_user_pages_fast() told secret memory by its folios being small, and
must look at large ones now.
"""

ADD_HUGE = """#ifdef CONFIG_TRANSPARENT_HUGEPAGE
static bool secretmem_wants_huge(struct vm_area_struct *vma)
{
	if (DISABLED)
		return false;
	return test_bit(TRANSPARENT_HUGEPAGE_FLAG, &transparent_hugepage_flags) ||
	       (vma->vm_flags & VM_HUGEPAGE &&
		test_bit(TRANSPARENT_HUGEPAGE_REQ_MADV_FLAG,
			 &transparent_hugepage_flags));
}

/*
 * The 2 MiB around a fault as one folio of the page cache, locked, if nothing of
 * it is there yet, and the page of it that is wanted.  NULL: take a small one.
 */
static struct page *secretmem_add_huge(struct vm_fault *vmf)
{
	struct inode *inode = file_inode(vmf->vma->vm_file);
	struct address_space *mapping = inode->i_mapping;
	pgoff_t first = round_down(vmf->pgoff, HPAGE_PMD_NR);
	loff_t start = (loff_t)first << PAGE_SHIFT;
	gfp_t gfp = vmf->gfp_mask | __GFP_NORETRY | __GFP_NOWARN;
	struct folio *folio;

	if (!secretmem_wants_huge(vmf->vma) || !pmd_none(*vmf->pmd) ||
	    start + HPAGE_PMD_SIZE > i_size_read(inode) ||
	    !SUITABLE ||
ROOM	    filemap_range_has_page(mapping, start, start + HPAGE_PMD_SIZE - 1))
		return NULL;
	folio = unmapped_fault_folio(vmf, gfp, HPAGE_PMD_ORDER);
	if (!folio)
		return NULL;
ACCOUNT	__folio_mark_uptodate(folio);
	if (!filemap_add_folio(mapping, folio, first, gfp))
		return folio_page(folio, vmf->pgoff - first);
UNACCOUNT	folio_put(folio);
	return NULL;
}
#else
static struct page *secretmem_add_huge(struct vm_fault *vmf)
{
	return NULL;
}
#endif

"""
ROOM = """	    !secretmem_room_for_huge(inode->i_private) ||
"""
ACCOUNT = """	if (!secretmem_account_folio(inode->i_private, folio)) {
		folio_put(folio);
		return NULL;
	}
"""
UNACCOUNT = """	secretmem_unaccount_folio(inode->i_private, folio);
"""
ROOM_FOR_HUGE = """static bool secretmem_room_for_huge(struct secretmem_inode_state *state)
{
	unsigned long limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;

	return atomic_long_read(&state->user->locked_vm) + HPAGE_PMD_NR <= limit / 2;
}

"""
TRY = """		vmf->page = secretmem_add_huge(vmf);
		if (vmf->page) {
			ret = VM_FAULT_LOCKED;
			goto out;
		}
"""
REFUSE = """
	if (unlikely(page_is_secretmem(page))) {
		gup_put_folio(folio, refs, flags);
		return 0;
	}
"""


def gup(tree):
    header = "include/linux/secretmem.h"
    if tree.has(header, r"\bpage_is_secretmem\("):
        tree.replace(header, r"\t \* We know that secretmem pages are not compound, so we can\n"
                             r"\t \* save a couple of cycles here.\n\t \*/\n"
                             r"\tif \(PageCompound\(page\)\)\n\t\treturn false;\n",
                     "\t */\n\tpage = compound_head(page);\n")
        tree.insert_after("mm/gup.c", r"^\tfolio = try_grab_folio\(page, refs, flags\);\n"
                                      r"\tif \(!folio\)\n\t\treturn 0;\n",
                          REFUSE, within="gup_huge_pmd")
    else:
        tree.replace("mm/gup.c", r"\t/\* secretmem folios are always order-0 folios. \*/\n"
                                 r"\tif \(IS_ENABLED\(CONFIG_SECRETMEM\) && "
                                 r"!folio_test_large\(folio\)\)\n",
                     "\tif (IS_ENABLED(CONFIG_SECRETMEM))\n",
                     within="gup_fast_folio_allowed")


def disabled(tree):
    """By madvise(2) or prctl(2)."""
    header = "include/linux/huge_mm.h"
    if tree.has(header, r"\bvma_thp_disabled\([^)]*bool forced_collapse\)"):
        return "vma_thp_disabled(vma, vma->vm_flags, false)"
    if tree.has(header, r"\bvma_thp_disabled\("):
        return "vma_thp_disabled(vma, vma->vm_flags)"
    return "vma->vm_flags & VM_NOHUGEPAGE ||\n" \
           "\t    test_bit(MMF_DISABLE_THP, &vma->vm_mm->flags)"


def apply(tree):
    gup(tree)
    path = "mm/secretmem.c"
    suitable = "thp_vma_suitable_order(vmf->vma, vmf->address & HPAGE_PMD_MASK,\n" \
               "\t\t\t\t    HPAGE_PMD_ORDER)"
    if not tree.has("include/linux/huge_mm.h", r"\bthp_vma_suitable_order\("):
        suitable = "transhuge_vma_suitable(vmf->vma, vmf->address & HPAGE_PMD_MASK)"
    accounts = tree.has(path, r"\bsecretmem_account_folio\(")
    text = ADD_HUGE.replace("UNACCOUNT", UNACCOUNT if accounts else "") \
        .replace("ACCOUNT", ACCOUNT if accounts else "") \
        .replace("ROOM", ROOM if accounts else "") \
        .replace("SUITABLE", suitable).replace("DISABLED", disabled(tree))
    if not tree.has("mm/internal.h", r"\b__folio_mark_uptodate\(") and \
            not tree.has("include/linux/page-flags.h", r"\b__folio_mark_uptodate\("):
        text = text.replace("__folio_mark_uptodate(folio)", "__SetPageUptodate(&folio->page)")
    if accounts:
        # Only where huge pages are.
        text = text.replace("/*\n * The 2 MiB", ROOM_FOR_HUGE + "/*\n * The 2 MiB")
    tree.insert_before(path, r"^static vm_fault_t secretmem_fault\(", text)
    tree.insert_before(path, r"^\t\t\w+ = secretmem_alloc_\w+\(vmf, gfp\);$", TRY,
                       within="secretmem_fault")
    tree.insert_after(path, r"^static const struct file_operations secretmem_fops = \{$",
                      "\t.get_unmapped_area = thp_get_unmapped_area,\n")
    tree.insert_after(path, r"^\tmapping_set_unevictable\(inode->i_mapping\);$",
                      "\tmapping_set_large_folios(inode->i_mapping);\n")
