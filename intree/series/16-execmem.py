# SPDX-License-Identifier: MIT
"""mm, x86: take modules and other kernel code out of the direct map

Memory for modules, BPF programs, kprobes and trampolines is made
read-only and executable, and at its end writable again.  Each time the
same pages of the direct map follow, and its large entries are split: by
set_memory_ro(), by execmem_force_rw() of a part of what execmem caches,
and by vfree(), which makes page after page invalid and valid again.
Nothing makes them whole.

Pages that the direct map does not have need none of that.  Let areas
with VM_FLUSH_RESET_PERMS have them.  A change of permissions is one of
the area alone then (the patch before), and its flush one of that area,
not of all that all CPUs have, if it is of no more pages than CPA flushes
singly, 33.

So nobody reads or writes code through the direct map any more: not
those who are meant to, text_poke() and /proc/kcore, and not those who
are not.

execmem's cache of executable memory, where there is one, remains as it
is, above: it saves changes of permissions in the area, and takes its
2 MiB from here.

Hibernation is refused while there is such memory, as the image would be
copied through the direct map.  The next patch ends that.

It is an option, since it makes the page allocator ask for each page that
is freed, from boot on.  unmapped.execmem=0 avoids that.
"""

import re

from documentation import add_parameter
from makefile import add_config, add_objects_if
from tree import Error

KCONFIG = """
config UNMAPPED_EXECMEM
	bool "Modules and other kernel code outside of the direct map"
	depends on UNMAPPED_ALLOC
	help
	  Take memory for modules, BPF programs, kprobes and trampolines
	  from the allocator of unmapped pages, so that a change of its
	  permissions splits no large entries of the direct map, and code
	  can't be read or written there.

	  Each page that is freed is looked up in a table then, from boot on.
	  unmapped.execmem=0 turns it off at boot.

	  If unsure, say N.
"""
HEADER = """/*
 * What has vmalloc() take such pages, and whole blocks with one entry each if it
 * is 2 MiB or more: VM_FLUSH_RESET_PERMS and VM_ALLOW_HUGE_VMAP; 0 as long as
 * there is no allocator.
 */
unsigned long unmapped_vm_flags(void);

/*
 * Zeroed pages for vmalloc(), each 2^@order of them contiguous and aligned; freed
 * by their last reference.  Return: how many, 0 to @nr.  Context: may sleep.
 */
unsigned long unmapped_vmalloc_pages(int nid, gfp_t gfp, unsigned int order,
				     unsigned long nr, struct page **pages);

"""
STUBS = """
static inline unsigned long unmapped_vm_flags(void)
{
	return 0;
}

static inline unsigned long unmapped_vmalloc_pages(int nid, gfp_t gfp,
						   unsigned int order, unsigned long nr,
						   struct page **pages)
{
	return 0;
}
"""
RETIRE = """
/* Whether memory is of an area of before the allocator; later ones have this flag. */
static bool execmem_is_retired(void *ptr)
{
	return unmapped_vm_flags() &&
	       !(find_vm_area(ptr)->flags & VM_FLUSH_RESET_PERMS);
}

/*
 * What is cached by now are pages of the direct map.  Whole areas are given back;
 * what is free of others, now or later, is given to nobody.
 */
void __init execmem_cache_retire(void)
{
	MA_STATE(mas, &execmem_cache.free_areas, 0, ULONG_MAX);
	void *area;

	execmem_cache_clean(NULL);
	mutex_lock(&execmem_cache.mutex);
	mas_for_each(&mas, area, ULONG_MAX)
		mas_store_gfp(&mas, NULL, GFP_KERNEL);
	mutex_unlock(&execmem_cache.mutex);
}
"""
COUNTED = """	for (i = 0; i < got; i++)
		mod_lruvec_page_state(pages[i], NR_VMALLOC, 1);
"""


