# SPDX-License-Identifier: MIT
"""bpf: packs of programs from whole blocks outside of the direct map

Programs stand in packs of 2 MiB for each node, so that few pages need
to become executable.  But their pages come one by one, so that each of
them may split another entry of the direct map.

Take whole blocks for them, and map each by one entry: of the direct map
nothing is changed, and a program needs one entry of the TLB, as was the
intention.  The area itself may be split later without harm.

Where module_alloc() is not told what for (6.1), a pack is known by its
size, a multiple of 2 MiB.  A module of just that size is mapped so, too.
"""

from tree import Error


def apply(tree):
    path = "mm/execmem.c"
    if not tree.exists(path):
        # Of what comes here hardly anything but packs is a multiple of 2 MiB.
        path = "arch/x86/kernel/module.c"
        tree.insert_before(path, r"^#include <linux/vmalloc.h>$",
                           "#include <linux/unmapped.h>\n")
        tree.insert_after(path, r"^\tgfp_t gfp_mask = GFP_KERNEL;$",
                          "\tunsigned long vm_flags = VM_FLUSH_RESET_PERMS | VM_DEFER_KMEMLEAK;\n",
                          within="module_alloc")
        tree.insert_before(path, r"^\tp = __vmalloc_node_range\(", """	/* Packs of BPF programs. */
	if (IS_ALIGNED(size, PMD_SIZE))
		vm_flags |= unmapped_vm_flags();

""", within="module_alloc")
        tree.replace(path, r"MODULES_END, gfp_mask, PAGE_KERNEL,\n"
                     r"\s+VM_FLUSH_RESET_PERMS \| VM_DEFER_KMEMLEAK,\n\s+NUMA_NO_NODE,",
                     "MODULES_END, gfp_mask, PAGE_KERNEL, vm_flags,\n"
                     "\t\t\t\t NUMA_NO_NODE,", within="module_alloc")
        return
    new = "\tif (%s)\n\t\tvm_flags |= unmapped_vm_flags();\n\n"
    if tree.has(path, r"^static void \*__execmem_alloc\("):
        tree.insert_before(path, r"^#include <linux/vmalloc.h>$",
                           "#include <linux/unmapped.h>\n")
        tree.insert_before(path, r"^\tp = __vmalloc_node_range\((?=[^;]*;\n\tif \(!p && range)",
                           new % "range == &execmem_info->ranges[EXECMEM_BPF]",
                           within="__execmem_alloc")
    elif tree.has(path, r"^\tsize = PAGE_ALIGN\(size\);$"):
        tree.insert_before(path, r"^\tsize = PAGE_ALIGN\(size\);$",
                           new % "type == EXECMEM_BPF", within="execmem_alloc")
    else:
        raise Error("%s: where does memory for BPF come from?" % path)
