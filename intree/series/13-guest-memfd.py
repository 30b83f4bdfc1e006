# SPDX-License-Identifier: MIT
"""KVM: guest_memfd without the direct map

The memory of a guest_memfd is the guest's alone, but for what the
process that runs it maps.  The kernel does not need it in the direct
map, where whatever reads kernel memory that it should not finds it.

Add two flags to KVM_CREATE_GUEST_MEMFD.  With GUEST_MEMFD_FLAG_UNMAPPED
pages come from the allocator of unmapped ones: absent from their first
use on, without a split of a large entry, zeroed when they are freed.
With GUEST_MEMFD_FLAG_UNMAPPED_NO_ZERO they are zeroed by who gets them
next instead, which is less work when a large guest goes.  That needs
CAP_SYS_ADMIN as the work falls to others.

What used the direct map of such pages:

 - clear_highpage() at the first use.  They are zero, or are cleared
   through a mapping of this CPU only.
 - get_user_pages(), where the file can be mapped.  Such mappings are
   VM_IO, which it refuses; get_user_pages_fast() does not see that, and
   asks for the page.
 - kvm_gmem_populate() and the hooks of SEV-SNP and TDX.  VMs of these
   types can't have the flags: their memory is encrypted.
 - KVM, by gfn_to_pfn_cache and kvm_vcpu_map(), if the file is mapped at
   the userspace address of its memslot.  It maps such pages since the
   patch before.

Pages go back by their last reference.  A touch that finds no memory
raises SIGBUS rather than the OOM killer: what is in the way is not this
task's memory.

KVM_CAP_GUEST_MEMFD_FLAGS has the flags where the allocator runs.
"""

VERSIONS = ("6.12", "7.2")

UAPI = """
/*
 * Pages that the kernel's direct map does not have, zeroed when they are freed.
 * Not for VMs whose memory is encrypted.  What is mapped of them is out of reach
 * of get_user_pages(), as for memfd_secret(2), and a touch that finds no memory
 * raises SIGBUS.
 */
#define GUEST_MEMFD_FLAG_UNMAPPED		(1ULL << 28)
/* The same, zeroed by who gets them next.  Without CAP_SYS_ADMIN: EPERM. */
#define GUEST_MEMFD_FLAG_UNMAPPED_NO_ZERO	(1ULL << 29)
"""

HEADER = """
/*
 * Pages of the page cache that are freed by their last reference.  Call
 * unmapped_put_page_enable() before the first; without an allocator it has no
 * effect, and unmapped_available() says so.
 */
bool unmapped_available(void);
void unmapped_put_page_enable(void);

/**
 * unmapped_folio_alloc - allocate a folio for the page cache
 * @gfp:	as for unmapped_pages_alloc_node(); filemap_add_folio() charges it
 * @order:	0 to 9
 * @policy:	of the mapping, or NULL: then the task's counts
 * @index:	in the mapping, by which MPOL_INTERLEAVE goes
 *
 * Return: the folio, with one reference; NULL.
 */
struct folio *unmapped_folio_alloc(gfp_t gfp, unsigned int order,
				   const struct mempolicy *policy, pgoff_t index);

/* Clear a page where it is not in the direct map.  Any context. */
void unmapped_clear_page(struct page *page);

"""
STUBS = """
static inline bool unmapped_available(void)
{
	return false;
}

static inline void unmapped_put_page_enable(void)
{
}

static inline struct folio *unmapped_folio_alloc(gfp_t gfp, unsigned int order,
						 const struct mempolicy *policy,
						 pgoff_t index)
{
	return NULL;
}

static inline void unmapped_clear_page(struct page *page)
{
}

"""
PAGE_C = """
bool unmapped_available(void)
{
	return unmapped_allocator.caches;
}
EXPORT_SYMBOL_GPL(unmapped_available);

void unmapped_clear_page(struct page *page)
{
	map_local_zero(page_to_pfn(page), 0);
}
EXPORT_SYMBOL_GPL(unmapped_clear_page);
"""

