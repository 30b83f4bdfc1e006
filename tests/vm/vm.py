# SPDX-License-Identifier: MIT
"""Boots a stock kernel under QEMU's TCG with an initramfs made here.

The initramfs has three parts, concatenated (the kernel unpacks each in turn):
the base with busybox, the guest programs and the tests, cached by content;
the modules; and a few bytes that say what this boot shall do.  The guest
writes its verdict to the second serial port, so that nothing the kernel prints
on the console can be mistaken for it.
"""

import fcntl
import hashlib
import os
import re
import shlex
import subprocess
import sys
import threading
import time

import monitor
import nested

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.join(ROOT, "build", "vm")
GUEST = os.path.join(HERE, "guest")
TESTS = os.path.join(HERE, "tests")
CFLAGS = ["-O2", "-g0", "-std=gnu11", "-static", "-Wall", "-Wextra", "-Werror",
          "-I" + os.path.join(ROOT, "include", "uapi"), "-I" + GUEST]
# The disk's driver, where it is a module.
DISK_MODULE = "kernel/drivers/nvme/host/nvme.ko"
# Stock modules that tests need: a RAM disk, for O_DIRECT; KVM.
STOCK_MODULES = ["kernel/drivers/block/brd.ko",
                 "kernel/virt/lib/irqbypass.ko",
                 "kernel/arch/x86/kvm/kvm.ko",
                 "kernel/arch/x86/kvm/kvm-amd.ko"]
# CMPXCHG16B of QEMU 7.2's TCG now and then leaves flags that the guest dies of;
# kernels since 6.12 use it in kmalloc(), unless the CPU has none.
CPU = "max,-cx16"
# What guest programs share.
SHARED = ("guest.c", "fragment.c", "machine.c", "mapping.c", "code.c", "insiders.c")
# On a busy host the timer can be too late for the kernel's check of it.
APPEND = ("console=ttyS0 loglevel=5 panic=-1 oops=panic no_timer_check "
          "secretmem.enable=1 " + monitor.APPEND)


class Error(Exception):
    """Something that the person who called us can understand and mend."""


def kernel(what, version="6.1", flavour="cloud"):
    """Return what scripts/kernel prints."""
    cmd = [os.path.join(ROOT, "scripts", "kernel"), "--kernel", version,
           "--flavour", flavour, "--print", what]
    p = subprocess.run(cmd, stdout=subprocess.PIPE, text=True)
    if p.returncode:
        raise Error("scripts/kernel --print %s failed" % what)
    return p.stdout.strip()


