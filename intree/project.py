# SPDX-License-Identifier: MIT
"""The files of this project as they stand in a kernel tree.

They are the same files; what is changed on the way is listed here, and nothing
else is:

 - kernel/symbols.[ch] stays behind: static calls to what a module has to look
   up become plain calls, and pointers to unexported variables the variables;
 - of kernel/compat.h, what the tree has no need of is left out (unifdef);
 - what only a module can do, such as to be unloaded, goes;
 - includes name files where they are.

A name or a probe that is not known here stops the run.
"""

import os
import re
import subprocess

from tree import ROOT, Error

CORE = "mm/unmapped/core/"
HOST = "mm/unmapped/"

# What kernel/have finds by compiling, and where a tree shows it.
HAVE = {
    "VM_FLAGS_SET": ("include/linux/mm.h", r"\bvm_flags_set\("),
    "SHRINKER_ALLOC": ("include/linux/shrinker.h", r"\bshrinker_alloc\("),
    "IS_ENDBR_OF_VALUE": ("arch/x86/include/asm/ibt.h", r"\b__is_endbr\(u32 val\)"),
    "PAGETABLE_DTOR": ("include/linux/mm.h", r"\bpagetable_dtor\("),
    "PAGE_HAS_MOVABLE_OPS": ("include/linux/page-flags.h",
                             r"\bpage_has_movable_ops\("),
    "COLLAPSE_EVENTS": ("include/linux/vm_event_item.h",
                        r"\bDIRECT_MAP_LEVEL2_COLLAPSE\b"),
    "FOLLOW_PFNMAP": ("include/linux/mm.h", r"\bfollow_pfnmap_start\("),
    "RELEASE_FAULT_LOCK": ("include/linux/mm.h", r"\brelease_fault_lock\("),
    "SYSCORE": ("include/linux/syscore_ops.h", r"^struct syscore \{"),
    "WQ_PERCPU": ("include/linux/workqueue.h", r"^\tWQ_PERCPU\b"),
    "HOST_SEV_SNP": ("include/linux/cc_platform.h", r"^\tCC_ATTR_HOST_SEV_SNP,"),
    "PFN_T": ("include/linux/pfn_t.h", r"\b__pfn_to_pfn_t\("),
    "IRQ_STAT_COUNTS": ("arch/x86/include/asm/hardirq.h", r"\bIRQ_COUNT_TLB\b"),
}
# The same for names that compat.h defines where they are missing.
DEFINED = {
    "NR_PAGE_ORDERS": ("include/linux/mmzone.h", r"^#define NR_PAGE_ORDERS\b"),
    "ACR_FLAGS_NONE": ("include/linux/gfp.h", r"\bACR_FLAGS_NONE\b"),
}
# Names of symbols.h: in the tree they are this, with that include.
CALLS = {
    "um_flush_tlb_all": ("flush_tlb_all", "<asm/tlbflush.h>"),
    "um_flush_tlb_kernel_range": ("flush_tlb_kernel_range", "<asm/tlbflush.h>"),
    "um_get_vm_area_caller": ("get_vm_area_caller", "<linux/vmalloc.h>"),
    "um_vmap_pages_range_noflush": ("__vmap_pages_range_noflush", '"../internal.h"'),
    "um_set_direct_map_invalid_noflush": ("set_direct_map_invalid_noflush",
                                          "<linux/set_memory.h>"),
    "um_update_page_count": ("update_page_count", "<asm/pgtable_types.h>"),
    "um_memcg_kmem_charge_page": ("__memcg_kmem_charge_page",
                                  "<linux/memcontrol.h>"),
    "um_memcg_kmem_uncharge_page": ("__memcg_kmem_uncharge_page",
                                    "<linux/memcontrol.h>"),
    "um_pagetable_free_kernel": ("pagetable_free_kernel", "<linux/mm.h>"),
}
DATA = (
    (r"\bum_cpa_lock\b", "&cpa_lock", "<linux/set_memory.h>"),
    (r"\bum_pgd_lock\b", "&pgd_lock", "<linux/pgtable.h>"),
    (r"\bum_init_mm->", "init_mm.", "<linux/mm.h>"),
    (r"\bum_init_mm\b", "&init_mm", "<linux/mm.h>"),
    (r"\*um_mm_kobj\b", "mm_kobj", "<linux/kobject.h>"),
)
# Functions that only a module needs: to be loaded and unloaded.
UNLOAD = {
    "compat.h": ("compat_is_endbr",),
    "main.c": ("unmapped_init", "unmapped_exit", "allocator_stop", "interfaces_stop"),
    "device.c": ("unmapped_device_exit",),
    "pm.c": ("unmapped_pm_exit",),
    "vmap.c": ("vmap_exit",),
}

# In two steps, the first before the first code is allocated: which is by core_initcalls,
# ftrace's tests of itself and the packet classifier of PTP, a BPF program.
INITCALLS = """/* Before any code is allocated: core_initcalls do that. */
pure_initcall(allocator_start);
device_initcall(interfaces_start);
"""