def files(tree):
    def counted(text):
        if tree.has("mm/vmalloc.c", r"\bNR_VMALLOC\b"):
            return text
        # Where vmalloc() counts areas, not pages.
        if COUNTED not in text:
            raise Error("execmem.c: where are pages counted?")
        return text.replace(COUNTED, "").replace("#include <linux/vmstat.h>\n", "")

    tree.add_new("mm/unmapped/execmem.c", counted)
    add_config(tree, KCONFIG)
    add_objects_if(tree, "UNMAPPED_EXECMEM", "execmem.o")
    header = "include/linux/unmapped.h"
    tree.replace(header, r"^(bool pfn_unmapped\(unsigned long pfn\);\n\n)", "\\1" + HEADER)
    tree.insert_before(header, r"^\n#endif /\* CONFIG_UNMAPPED_EXECMEM \*/$", STUBS)


def vmalloc(tree):
    path = "mm/vmalloc.c"
    tree.insert_after(path, r"^\tpage_order = vm_area_page_order\(area\);$", """
	/* Their permissions will change: pages without an alias, if there are. */
	if (area->flags & VM_FLUSH_RESET_PERMS)
		area->nr_pages = unmapped_vmalloc_pages(node, gfp_mask, page_order,
							nr_small_pages, area->pages);
""", within="__vmalloc_area_node")
    tree.replace(path, r"^\tarea->nr_pages = vm_area_alloc_pages\(([^;]*)"
                 r"nr_small_pages, area->pages\);$",
                 lambda m: "\tif (area->nr_pages < nr_small_pages)\n"
                 "\t\tarea->nr_pages += vm_area_alloc_pages(" +
                 re.sub(r"\n\t\t\t?", "\n\t\t\t", m[1]) +
                 "nr_small_pages - area->nr_pages,\n"
                 "\t\t\tarea->pages + area->nr_pages);",
                 within="__vmalloc_area_node")


def retire(tree, path):
    """What the cache has when the allocator starts: for thunks of x86's mitigations, say."""
    tree.insert_after(path, r"^static DECLARE_WORK\(execmem_cache_clean_work, "
                      r"execmem_cache_clean\);$", RETIRE)
    tree.insert_before("include/linux/execmem.h", r"^#ifdef CONFIG_ARCH_HAS_EXECMEM_ROX$",
                      "/* At the start of the allocator of unmapped pages. */\n"
                      "void execmem_cache_retire(void);\n\n")
    tree.replace(path, r"^\terr = execmem_cache_add_locked\(ptr, size, gfp_mask\);$",
                 "\tif (!execmem_is_retired(ptr))\n"
                 "\t\terr = execmem_cache_add_locked(ptr, size, gfp_mask);",
                 within="__execmem_cache_free")
    path = "mm/unmapped/execmem.c"
    tree.replace(path, r"^\tif \(execmem\)\n\t\tunmapped_put_page_enable\(\);$",
                 "\tif (!execmem)\n\t\treturn 0;\n\tunmapped_put_page_enable();\n"
                 "\tif (IS_ENABLED(CONFIG_ARCH_HAS_EXECMEM_ROX) && unmapped_put_page_enabled())\n"
                 "\t\texecmem_cache_retire();")
    tree.insert_before(path, r"^#include <linux/init.h>$", "#include <linux/execmem.h>\n")


def code(tree):
    """Who asks vmalloc() for memory for code, all with VM_FLUSH_RESET_PERMS."""
    path = "mm/execmem.c"
    if not tree.exists(path):
        path = "arch/x86/kernel/module.c"
        if not tree.has(path, r"\bVM_FLUSH_RESET_PERMS \|"):
            raise Error("%s: where does memory for modules come from?" % path)
        return
    if tree.has(path, r"\bexecmem_cache_populate_alloc\("):
        # The cache of executable memory.
        tree.replace(path, r"= VM_ALLOW_HUGE_VMAP;$",
                     "= VM_ALLOW_HUGE_VMAP | unmapped_vm_flags();",
                     within="execmem_cache_populate_alloc")
        retire(tree, path)
    if not tree.has(path, r"^\tunsigned long vm_flags +?= VM_FLUSH_RESET_PERMS;$"):
        raise Error("%s: where does memory for code come from?" % path)


def apply(tree):
    files(tree)
    add_parameter(tree, "unmapped.execmem", """
[X86-64,MM] Format: <bool>
Modules, BPF programs and other code stand on memory
that the direct map does not have. Default: 1.
""")
    code(tree)
    vmalloc(tree)
