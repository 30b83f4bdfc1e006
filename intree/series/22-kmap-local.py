# SPDX-License-Identifier: MIT
"""x86/mm: kmap_local_page() for memory the direct map does not have

kmap_local_page() is a promise: who uses it does not count on the direct
map.  x86-64 has no highmem and keeps no part of that promise: there,
the call is page_address().

Let it map pages of the allocator, in the fixmap, as it does on 32 bits:
the slots are the task's, they are taken away and put back when it is
switched out, and one CPU's flush is enough.  For all other pages it
remains page_address(), after a call and a look.

DEBUG_KMAP_LOCAL_FORCE_MAP is not that.  x86-64 offers it, and makes
room in the fixmap for it, but without HIGHMEM kmap_local_page() never
gets as far as to ask.

The slots of 8192 CPUs would take 512 MiB, and there are 32 MiB between
the modules and the end of the address space, so the option is for up to
256 CPUs.  It has no prompt: the next patches select it.
"""

VERSIONS = ("7.2",)

KCONFIG = """
config UNMAPPED_KMAP_LOCAL
	bool
	select KMAP_LOCAL
"""

HIGHMEM_H = """#ifdef CONFIG_UNMAPPED_KMAP_LOCAL
/* Maps what the direct map does not have; for the rest it is page_address(). */
void *kmap_local_lowmem(const struct page *page);
#define kunmap_local_lowmem(addr)	kunmap_local_indexed(addr)
#else
#define kmap_local_lowmem(page)		page_address(page)
#define kunmap_local_lowmem(addr)	((void)(addr))
#endif

"""

HOOKS = """#ifdef CONFIG_UNMAPPED_KMAP_LOCAL
#include <asm/tlbflush.h>
#include "unmapped/page.h"

#define arch_kmap_local_post_unmap(vaddr)	flush_tlb_one_kernel(vaddr)
#endif

"""

FUNCTION = """
#ifdef CONFIG_UNMAPPED_KMAP_LOCAL
void *kmap_local_lowmem(const struct page *page)
{
	if (!unmapped_needs_kmap(page))
		return page_address(page);
	return __kmap_local_pfn_prot(page_to_pfn(page), PAGE_KERNEL);
}
EXPORT_SYMBOL(kmap_local_lowmem);
#endif
"""

PAGE_H = """#ifdef CONFIG_UNMAPPED_KMAP_LOCAL
DECLARE_STATIC_KEY_FALSE(unmapped_kmap_key);

/* Whether kmap_local_page() has to map the page. */
static __always_inline bool unmapped_needs_kmap(const struct page *page)
{
	return static_branch_unlikely(&unmapped_kmap_key) && __unmapped_owns_pfn(page_to_pfn(page));
}
#endif

"""

PAGE_C = """
#ifdef CONFIG_UNMAPPED_KMAP_LOCAL
/* Switched on by who gives such pages to users of kmap_local_page(). */
DEFINE_STATIC_KEY_FALSE(unmapped_kmap_key);
#endif
"""


def apply(tree):
    force = r"^#ifndef CONFIG_DEBUG_KMAP_LOCAL_FORCE_MAP$"
    ours = "#if !defined(CONFIG_DEBUG_KMAP_LOCAL_FORCE_MAP) && \\\\\n" \
           "\t!defined(CONFIG_UNMAPPED_KMAP_LOCAL)"
    tree.replace("arch/x86/include/asm/pgtable_64_types.h", force, ours)
    tree.replace("arch/x86/include/asm/fixmap.h", force, ours)

    # The part without CONFIG_HIGHMEM, by what only that has.
    path = "include/linux/highmem-internal.h"
    head = r"^static inline struct page \*kmap_to_page\(void \*addr\)\n\{\n" \
           r"\treturn virt_to_page\(addr\);$"
    tree.insert_before(path, head, HIGHMEM_H)
    tree.replace(path, r"(^static inline void \*kmap_local_page\(const struct page \*page\)\n\{\n"
                       r"\treturn )page_address(\(page\);\n)", r"\1kmap_local_lowmem\2")
    tree.replace(path, r"^\treturn folio_address\(folio\) \+ offset;\n",
                 "\tconst struct page *page = folio_page(folio, offset / PAGE_SIZE);\n\n"
                 "\treturn kmap_local_lowmem(page) + offset % PAGE_SIZE;\n")
    tree.replace(path, r"(^\tpagefault_disable\(\);\n\treturn )page_address(\(page\);\n)",
                 r"\1kmap_local_lowmem\2")
    for function in ("__kunmap_local", "__kunmap_atomic"):
        tree.replace(path, r"(^static inline void %s\(const void \*addr\)\n\{\n"
                           r"#ifdef ARCH_HAS_FLUSH_ON_KUNMAP\n.*\n#endif\n)" % function,
                     r"\1\tkunmap_local_lowmem(addr);\n")
    path = "include/linux/highmem.h"
    tree.replace(path, r"^#if defined\(clear_user_highpage\) \|\| defined\(CONFIG_HIGHMEM\)$",
                 "#if defined(clear_user_highpage) || defined(CONFIG_HIGHMEM) || \\\\\n"
                 "\tdefined(CONFIG_UNMAPPED_KMAP_LOCAL)")

    path = "mm/highmem.c"
    tree.insert_before(path, r"^/\*\n \* With DEBUG_KMAP_LOCAL the stack depth is doubled", HOOKS)
    tree.insert_after(path, r"^EXPORT_SYMBOL\(__kmap_local_page_prot\);$", FUNCTION)
    tree.insert_before("mm/unmapped/page.h",
                       r"^#else\n\nstatic inline void unmapped_put_page_enable\(", PAGE_H)
    tree.insert_after("mm/unmapped/page.c",
                      r"^DEFINE_STATIC_KEY_FALSE\(unmapped_put_page_key\);$", PAGE_C)
    tree.write("mm/unmapped/Kconfig", tree.read("mm/unmapped/Kconfig") + KCONFIG)
