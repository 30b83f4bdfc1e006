# SPDX-License-Identifier: MIT
"""What patches add to the kernel's Documentation/."""

import os
import re

from tree import ROOT

PARAMETERS = "Documentation/admin-guide/kernel-parameters.txt"
ABI = "Documentation/ABI/testing/"
STATS = ABI + "debugfs-unmapped"


def add_abi(tree):
    for name in ("sysfs-kernel-mm-unmapped", "debugfs-unmapped"):
        with open(os.path.join(ROOT, "docs/ABI", name)) as f:
            tree.add(ABI + name, f.read().replace(
                "the maintainers of unmapped", "%s, linux-mm@kvack.org" % tree.maintainer))


def add_parameter(tree, name, text):
    """In the order of their names; @text without the tabs before it."""
    known = re.findall(r"^\t(unmapped\.\w+)=", tree.read(PARAMETERS), re.M)
    behind = min([n for n in known if n > name], default=None)
    if behind:
        at = r"^\t%s=" % re.escape(behind)
    elif tree.has(PARAMETERS, r"^\tunwind_debug\t"):
        at = r"^\tunwind_debug\t"
    else:
        at = r"^\tusbcore\.authorized_default=$"
    lines = ["\t%s=" % name] + ["\t\t\t" + line for line in text.strip().split("\n")]
    tree.insert_before(PARAMETERS, at, "\n".join(lines) + "\n\n")


def add_counter(tree, text):
    """Of those that count from the start on."""
    tree.insert_after(STATS, r"^\t\tquarantined \(blocks found broken\)\.$",
                      "\t\tSince then, too: %s.\n" % text)


def add_figure(tree, text):
    """Of those that are so now."""
    tree.insert_after(STATS, r"^\t\tpages_poisoned: those with memory errors, which nobody has\.$",
                      "\t\tNow, too: %s.\n" % text)
