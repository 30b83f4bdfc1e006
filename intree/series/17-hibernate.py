# SPDX-License-Identifier: MIT
"""PM: hibernate: save code and DMA buffers that the direct map does not have

Hibernation is refused while somebody has unmapped memory, since whoever
asks for that does not want it on a disk.  Code is no secret in this
sense, nor are buffers of devices, such as the host memory of an NVMe
drive.  Both have always been saved, and on a machine that has modules, or
such a drive, there would be no hibernation any more.

So mark their pages, and do not count them.  What remains is how to read
them.  safe_copy_page() makes a page present that is not, which for one
of a block would split the block's entry, and then makes it absent.  Map
it by one of the mappings of this CPU instead.

Other unmapped pages are free then, or there would be no image, and
nobody is given one any more until the system is back.  They are saved as
zeros without being read.

Nothing needs to be done for the way back: pages are written to by page
tables made for that, which have all memory, and what is absent
afterwards is what the restored page tables say.
"""

from documentation import add_figure
from makefile import add_objects

HEADER = """#ifdef CONFIG_UNMAPPED_ALLOC

/*
 * Before vfree() frees pages that it had from unmapped_vmalloc_pages(), or others,
 * or both.  Context: any.
 */
void unmapped_vfree_pages(struct page **pages, unsigned long nr);

/*
 * For the image of a hibernation: where to read a page that the direct map does not
 * have, until unmapped_unmap_local(); NULL for others.  Context: one CPU,
 * interrupts off.
 */
void *unmapped_image_map(struct page *page);

#else

static inline void unmapped_vfree_pages(struct page **pages, unsigned long nr)
{
}

static inline void *unmapped_image_map(struct page *page)
{
	return NULL;
}

#endif /* CONFIG_UNMAPPED_ALLOC */

"""
COPY = """	void *unmapped = unmapped_image_map(s_page);
%s
	if (unmapped) {
%sunmapped);
		unmapped_unmap_local(unmapped);
	} else if (kernel_page_present(s_page)) {
%spage_address(s_page));
"""


def include(tree, name, after):
    tree.insert_after("mm/unmapped/" + name, r'^#include "%s"$' % after,
                      '#include "image.h"\n')


def counting(tree):
    """Who asks what is in use, and must not mind what is saved."""
    include(tree, "pm.c", "host.h")
    tree.replace("mm/unmapped/pm.c", r"\bhost_pages_owned\(\)", "image_pages_refused()",
                 within="prepare")
    # Before the gate is closed, and after it is open.
    tree.insert_before("mm/unmapped/pm.c", r"^\tpercpu_down_write\(&gate\);$",
                       "\timage_close(true);\n", within="prepare")
    tree.replace("mm/unmapped/pm.c", r"^\tpercpu_up_write\(&gate\);\n\treturn err;$",
                 "\tpercpu_up_write(&gate);\n\tif (err)\n\t\timage_close(false);\n"
                 "\treturn err;", within="prepare")
    tree.insert_after("mm/unmapped/pm.c", r"^\tpercpu_up_write\(&gate\);$",
                      "\timage_close(false);\n", within="post")
    tree.replace("mm/unmapped/pm.c", r"\bhost_pages_owned\(\)", "image_pages_refused()",
                 within="last_look")
    include(tree, "api.c", "host.h")
    path = "mm/unmapped/api.c"
    for name, nothing in (
            ("unmapped_pages_alloc_node", "handed_out(-ENOMEM, 0, gfp, order, nid)"),
            ("unmapped_pages_alloc_nodes", "handed_out(-ENOMEM, 0, gfp, order, nid)"),
            ("unmapped_pages_alloc_bulk", "0")):
        tree.insert_before(path, r"^\tsaved = scope_enter\(gfp\);$",
                           "\tif (image_closed())\n\t\treturn %s;\n" % nothing, within=name)
    include(tree, "holders.c", "host.h")
    tree.replace("mm/unmapped/holders.c", r"\bkernel = kernel_pages\(\);",
                 "kernel = kernel_pages();\n\tkernel -= min(kernel, image_saved_pages());",
                 within="holders_must_survive")
    include(tree, "debugfs.c", "host.h")
    tree.insert_before("mm/unmapped/debugfs.c", r'^\tseq_printf\(m, "pages_free ',
                       "\timage_stats_show(m);\n")
    include(tree, "execmem.c", "page.h")
    tree.replace("mm/unmapped/execmem.c", r"^\treturn got;$",
                 "\timage_mark(pages, got);\n\treturn got;",
                 within="unmapped_vmalloc_pages")
    path = "mm/unmapped/exact.c"
    include(tree, "exact.c", "host.h")
    tree.insert_before(path, r"^\treturn page;$", "\timage_mark_range(page, nr);\n",
                       within="unmapped_alloc_exact")
    tree.insert_before(path, r"^\tfree_range\(page, 0, nr, ",
                       "\timage_unmark_range(page, nr);\n", within="unmapped_free_exact")


def apply(tree):
    tree.add_new("mm/unmapped/image.h")
    tree.add_new("mm/unmapped/image.c")
    add_objects(tree, "image.o")
    counting(tree)
    add_figure(tree, "pages_to_save, code and DMA buffers, which hibernation saves")
    tree.insert_before("include/linux/unmapped.h",
                       r"^#endif /\* _LINUX_UNMAPPED_H \*/$", HEADER)
    path = "mm/vmalloc.c"
    tree.insert_after(path, r"^\tset_area_direct_map\(area, set_direct_map_default_noflush\);$",
                      "\tunmapped_vfree_pages(area->pages, area->nr_pages);\n")
    path = "kernel/power/snapshot.c"
    tree.insert_after(path, r"^#include <linux/set_memory.h>$",
                      "#include <linux/unmapped.h>\n")
    tree.replace(path, r"^(\tbool zeros_only;\n\n)?\tif \(kernel_page_present\(s_page\)\) \{\n"
                 r"(\t\t(?:zeros_only = )?do_copy_page\(dst, )page_address\(s_page\)\);\n",
                 lambda m: COPY % ((m[1] or "\n")[:-1], m[2], m[2]), within="safe_copy_page")
