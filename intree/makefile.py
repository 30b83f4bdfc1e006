# SPDX-License-Identifier: MIT
"""mm/unmapped/Makefile, which grows patch by patch."""

PATH = "mm/unmapped/Makefile"
HEAD = """# SPDX-License-Identifier: GPL-2.0
obj-$(CONFIG_UNMAPPED_ALLOC) += unmapped.o

"""


def add_objects(tree, *objects):
    """Lines of up to 78 columns; the first set is assigned, others added."""
    text = tree.read(PATH) if tree.exists(PATH) else HEAD
    line = "unmapped-y %s=" % ("+" if "unmapped-y" in text else ":")
    out = []
    for name in objects:
        if len(line.expandtabs()) + len(name) + 1 > 76:
            out.append(line + " \\\n")
            line = "\t     "
        line += " " + name
    tree.write(PATH, text + "".join(out) + line + "\n")
