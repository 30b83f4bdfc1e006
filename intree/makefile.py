# SPDX-License-Identifier: MIT
"""mm/unmapped/Makefile and Kconfig, which grow patch by patch."""

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


def add_objects_if(tree, option, *objects):
    """Those that are there only with CONFIG_@option."""
    tree.write(PATH, tree.read(PATH) + "unmapped-$(CONFIG_%s) += %s\n" %
               (option, " ".join(objects)))


def add_config(tree, text):
    path = "mm/unmapped/Kconfig"
    tree.write(path, tree.read(path) + text)