class Lock:
    """A lock file: several runs may share one build directory."""

    def __init__(self, path, wait=True):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        self.file = open(path, "w")
        fcntl.flock(self.file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.file.close()


def _newest(paths):
    return max(os.stat(p).st_mtime_ns for p in paths)


def build_guest():
    """Compile the guest programs that are older than their sources."""
    out = os.path.join(BUILD, "guest")
    os.makedirs(out, exist_ok=True)
    shared = [os.path.join(GUEST, n) for n in SHARED]
    common = shared + [p[:-2] + ".h" for p in shared]
    common.append(os.path.join(ROOT, "include/uapi/linux/unmapped.h"))
    common.append(os.path.abspath(__file__))
    programs = {}
    library = os.path.join(ROOT, "build/lib/libunmapped.a")
    with Lock(os.path.join(BUILD, "guest.lock")):
        jobs = []
        if subprocess.run(["make", "-s", "-C", ROOT, "lib"]).returncode:
            raise Error("make lib failed")
        for name in sorted(os.listdir(GUEST)):
            if not name.endswith(".c") or name in SHARED:
                continue
            src = os.path.join(GUEST, name)
            exe = os.path.join(out, name[:-2])
            programs[name[:-2]] = exe
            needs, extra = common + [src], []
            if name.startswith("lib_"):
                tests = os.path.join(ROOT, "tests/lib")
                needs += [os.path.join(tests, n) for n in os.listdir(tests)]
                needs += [library, os.path.join(GUEST, "cmocka.h")]
                extra = ["-I" + GUEST,
                         "-I" + os.path.join(ROOT, "include"), library]
                if name == "lib_bench.c":
                    extra.append("-lsodium")
            if (os.path.exists(exe) and
                    os.stat(exe).st_mtime_ns > _newest(needs)):
                continue
            cmd = ([os.environ.get("CC", "gcc")] + CFLAGS +
                   ["-o", exe, src] + shared + extra + ["-lpthread"])
            jobs.append((name, subprocess.Popen(cmd)))
        failed = [name for name, p in jobs if p.wait()]
        if failed:
            for name in failed:
                try:
                    os.unlink(os.path.join(out, name[:-2]))
                except FileNotFoundError:
                    pass
            raise Error("cannot compile " + ", ".join(failed))
    return programs


def build_cli():
    """Return unmapped(1) and the libraries that it needs, each with its path."""
    with Lock(os.path.join(BUILD, "cli.lock")):
        if subprocess.call(["make", "-s", "-C", ROOT, "cli"]):
            raise Error("make cli failed")
    program = os.path.join(ROOT, "build", "cli", "unmapped")
    out = subprocess.check_output(["ldd", program], text=True)
    # Debian has no static libsmartcols.
    return program, re.findall(r"(/\S+) \(0x", out)


class Cpio:
    """A newc archive: the format of an initramfs."""

    def __init__(self):
        self.parts = []
        self.ino = 0
        self.dirs = set()

    def _entry(self, path, mode, data=b"", rdev=(0, 0)):
        name = path.encode() + b"\0"
        self.ino += 1
        fields = (self.ino, mode, 0, 0, 1, 0, len(data), 0, 0,
                  rdev[0], rdev[1], len(name), 0)
        head = b"070701" + b"".join(b"%08x" % f for f in fields) + name
        self.parts.append(head + b"\0" * (-len(head) % 4))
        self.parts.append(data + b"\0" * (-len(data) % 4))

    def dir(self, path):
        parent = os.path.dirname(path)
        if parent and parent not in self.dirs:
            self.dir(parent)
        if path not in self.dirs:
            self.dirs.add(path)
            self._entry(path, 0o40755)

    def add(self, path, data, executable=False):
        self.dir(os.path.dirname(path)) if os.path.dirname(path) else None
        self._entry(path, 0o100755 if executable else 0o100644, data)

    def add_file(self, path, source):
        with open(source, "rb") as f:
            self.add(path, f.read(), os.access(source, os.X_OK))

    def node(self, path, major, minor):
        self.dir(os.path.dirname(path))
        self._entry(path, 0o20600, b"", (major, minor))

    def bytes(self):
        self._entry("TRAILER!!!", 0)
        data = b"".join(self.parts)
        return data + b"\0" * (-len(data) % 512)


def _cached(archive):
    """Write an archive under a name made from its content."""
    data = archive.bytes()
    digest = hashlib.sha256(data).hexdigest()[:16]
    path = os.path.join(BUILD, "initramfs", digest + ".cpio")
    if not os.path.exists(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        tmp = "%s.%d.%d" % (path, os.getpid(), threading.get_ident())
        with open(tmp, "wb") as f:
            f.write(data)
        os.rename(tmp, path)
        # Keep the few that are in use.
        old = sorted((e for e in os.scandir(os.path.dirname(path))
                      if e.name.endswith(".cpio")),
                     key=lambda e: e.stat().st_mtime_ns)
        for entry in old[:-12]:
            os.unlink(entry.path)
    else:
        os.utime(path)
    return path


def with_dependencies(modules_dir, name):
    """A stock module and what it needs, in the order to load them in; nothing
    if the kernel has it built in."""
    with open(os.path.join(modules_dir, "modules.dep")) as f:
        for line in f:
            module, _, needs = line.partition(":")
            if module == name:
                return list(reversed([module] + needs.split()))
    return []


def base_archive(modules_dir):
    """Busybox, guest programs, tests and the stock modules tests need."""
    a = Cpio()
    for d in ("proc", "sys", "dev", "tmp", "bin", "etc", "root"):
        a.dir(d)
    a.node("dev/console", 5, 1)
    a.node("dev/null", 1, 3)
    a.add("etc/passwd", b"root:x:0:0::/:/bin/sh\nuser:x:1000:1000::/:/bin/sh\n")
    a.add("etc/group", b"root:x:0:\nuser:x:1000:\n")
    busybox = "/bin/busybox"
    if not os.path.exists(busybox):
        raise Error("%s is missing: run scripts/deps vm" % busybox)
    a.add_file("bin/busybox", busybox)
    a.add_file("init", os.path.join(GUEST, "init"))
    for name, exe in sorted(build_guest().items()):
        a.add_file("vm/bin/" + name, exe)
    cli, libraries = build_cli()
    a.add_file("vm/bin/unmapped", cli)
    for path in libraries:
        a.add_file(path.lstrip("/"), path)
    for name in sorted(os.listdir(GUEST)):
        if name.endswith(".sh"):
            a.add_file("vm/bin/" + name, os.path.join(GUEST, name))
    for name in test_names():
        a.add_file("vm/tests/" + name, os.path.join(TESTS, name))
    disk = with_dependencies(modules_dir, DISK_MODULE)
    a.add("vm/stock/disk", "".join(
        "/vm/stock/%s\n" % os.path.basename(n) for n in disk).encode())
    for name in STOCK_MODULES + disk:
        a.add_file("vm/stock/" + os.path.basename(name),
                   os.path.join(modules_dir, name))
    return _cached(a)


def test_names():
    return sorted(n for n in os.listdir(TESTS)
                  if os.access(os.path.join(TESTS, n), os.X_OK))


def build_modules(version="6.1", flavour="cloud"):
    """Run make module; return {path under /vm/modules: file on the host}."""
    cmd = ["make", "-s", "-C", ROOT, "module",
           "KERNEL=" + version, "FLAVOUR=" + flavour]
    with Lock(os.path.join(BUILD, "module.lock")):
        p = subprocess.run(cmd, stdout=subprocess.PIPE, text=True)
        if p.returncode:
            print(p.stdout, file=sys.stderr)
            raise Error("make module failed")
    top = os.path.join(ROOT, "build", "module",
                       kernel("release", version, flavour))
    found = {}
    for path, _, files in os.walk(top):
        for name in files:
            rel = os.path.relpath(os.path.join(path, name), top)
            # unmapped.ko and VARIANT/unmapped.ko, but no build directories.
            if name.endswith(".ko") and rel.count(os.sep) < 2:
                found[rel] = os.path.join(path, name)
    if "unmapped.ko" not in found:
        raise Error("make module left no unmapped.ko in " + top)
    return found


class Shape:
    """What a boot is made of, but for the tests in it."""

    KEYS = ("memory", "cpus", "nodes", "icount", "cpu", "append", "load",
            "disk", "nested", "one_thread", "qemu")

    def __init__(self, **kw):
        self.memory = "4G"
        self.cpus = 1
        self.nodes = 1
        self.icount = False
        self.cpu = CPU
        self.append = ""
        self.load = True
        self.disk = ""
        self.nested = False
        self.one_thread = False
        self.qemu = ""
        self.set(**kw)

    def set(self, **kw):
        for key, value in kw.items():
            if key not in self.KEYS:
                raise Error("no such machine property: " + key)
            if key in ("cpus", "nodes"):
                value = int(value)
            elif key in ("icount", "load", "nested", "one_thread"):
                value = value in (True, "yes")
            setattr(self, key, value)

    def key(self):
        return tuple(getattr(self, k) for k in self.KEYS)

    def __str__(self):
        s = "%s memory, %d CPU%s, %d node%s" % (
            self.memory, self.cpus, "s"[:self.cpus > 1], self.nodes,
            "s"[:self.nodes > 1])
        if self.icount:
            s += ", icount"
        if self.disk:
            s += ", disk of " + self.disk
        if self.append:
            s += ", " + self.append
        return s

    @staticmethod
    def mebibytes(text):
        units = {"G": 1024, "M": 1}
        if text[-1:] not in units:
            raise Error("a size must end in G or M: " + text)
        return int(text[:-1]) * units[text[-1]]

    def qemu_command(self, image, initrd, shell=False):
        mib = self.mebibytes(self.memory)
        if mib % self.nodes:
            raise Error("%s does not divide among %d nodes" %
                        (self.memory, self.nodes))
        one = self.cpus == 1 or self.icount or self.one_thread
        thread = "single" if one else "multi"
        smp = str(self.cpus)
        if self.nodes > 1:
            # Whoever shares a node shares a socket, or the kernel warns.
            if self.cpus % self.nodes:
                raise Error("%d CPUs do not divide among %d nodes" %
                            (self.cpus, self.nodes))
            smp += ",sockets=%d" % self.nodes
        cmd = ["qemu-system-x86_64", "-accel", "tcg,thread=" + thread,
               "-cpu", self.cpu, "-m", "%dM" % mib, "-smp", smp,
               "-nodefaults", "-no-user-config", "-nographic", "-no-reboot",
               "-kernel", image, "-initrd", initrd,
               "-append", (APPEND + " " + self.append).strip()]
        if self.icount:
            cmd += ["-icount", "shift=0,sleep=off"]
        if self.nodes > 1:
            for n in range(self.nodes):
                each = self.cpus // self.nodes
                cpus = range(n * each, (n + 1) * each)
                cmd += ["-object", "memory-backend-ram,id=m%d,size=%dM" %
                        (n, mib // self.nodes),
                        "-numa", "node,nodeid=%d,memdev=m%d%s" % (
                            n, n, "".join(",cpus=%d" % c for c in cpus))]
        if shell:
            cmd += ["-serial", "mon:stdio", "-serial", "null"]
        return cmd + shlex.split(self.qemu)


class Boot:
    """One run of a virtual machine; iterate over lines() for its verdict."""

    # Before it is started, however it was made.
    starts = 0
    proc = None
    monitor = None
    disk = None

    def __init__(self, name, shape, tests, modules=None, env=None,
                 version="6.1", flavour="cloud"):
        self.shape = shape
        number = 1
        while True:
            tag = name if number == 1 else "%s.%d" % (name, number)
            try:
                self.lock = Lock(os.path.join(BUILD, tag, "lock"), wait=False)
                break
            except BlockingIOError:
                number += 1
        self.dir = os.path.join(BUILD, tag)
        if shape.disk:
            self.disk = os.path.join(self.dir, "disk")
            with open(self.disk, "w") as f:
                f.truncate(Shape.mebibytes(shape.disk) << 20)
        modules = modules or {}
        mods = Cpio()
        for rel, path in sorted(modules.items()):
            mods.add_file("vm/modules/" + rel, path)
        load = []
        if shape.load:
            load = [rel for rel in modules if rel == "unmapped.ko"]
            load += [rel for rel in modules if rel.startswith("load/")]
        conf = {"MODE": "tests" if tests is not None else "shell",
                "DISK": shape.disk,
                "LOAD": " ".join("/vm/modules/" + rel for rel in load)}
        conf.update(env or {})
        tiny = Cpio()
        tiny.add("vm/conf", "".join(
            "export %s=%s\n" % (k, shlex.quote(str(v)))
            for k, v in conf.items()).encode())
        tiny.add("vm/list", "".join(t + "\n" for t in tests or []).encode())
        self.initrd = os.path.join(self.dir, "initramfs.cpio")
        base = base_archive(kernel("modules", version, flavour))
        self.image = kernel("vmlinuz", version, flavour)
        parts = [base, _cached(mods)]
        if shape.nested:
            parts.append(_cached(nested.archive(Cpio, self.image,
                                                build_guest()["inner"])))
        with open(self.initrd, "wb") as f:
            for path in parts:
                with open(path, "rb") as part:
                    f.write(part.read())
            f.write(tiny.bytes())

    def shell(self):
        cmd = self.shape.qemu_command(self.image, self.initrd, shell=True)
        return subprocess.call(cmd)

    def start(self):
        """Start it, or start it again with the same disk."""
        self.starts += 1
        self.where = []
        if self.monitor:
            self.monitor.close()
        again = ".%d" % self.starts if self.starts > 1 else ""
        self.console = os.path.join(self.dir, "console%s.log" % again)
        self.verdict = os.path.join(self.dir, "verdict%s.log" % again)
        for path in (self.console, self.verdict):
            open(path, "w").close()
        cmd = self.shape.qemu_command(self.image, self.initrd)
        if self.disk:
            cmd += ["-drive", "file=%s,if=none,id=disk,format=raw" % self.disk,
                    "-device", "nvme,drive=disk,serial=disk"]
        self.monitor = monitor.Monitor()
        cmd += ["-serial", "file:" + self.console,
                "-serial", "file:" + self.verdict]
        cmd += self.monitor.qemu_arguments()
        with open(os.path.join(self.dir, "command"), "w") as f:
            f.write(shlex.join(cmd) + "\n")
        with open(os.path.join(self.dir, "qemu.log"), "w") as log:
            self.proc = subprocess.Popen(cmd, stdin=subprocess.DEVNULL,
                                         stdout=log, stderr=log,
                                         pass_fds=(self.monitor.fd,))
        self.monitor.started()

    def lines(self, deadline):
        """Yield lines of the verdict; None when nothing came for a while.

        Ends when the machine is gone and all it said has been read.  The
        caller asks deadline() for the time at which the machine is killed,
        which it may move while it reads.
        """
        rest = ""
        with open(self.verdict, errors="replace") as f:
            while True:
                gone = self.proc.poll() is not None
                data = f.read()
                if data:
                    rest += data.replace("\r", "")
                    *whole, rest = rest.split("\n")
                    yield from whole
                    continue
                if gone:
                    if rest:
                        yield rest
                    return
                if time.monotonic() > deadline():
                    self.ask()
                    self.kill()
                    continue
                yield None
                time.sleep(0.02)

    def ask(self):
        """What does it do?  self.where, and the console has more; it may end of it."""
        self.where = self.monitor.where()
        try:
            self.proc.wait(monitor.SECONDS)
        except subprocess.TimeoutExpired:
            pass

    def kill(self):
        if self.proc and self.proc.poll() is None:
            self.proc.kill()
            self.proc.wait()
        if self.monitor:
            self.monitor.close()
            self.monitor = None

    def close(self):
        self.kill()
        for path in (self.initrd, self.disk):
            try:
                os.unlink(path) if path else None
            except FileNotFoundError:
                pass
        self.lock.__exit__()