# {flags}: the file's, of an inode; {policy}: see POLICY.
GMEM = """
#define KVM_GMEM_UNMAPPED	(GUEST_MEMFD_FLAG_UNMAPPED | \\
				 GUEST_MEMFD_FLAG_UNMAPPED_NO_ZERO)

bool __weak kvm_arch_supports_gmem_unmapped(struct kvm *kvm)
{
	return false;
}

/* Of a VM, or of any (NULL). */
u64 kvm_gmem_unmapped_flags(struct kvm *kvm)
{
	if (!unmapped_available() || (kvm && !kvm_arch_supports_gmem_unmapped(kvm)))
		return 0;
	return KVM_GMEM_UNMAPPED;
}

static u64 kvm_gmem_flags(struct inode *inode)
{
	return %(flags)s;
}

/* Zero at its first use, which it is if it was zeroed when it was freed last. */
static void kvm_gmem_clear_folio(struct folio *folio)
{
	u64 flags = kvm_gmem_flags(folio->mapping->host);
	long i;

	for (i = 0; i < folio_nr_pages(folio); i++) {
		if (!(flags & KVM_GMEM_UNMAPPED))
			clear_highpage(folio_page(folio, i));
		else if (flags & GUEST_MEMFD_FLAG_UNMAPPED_NO_ZERO)
			unmapped_clear_page(folio_page(folio, i));
	}
}

/* A new, locked folio in the page cache; -EEXIST if there is one by now. */
static struct folio *kvm_gmem_add_unmapped(struct inode *inode, pgoff_t index,
					   struct mempolicy *policy)
{
	gfp_t gfp = mapping_gfp_mask(inode->i_mapping);
	struct folio *folio;
	int err;

	if (!(kvm_gmem_flags(inode) & GUEST_MEMFD_FLAG_UNMAPPED_NO_ZERO))
		gfp |= __GFP_ZERO;
	folio = unmapped_folio_alloc(gfp, 0, policy, index);
	if (!folio)
		return ERR_PTR(-ENOMEM);
	err = filemap_add_folio(inode->i_mapping, folio, index, gfp);
	if (err) {
		folio_put(folio);
		return ERR_PTR(err);
	}
	return folio;
}
"""
ARCH_DECLARED = "bool kvm_arch_supports_gmem_unmapped(struct kvm *kvm);\n"
ARCH = """
/* What hardware encrypts it reaches in its own ways. */
bool kvm_arch_supports_gmem_unmapped(struct kvm *kvm)
{
	return kvm->arch.vm_type == KVM_X86_DEFAULT_VM ||
	       kvm->arch.vm_type == KVM_X86_SW_PROTECTED_VM;
}
"""
CREATE = """
	if (flags & GUEST_MEMFD_FLAG_UNMAPPED_NO_ZERO && !capable(CAP_SYS_ADMIN))
		return -EPERM;

	if (flags & KVM_GMEM_UNMAPPED)
		unmapped_put_page_enable();
"""
DOC = """
KVM_CAP_GUEST_MEMFD_FLAGS also has these flags where the kernel has an allocator of
pages outside of the direct map (CONFIG_UNMAPPED_ALLOC), for VM types whose memory is
not encrypted:

  ================================= ==========================================
  GUEST_MEMFD_FLAG_UNMAPPED         Pages that the direct map does not have,
                                    zeroed when they are freed.  A mapping of
                                    them is out of reach of get_user_pages();
                                    a touch that finds no memory raises SIGBUS.
  GUEST_MEMFD_FLAG_UNMAPPED_NO_ZERO The same, but zeroed only by who gets them
                                    next.  Needs CAP_SYS_ADMIN, else EPERM.
  ================================= ==========================================
"""


def allocator_parts(tree):
    header = "include/linux/unmapped_page.h"
    tree.insert_before(header, r"^#else$", HEADER[1:])
    tree.insert_before(header, r"^#endif /\* CONFIG_UNMAPPED_ALLOC \*/$", STUBS[1:])
    tree.replace(header, r"^struct page;$", "struct folio;\nstruct mempolicy;\nstruct page;")
    path = "mm/unmapped/page.c"
    tree.write(path, tree.read(path) + PAGE_C)
    tree.insert_after(path, r"^#include <linux/unmapped\.h>$",
                      "#include <linux/unmapped_page.h>\n")
    tree.insert_before(path, r"^#include <linux/mempolicy\.h>$",
                       "#include <linux/export.h>\n")
    tree.insert_after(path, r'^#include "host\.h"$',
                      '#include "map_local.h"\n')
    tree.replace(path, r"^(void unmapped_put_page_enable\(void\)\n\{\n(?:.*\n)*?\}\n)",
                 "\\1EXPORT_SYMBOL_GPL(unmapped_put_page_enable);\n")
    tree.replace(path, r"^static (struct folio \*unmapped_folio_alloc\(gfp_t gfp, unsigned int order,\n)"
                 r"\t\t\t\t\t  (const struct mempolicy \*policy, pgoff_t index\)\n\{\n(?:.*\n)*?\}\n)",
                 "\\1\t\t\t\t   \\2EXPORT_SYMBOL_GPL(unmapped_folio_alloc);\n")


