# SPDX-License-Identifier: MIT
"""A kernel tree as patches see it: files read from a clean tree, changed in
memory only.

Files of the kernel are changed in two ways, and both fail loudly when the tree
is not as expected: edits at a line that must be there exactly once, and semantic
patches, after which given text must be there or be gone.  So no source of the
kernel is kept here, and what fits a version that was never tried is found out
rather than assumed.
"""

import os
import re
import subprocess
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
SUPPORTED = ("6.1", "6.12", "7.2")


class Error(Exception):
    """Something that the person who called us can understand and mend."""


def version_of(directory):
    """The series of a kernel tree, such as 6.12, and its full version."""
    path = os.path.join(directory, "Makefile")
    try:
        with open(path) as f:
            head = f.read(400)
    except OSError as e:
        raise Error("%s: no kernel tree: %s" % (directory, e.strerror))
    found = dict(re.findall(r"^(VERSION|PATCHLEVEL|SUBLEVEL|EXTRAVERSION) *=[ \t]*(\S*)$",
                            head, re.M))
    if "VERSION" not in found or "PATCHLEVEL" not in found:
        raise Error("%s: not the Makefile of a kernel" % path)
    series = "%(VERSION)s.%(PATCHLEVEL)s" % found
    return series, "%s.%s%s" % (series, found.get("SUBLEVEL", "0"),
                                found.get("EXTRAVERSION", ""))


class Tree:
    """@directory is never written to.  changed: path to text, by this patch."""

    def __init__(self, directory):
        self.directory = directory
        self.version, self.full_version = version_of(directory)
        if self.version not in SUPPORTED:
            raise Error("%s is Linux %s; supported: %s" %
                        (directory, self.full_version, ", ".join(SUPPORTED)))
        if os.path.exists(os.path.join(directory, "mm/unmapped")):
            raise Error("%s has mm/unmapped already" % directory)
        self.now = {}
        self.changed = {}

    # --- reading and writing ------------------------------------------------

    def original(self, path):
        try:
            with open(os.path.join(self.directory, path)) as f:
                return f.read()
        except FileNotFoundError:
            return None

    def exists(self, path):
        return (path in self.now or
                os.path.exists(os.path.join(self.directory, path)))

    def read(self, path):
        if path in self.now:
            return self.now[path]
        text = self.original(path)
        if text is None:
            raise Error("Linux %s has no %s" % (self.full_version, path))
        return text

    def write(self, path, text):
        self.now[path] = self.changed[path] = text

    def add(self, path, text):
        """A new file."""
        if self.exists(path):
            raise Error("Linux %s has %s already" % (self.full_version, path))
        self.write(path, text)

    def add_new(self, path, change=None):
        """The file of tree/ that has this path; @change makes one text of another."""
        with open(os.path.join(HERE, "tree", path)) as f:
            text = f.read()
        self.add(path, change(text) if change else text)

    def has(self, path, pattern):
        """Whether a file is there and has a match."""
        return (self.exists(path) and
                re.search(pattern, self.read(path), re.M) is not None)

    def end_patch(self):
        """What changed since the last call."""
        changed, self.changed = self.changed, {}
        return changed

    # --- edits --------------------------------------------------------------

    def _one(self, path, pattern, within=None):
        """The only match of a pattern, in the function named @within if given."""
        text = self.read(path)
        start, end = 0, len(text)
        if within:
            heads = list(re.finditer(r"^[^\s#/*}].*\b%s\(" % re.escape(within),
                                     text, re.M))
            spans = []
            for head in heads:
                close = text.find("\n}\n", head.start())
                brace = text.find("\n{\n", head.start())
                if brace != -1 and brace < close and \
                        ";" not in text[head.start():brace]:
                    spans.append((head.start(), close + 3))
            if len(spans) != 1:
                raise Error("%s of Linux %s has %d functions %s(), not one" %
                            (path, self.full_version, len(spans), within))
            start, end = spans[0]
        found = list(re.compile(pattern, re.M).finditer(text, start, end))
        if len(found) != 1:
            raise Error("%s of Linux %s%s matches /%s/ %d times, not once" %
                        (path, self.full_version,
                         ", in %s()," % within if within else "", pattern, len(found)))
        return text, found[0]

    def insert_after(self, path, pattern, new, within=None):
        """Lines after the line that @pattern ends in."""
        text, m = self._one(path, pattern, within)
        at = text.index("\n", m.end()) + 1 if not m.group().endswith("\n") else m.end()
        self.write(path, text[:at] + new + text[at:])

    def insert_before(self, path, pattern, new, within=None):
        """Lines before the line that @pattern begins in."""
        text, m = self._one(path, pattern, within)
        at = text.rfind("\n", 0, m.start()) + 1
        self.write(path, text[:at] + new + text[at:])

    def replace(self, path, pattern, new, within=None):
        """@new may refer to groups of @pattern, or be a function of the match."""
        text, m = self._one(path, pattern, within)
        new = new(m) if callable(new) else m.expand(new)
        self.write(path, text[:m.start()] + new + text[m.end():])

    def require(self, path, function, gone):
        """What must not be left in a function."""
        text, m = self._one(path, r"\b%s\(" % function, function)
        body = text[m.start():text.index("\n}\n", m.start())]
        for pattern in gone:
            if re.search(pattern, body):
                raise Error("%s of Linux %s: %s() still has /%s/" %
                            (path, self.full_version, function, pattern))

    def cocci(self, path, script, gone=(), there=()):
        """Apply cocci/@script; afterwards these must be gone and those there."""
        with tempfile.TemporaryDirectory() as d:
            name = os.path.join(d, os.path.basename(path))
            with open(name, "w") as f:
                f.write(self.read(path))
            p = subprocess.run(
                ["spatch", "--very-quiet", "--no-includes", "--in-place", "--sp-file",
                 os.path.join(HERE, "cocci", script), name],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            with open(name) as f:
                text = f.read()
        if p.returncode:
            raise Error("spatch %s on %s: %s" % (script, path, p.stdout.strip()))
        for pattern in gone:
            if re.search(pattern, text, re.M):
                raise Error("%s of Linux %s still has /%s/ after %s" %
                            (path, self.full_version, pattern, script))
        for pattern in there:
            if not re.search(pattern, text, re.M):
                raise Error("%s of Linux %s lacks /%s/ after %s" %
                            (path, self.full_version, pattern, script))
        self.write(path, text)