def without_function(name, text, function):
    """Drop a function with the comment above it, and its declaration."""
    new = re.sub(r"(^/\*(?:(?!\*/).)*\*/\n)?^[^\s#/*}][^;{}]*\b%s\([^;{}]*\)\n\{\n.*?^\}\n\n?"
                 % function, "", text, count=1, flags=re.M | re.S)
    if new == text:
        raise Error("%s has no function %s()" % (name, function))
    return new


def unifdef(tree, text, defines):
    """By the tree's own tool, which is built from its source."""
    tool = getattr(tree, "unifdef", None)
    if not tool:
        source = os.path.join(tree.directory, "scripts/unifdef.c")
        tool = os.path.join(tree.scratch, "unifdef")
        p = subprocess.run(["gcc", "-O1", "-w", "-o", tool, source])
        if p.returncode:
            raise Error("cannot compile " + source)
        tree.unifdef = tool
    p = subprocess.run([tool] + defines, input=text, stdout=subprocess.PIPE,
                       text=True)
    if p.returncode > 1:
        raise Error("unifdef failed")
    return p.stdout


def defines_of(tree, text):
    out = ["-D__KERNEL__", "-UUM_BREAK"]
    for name in sorted(set(re.findall(r"\bHAVE_(\w+)", text))):
        if name not in HAVE:
            raise Error("HAVE_%s: not known to intree/project.py" % name)
        out.append(("-D" if tree.has(*HAVE[name]) else "-U") + "HAVE_" + name)
    for name, where in DEFINED.items():
        out.append(("-D" if tree.has(*where) else "-U") + name)
    # Kconfig sees to it.
    return out + ["-DCONFIG_TRANSPARENT_HUGEPAGE"]


def add_includes(text, wanted):
    """Each in its place among those that are there."""
    for inc in sorted(wanted):
        line = "#include %s\n" % inc
        if line in text:
            continue
        have = [m for m in re.finditer(r"^#include (\S+)\n", text, re.M)]
        group = [m for m in have if m[1][:5] == inc[:5]] or \
                [m for m in have if m[1][0] == inc[0]]
        before = [m for m in group if m[1] < inc]
        if before:
            at = before[-1].end()
        elif inc.startswith("<asm"):
            angled = [m for m in have if m[1][0] == "<"]
            at = angled[-1].end() if angled else have[0].start()
        elif group:
            at = group[0].start()
        else:
            raise Error("no place for " + line.strip())
        text = text[:at] + line + text[at:]
    return text


def direct_calls(name, text):
    wanted = set()

    def call(m):
        if m[1] not in CALLS:
            raise Error("%s calls %s: not known to intree/project.py" % (name, m[1]))
        wanted.add(CALLS[m[1]][1])
        return CALLS[m[1]][0] + "("

    text = re.sub(r"\bstatic_call(?:_cond)?\((um_\w+)\)\(", call, text)
    for pattern, new, include in DATA:
        text, n = re.subn(pattern, new, text)
        if n:
            wanted.add(include)
    text = re.sub(r'^#include "symbols\.h"\n', "", text, flags=re.M)
    text = re.sub(r"^#include <linux/static_call\.h>\n", "", text, flags=re.M)
    return add_includes(text, wanted)


def alloc_objects(tree, text):
    """kzalloc_obj() and kmalloc_obj(), where the tree has them."""
    if not tree.has("include/linux/slab.h", r"^#define kzalloc_obj\("):
        return text
    return re.sub(r"\bk([mz])alloc\(sizeof\(([^()]*)\), (\w+)\)",
                  lambda m: "k%salloc_obj(%s%s)" % (
                      m[1], m[2], "" if m[3] == "GFP_KERNEL" else ", " + m[3]), text)


def module_parts(name, text):
    for function in UNLOAD.get(name, ()):
        text = without_function(name, text, function)
    for functions in UNLOAD.values():
        for function in functions:
            text = re.sub(r"^void %s\(void\);\n" % function, "", text, flags=re.M)
    text, starts = re.subn(r"^module_init\(\w+\);\nmodule_exit\(\w+\);\n", INITCALLS, text,
                           flags=re.M)
    if starts != (name == "main.c"):
        raise Error("%s: %d pairs of module_init() and module_exit()" % (name, starts))
    text = re.sub(r"^MODULE_(?:DESCRIPTION|LICENSE)\(.*\);\n", "", text, flags=re.M)
    text = re.sub(r"^ \*\tsymbols\t.*\n", "", text, flags=re.M)
    text = re.sub(r"; not loaded\\n", r"; not used\\n", text)
    if name == "main.c":
        text = re.sub(r'^#include "vmap\.h"\n', "", text, flags=re.M)
        text = text.replace("#include <linux/module.h>\n", "")
        text = add_includes(text, ["<linux/init.h>"])
        text = re.sub(r'^#include "kvm_probes\.h"\n', "", text, flags=re.M)
        text = text.replace("\terr = symbols_resolve();\n\tif (err)\n\t\treturn err;\n", "")
    if name == "vmap.c":
        text = re.sub(r'^#include "vmap\.h"\n', "", text, flags=re.M)
    if name == "compat.h":
        # For the tests of the module only.
        text = re.sub(r"^/\* How often CPUs were interrupted(?:.*\n)*?\n", "", text,
                      flags=re.M)
        text = re.sub(r"^/\* Shrinkers are allocated by.*\*/\n(?=/\*)", "", text, flags=re.M)
        # Comments on what is not needed here.
        text = re.sub(r"(?<=\n\n)/\*(?:(?!\*/).)*\*/\n\n+", "", text, flags=re.S)
        text = re.sub(r"^/\*\n \* What differs(?:.*\n)*? \*/\n",
                      "/* What this kernel has under other names, or not at all. */\n",
                      text, count=1, flags=re.M)
    return text.rstrip("\n") + "\n"