def newest(tree, path):
    """Where the file can be mapped, has a policy, and flags have a capability."""
    tree.insert_after("include/uapi/linux/kvm.h",
                      r"^#define GUEST_MEMFD_FLAG_INIT_SHARED\b", UAPI[1:])
    host = "include/linux/kvm_host.h"
    tree.insert_after(host, r"^bool kvm_arch_supports_gmem_init_shared\(struct kvm \*kvm\);$",
                      ARCH_DECLARED + "u64 kvm_gmem_unmapped_flags(struct kvm *kvm);\n")
    tree.insert_before("arch/x86/kvm/x86.c", r"^#ifdef CONFIG_HAVE_KVM_ARCH_GMEM_PREPARE$",
                       ARCH[1:] + "\n")
    tree.replace(host, r"^\treturn flags;$", "\treturn flags | kvm_gmem_unmapped_flags(kvm);",
                 within="kvm_gmem_get_supported_flags")
    tree.replace(path, r"^\tfolio = (__filemap_get_folio_mpol\()(.*\n)\s*(.*\n)\s*(.*;)$",
                 "\tif (kvm_gmem_flags(inode) & KVM_GMEM_UNMAPPED)\n"
                 "\t\tfolio = kvm_gmem_add_unmapped(inode, index, policy);\n"
                 "\telse\n"
                 "\t\tfolio = \\1\\2\t\t\t\t\t\t \\3\t\t\t\t\t\t \\4",
                 within="kvm_gmem_get_folio")
    tree.replace(path, r"^(\tmpol_cond_put\(policy\);\n)",
                 "\\1\tif (folio == ERR_PTR(-EEXIST))\n\t\tgoto repeat;\n",
                 within="kvm_gmem_get_folio")
    tree.replace(path, r"^(\t/\*\n\t \* Fast-path: See if folio)", "repeat:\n\\1",
                 within="kvm_gmem_get_folio")
    for function in ("kvm_gmem_fault_user_mapping", "kvm_gmem_get_pfn"):
        tree.replace(path, r"clear_highpage\(folio_page\(folio, 0\)\);",
                     "kvm_gmem_clear_folio(folio);", within=function)
    tree.insert_before(path, r"^\t\treturn vmf_error\(PTR_ERR\(folio\)\);$",
                       "\t\tif (kvm_gmem_flags(inode) & KVM_GMEM_UNMAPPED)\n"
                       "\t\t\treturn VM_FAULT_SIGBUS;\n\n",
                       within="kvm_gmem_fault_user_mapping")
    tree.insert_before(path, r"^\tvma->vm_ops = &kvm_gmem_vm_ops;$",
                       "\t/* Nothing that reads pages by the direct map may have these. */\n"
                       "\tif (kvm_gmem_flags(file_inode(file)) & KVM_GMEM_UNMAPPED)\n"
                       "\t\tvm_flags_set(vma, VM_IO | VM_DONTDUMP);\n\n",
                       within="kvm_gmem_mmap")
    gup = "mm/gup.c"
    tree.insert_after(gup, r'^#include "swap\.h"$', '#include "unmapped/page.h"\n')
    tree.replace(gup, r"^\tif \(!reject_file_backed && !check_secretmem\)$",
                 "\tif (!reject_file_backed && !check_secretmem &&\n"
                 "\t    !IS_ENABLED(CONFIG_UNMAPPED_ALLOC))",
                 within="gup_fast_folio_allowed")
    tree.insert_before(gup, r"^\t/\* The only remaining allowed file system is shmem\. \*/$",
                       "\t/* Of a guest_memfd: its mapping says no, but is not here to be asked. */\n"
                       "\tif (unmapped_owns(&folio->page))\n\t\treturn false;\n",
                       within="gup_fast_folio_allowed")
    tree.insert_before("Documentation/virt/kvm/api.rst",
                       r"^When the KVM MMU performs a PFN lookup to service a guest fault",
                       DOC[1:] + "\n")


