# SPDX-License-Identifier: MIT
"""An initramfs with QEMU in it, so that a test can boot a machine in the machine.

QEMU is that of this system, with the libraries it names and the firmware of its
machine type "microvm"; the inner machine has the same stock kernel and an
initramfs of one program, tests/vm/guest/inner.c.
"""

import os
import subprocess

QEMU = "/usr/bin/qemu-system-x86_64"
FIRMWARE = ["/usr/share/qemu/bios-microvm.bin", "/usr/share/qemu/linuxboot_dma.bin",
            "/usr/share/qemu/kvmvapic.bin", "/usr/share/qemu/pvh.bin"]


def libraries(program):
    """Paths of the shared libraries and the loader of a program."""
    out = subprocess.run(["ldd", program], stdout=subprocess.PIPE, text=True,
                         check=True).stdout
    found = []
    for line in out.splitlines():
        words = line.replace("=>", " ").split()
        found += [w for w in words if w.startswith("/")][:1]
    return sorted(set(found))


def inner_initramfs(cpio, init):
    a = cpio()
    a.dir("proc")
    a.node("dev/console", 5, 1)
    a.add_file("init", init)
    return a.bytes()


def archive(cpio, image, init):
    """A Cpio with all of it; what is started is /vm/nested/qemu."""
    a = cpio()
    a.add_file("vm/nested/qemu", QEMU)
    for path in libraries(QEMU):
        a.add_file(path.lstrip("/"), os.path.realpath(path))
    for path in FIRMWARE:
        a.add_file("vm/nested/share/" + os.path.basename(path), path)
    a.add_file("vm/nested/vmlinuz", image)
    a.add("vm/nested/initramfs", inner_initramfs(cpio, init))
    return a
