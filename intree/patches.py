# SPDX-License-Identifier: MIT
"""The patches of intree/series, applied to a tree in memory."""

import importlib.util
import os
import re
import subprocess
import tempfile

from tree import HERE, ROOT, SUPPORTED, Error, Tree


def identity():
    out = []
    for key in ("user.name", "user.email"):
        p = subprocess.run(["git", "-C", ROOT, "config", key], text=True,
                           stdout=subprocess.PIPE)
        if not p.stdout.strip():
            raise Error("git config %s is not set: patches need an author" % key)
        out.append(p.stdout.strip())
    return out


def load_patches():
    """The patches in order: (name, message, apply, versions)."""
    out = []
    directory = os.path.join(HERE, "series")
    for name in sorted(os.listdir(directory)):
        if not re.match(r"\d\d-.*\.py$", name):
            continue
        spec = importlib.util.spec_from_file_location(
            name[:-3].replace("-", "_"), os.path.join(directory, name))
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        out.append((name[:-3], module.__doc__.strip() + "\n", module.apply,
                    getattr(module, "VERSIONS", SUPPORTED)))
    return out


# Of what is built and tested only: it is not for anybody to write to.
NOBODY = ("unmapped", "unmapped@localhost")


def generate(kernel, author=NOBODY):
    """Patches of a tree: [(name, message, {path: text})], and originals."""
    tree = Tree(kernel)
    tree.maintainer = "%s <%s>" % tuple(author)
    out = []
    with tempfile.TemporaryDirectory() as tree.scratch:
        for name, message, apply, versions in load_patches():
            if tree.version not in versions:
                continue
            try:
                apply(tree)
            except Error as e:
                raise Error("%s: %s" % (name, e))
            changed = tree.end_patch()
            if not changed:
                raise Error("%s: changes nothing" % name)
            out.append((name, message, changed))
    originals = {p: tree.original(p) for _, _, c in out for p in c}
    return tree, out, {p: t for p, t in originals.items() if t is not None}