def older(tree, path):
    tree.insert_after("include/uapi/linux/kvm.h",
                      r"^#define KVM_CREATE_GUEST_MEMFD\b", UAPI[1:])
    tree.insert_after("include/uapi/linux/kvm.h", r"^#define KVM_CAP_X86_GUEST_MODE 238$",
                      "/* As newer kernels have it: flags of KVM_CREATE_GUEST_MEMFD. */\n"
                      "#define KVM_CAP_GUEST_MEMFD_FLAGS 244\n")
    tree.insert_before("include/linux/kvm_host.h",
                       r"^int kvm_gmem_get_pfn\(struct kvm \*kvm, struct kvm_memory_slot \*slot,$",
                       ARCH_DECLARED)
    tree.insert_before("arch/x86/kvm/x86.c", r"^#ifdef CONFIG_HAVE_KVM_ARCH_GMEM_PREPARE$",
                       "#ifdef CONFIG_KVM_PRIVATE_MEM\n" + ARCH[1:] + "#endif\n\n")
    tree.insert_after("virt/kvm/kvm_mm.h", r"^void kvm_gmem_init\(struct module \*module\);$",
                      "u64 kvm_gmem_unmapped_flags(struct kvm *kvm);\n")
    tree.insert_after("virt/kvm/kvm_main.c",
                      r"^\t\treturn !kvm \|\| kvm_arch_has_private_mem\(kvm\);$",
                      "\tcase KVM_CAP_GUEST_MEMFD_FLAGS:\n"
                      "\t\treturn kvm_gmem_unmapped_flags(kvm);\n")
    tree.replace(path, r"^\tu64 valid_flags = 0;$",
                 "\tu64 valid_flags = kvm_gmem_unmapped_flags(kvm);")
    tree.replace(path, r"^\t/\* TODO: Support huge pages\. \*/\n\treturn filemap_grab_folio\("
                 r"inode->i_mapping, index\);\n",
                 "\tstruct folio *folio;\n\n"
                 "\t/* TODO: Support huge pages. */\n"
                 "\tif (!(kvm_gmem_flags(inode) & KVM_GMEM_UNMAPPED))\n"
                 "\t\treturn filemap_grab_folio(inode->i_mapping, index);\n\n"
                 "\tdo {\n"
                 "\t\tfolio = filemap_lock_folio(inode->i_mapping, index);\n"
                 "\t\tif (IS_ERR(folio))\n"
                 "\t\t\tfolio = kvm_gmem_add_unmapped(inode, index, NULL);\n"
                 "\t} while (folio == ERR_PTR(-EEXIST));\n"
                 "\treturn folio;\n", within="kvm_gmem_get_folio")
    tree.replace(path, r"^\tnr_pages = folio_nr_pages\(folio\);\n\tfor \(i = 0; i < nr_pages; i\+\+\)\n"
                 r"\t\tclear_highpage\(folio_page\(folio, i\)\);$",
                 "\tkvm_gmem_clear_folio(folio);", within="kvm_gmem_prepare_folio")
    tree.replace(path, r"^\tunsigned long nr_pages, i;\n", "", within="kvm_gmem_prepare_folio")
    tree.insert_before("Documentation/virt/kvm/api.rst",
                       r"^KVM currently only supports mapping guest_memfd via "
                       r"KVM_SET_USER_MEMORY_REGION2,$", DOC[1:] + "\n")
    # Any flag was unknown to it.
    tree.insert_before("tools/testing/selftests/kvm/guest_memfd_test.c",
                       r"^\t\tfd = __vm_create_guest_memfd\(vm, page_size, flag\);$",
                       "\t\tif (flag & vm_check_cap(vm, KVM_CAP_GUEST_MEMFD_FLAGS))\n"
                       "\t\t\tcontinue;\n", within="test_create_guest_memfd_invalid")


def apply(tree):
    allocator_parts(tree)
    path = "virt/kvm/guest_memfd.c"
    mappable = tree.has(path, r"^static int kvm_gmem_mmap\(")
    flags = "GMEM_I(inode)->flags" if mappable else "(unsigned long)inode->i_private"
    tree.insert_after(path, r"^#include <linux/pagemap\.h>$",
                      "#include <linux/unmapped_page.h>\n")
    tree.insert_before(path, r"^static int __kvm_gmem_prepare_folio\(",
                       GMEM[1:] % {"flags": flags} + "\n")
    (newest if mappable else older)(tree, path)
    tree.insert_before(path, r"^\treturn __kvm_gmem_create\(kvm, size, flags\);$",
                       CREATE[1:] + "\n", within="kvm_gmem_create")
    tree.replace("mm/unmapped/Kconfig",
                 r"^\t  memfd_secret\(2\) takes its pages from here, and programs get them from$",
                 "\t  memfd_secret(2) takes its pages from here, so does guest_memfd with\n"
                 "\t  GUEST_MEMFD_FLAG_UNMAPPED, and programs get them from")
    for function in ("kvm_gmem_prepare_folio", "kvm_gmem_get_pfn"):
        tree.require(path, function, gone=[r"clear_highpage"])
