# SPDX-License-Identifier: MIT
"""KVM: map guest memory that the direct map does not have

KVM reaches its guests' memory through the mapping of the process that
runs them, with two exceptions: gfn_to_pfn_cache, for kvm-clock and
Xen's pages, and kvm_vcpu_map(), for what a guest keeps for guests of
its own.  Those look up the page and kmap() it.  If the memory of the
guest is a mapping of /dev/unmapped the page is not in the direct map,
and it is the guest that decides, by a write to an MSR, to have its host
fault there.

Map such pages by the allocator's own means.  What has to keep a page
while it is mapped so remains what it was:

 - gfn_to_pfn_cache has no reference.  An MMU notifier tells it that it
   must not use its address any more, and the mapping goes with the next
   refresh or with the cache.  An address that is kept because the pfn is
   the same again must not be one in the direct map if the page is
   another one now.
 - kvm_vcpu_map() has a reference to the page, and unmapped pages that
   are referenced are not given to others.  Where KVM refuses to map
   memory that it can't pin (allow_unsafe_mappings), it refuses here too.
 - The GHCB of a SEV-ES guest is unmapped where KVM can't sleep.  A
   process that has unmapped memory mapped can't have such a guest.

unmapped_kmap() can fail, unlike kmap() on x86-64, so the reference is
dropped then.

Ordinary pages are mapped as before.
"""

from makefile import add_objects

INCLUDE = "#include <linux/unmapped_page.h>\n"


def apply(tree):
    tree.add_new("include/linux/unmapped_page.h")
    tree.add_new("mm/unmapped/kmap.c")
    add_objects(tree, "kmap.o")
    tree.replace("MAINTAINERS", r"^F:\tinclude/linux/unmapped\.h$",
                 "F:\tinclude/linux/unmapped.h\nF:\tinclude/linux/unmapped_page.h")

    path = "virt/kvm/pfncache.c"
    tree.insert_after(path, r"^#include <linux/errno\.h>$", INCLUDE)
    tree.cocci(path, "kvm.cocci", gone=[r"\bkmap\(pfn", r"\bkunmap\("],
               there=[r"\bunmapped_kmap\(pfn_to_page\(", r"\bunmapped_kunmap\("])
    tree.replace(path, r"if \(new_pfn == gpc->pfn\)",
                 "if (new_pfn == gpc->pfn &&\n\\1    (!pfn_valid(new_pfn) ||\n"
                 "\\1     unmapped_kmap_valid(pfn_to_page(new_pfn), old_khva)))"
                 .replace("\\1", "\t\t\t" if tree.has(path, r"^\t\t\tif \(new_pfn == gpc->pfn\)")
                          else "\t\t"), within="hva_to_pfn_retry")

    path = "virt/kvm/kvm_main.c"
    tree.insert_after(path, r"^#include <linux/suspend\.h>$", INCLUDE)
    tree.cocci(path, "kvm.cocci", gone=[r"\bkmap\(", r"\bkunmap\("],
               there=[r"\bunmapped_kmap\(", r"\bunmapped_kunmap\("])
    if tree.has(path, r"^int kvm_vcpu_map\("):
        tree.replace(path, r"^\tif \(!hva\)\n\t\treturn -EFAULT;$",
                     "\tif (!hva) {\n\t\tkvm_release_pfn_clean(pfn);\n"
                     "\t\treturn -EFAULT;\n\t}", within="kvm_vcpu_map")
    else:
        tree.replace(path, r"^\treturn map->hva \? 0 : -EFAULT;$",
                     "\tif (map->hva)\n\t\treturn 0;\n\tif (map->pinned_page)\n"
                     "\t\tunpin_user_page(map->pinned_page);\n\tmap->pinned_page = NULL;\n"
                     "\treturn -EFAULT;", within="__kvm_vcpu_map")

    path = "arch/x86/kvm/svm/sev.c"
    tree.insert_after(path, r"^#include <linux/trace_events\.h>$", INCLUDE)
    tree.replace(path, r"^\tif \((kvm_vcpu_map\(vcpu, ghcb_gpa .*\)) \{$",
                 "\tif (unmapped_kvm_refuses(__func__) ||\n\t    \\1 {")