# Uses of UM_BROKEN(), which is false but in test builds, in the forms there are.
BREAKS = (
    # Statements that run only when something is broken, with their comment.
    (r"(?:^\t+/\* What an allocator .*\*/\n)?^\t+if \(%s\)\n[^;{]*;\n(?:\n(?=\n))?", ""),
    (r"!%s &&\s+", ""),
    (r" && !%s", ""),
    (r"%s \|\|\s+", ""),
    (r" \|\| %s", ""),
    (r"%s \? \w+ : ", ""),
    # The rest of a function that would otherwise have returned.
    (r"^\tif \(!%s\)\n\t\t(return [^;]*;\n)\tfor (?:.*\n)*?^}\n", r"\t\1}\n"),
    (r"^(\t+)if \(!%s\)\n\t+([^;{]*;\n)", r"\1\2"),
)


def unbroken(name, text):
    if "UM_BR" not in text:
        return text
    text = re.sub(r"^/\*\n \* Test builds \(-DUM_BREAK\) (?:.*\n)*?#define UM_BROKEN\(what\) false\n\n",
                  "", text, flags=re.M)
    for pattern, new in BREAKS:
        text = re.sub(pattern % r"UM_BROKEN\(\w+\)", new, text, flags=re.M)
    if name == "refill.c":
        text = text.replace("\tunsigned int i;\n\tint ret, bits = 0;\n\n", "\n", 1)
        text = re.sub(r"(void \*host = [^;]*;\n)\n+\treturn ops->unmap", r"\1\n\treturn ops->unmap",
                      text)
    if "UM_BR" in text:
        raise Error("%s: UM_BROKEN() in a form that intree/project.py does not know" %
                    name)
    return text


def clang_format(text, name):
    p = subprocess.run(["clang-format", "--style=file", "--assume-filename",
                        os.path.join(ROOT, "kernel", name)],
                       input=text, stdout=subprocess.PIPE, text=True)
    if p.returncode:
        raise Error("clang-format failed")
    return p.stdout


def copy(tree, *names):
    """core/X, kernel/X or include/X of this project, to where it belongs."""
    heads = {n for n in os.listdir(os.path.join(ROOT, "core")) if n.endswith(".h")}
    for full in names:
        with open(os.path.join(ROOT, full)) as f:
            text = f.read()
        top, name = full.split("/", 1)
        if top == "include":
            text = re.sub(r"GPL exports of the module unmapped\.ko\.",
                          "GPL exports.", text)
            tree.add(full, text)
            continue
        text = unifdef(tree, text, defines_of(tree, text))
        text = unbroken(name, text)
        text = re.sub(r'^#include "have\.h"\n', "", text, flags=re.M)
        text = alloc_objects(tree, direct_calls(name, text))
        text = module_parts(name, text)
        if top == "core":
            text = text.replace('#include "trace.h"', '#include "../trace.h"')
        else:
            text = re.sub(r'^#include "(\w+\.h)"', lambda m: '#include "%s%s"' % (
                "core/" if m[1] in heads else "", m[1]), text, flags=re.M)
        left = re.search(r"\bum_(?!trace_|host_ops|page_address)\w+\(|symbols\.h|\bsym_", text)
        if left:
            raise Error("%s: '%s' is left" % (full, left.group()))
        text = clang_format(text, name)
        text = text.replace("#define TRACE_INCLUDE_PATH .\n",
                            "#define TRACE_INCLUDE_PATH ../../mm/unmapped\n")
        text = re.sub(r"^/\* Where the direct map has, or had.*\n.*um_page_address.*\n\n", "",
                      text, flags=re.M)
        tree.add((CORE if top == "core" else HOST) + name, text)


def copy_tool(tree, directory, *names):
    """Files for user space, into one directory; without cmocka."""
    for full in names:
        with open(os.path.join(ROOT, full)) as f:
            text = f.read()
        if "<cmocka.h>" in text:
            for name in ("setjmp", "stdarg", "stddef", "stdint"):
                text = text.replace("#include <%s.h>\n" % name, "")
            text = re.sub(r"\n#include <cmocka\.h>\n\n", '\n#include "harness.h"\n', text)
            text = re.sub(r"\n\n\n+", "\n\n", text)
            if "cmocka.h" in text:
                raise Error("%s: includes cmocka.h in another way" % full)
        # What the Makefile of this project calls them.
        text = text.replace("lab/machine.h", "machine.h")
        tree.add(directory + os.path.basename(full), text)
