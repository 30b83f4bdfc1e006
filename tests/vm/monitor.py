# SPDX-License-Identifier: MIT
"""Asks QEMU, and the kernel in it, what a machine does that has run out of time.

QEMU says where its CPUs are.  The kernel is sent an NMI, panics of it
(unknown_nmi_panic) and says what each of its tasks does (panic_print=1).
"""

import json
import re
import socket

APPEND = "unknown_nmi_panic panic_print=1"
SECONDS = 10


class Monitor:
    """QEMU's end of it is self.fd, for qemu_arguments(); close it after the start."""

    def __init__(self):
        self.ours, self.theirs = socket.socketpair()
        self.ours.settimeout(SECONDS)
        self.fd = self.theirs.fileno()

    def qemu_arguments(self):
        return ["-chardev", "socket,id=qmp,fd=%d" % self.fd,
                "-mon", "chardev=qmp,mode=control"]

    def started(self):
        self.theirs.close()
        self.answers = self.ours.makefile("r", errors="replace")

    def close(self):
        self.answers.close()
        self.ours.close()

    def _do(self, command, **arguments):
        message = {"execute": command, "arguments": arguments, "id": command}
        self.ours.sendall(json.dumps(message).encode() + b"\n")
        for line in self.answers:
            answer = json.loads(line)
            if answer.get("id") == command:
                return answer.get("return", answer.get("error"))
        raise EOFError("QEMU has closed its monitor")

    def where(self):
        """Lines that say where each CPU is, and in which state; then comes the NMI."""
        try:
            self._do("qmp_capabilities")
            said = self._do("human-monitor-command",
                            **{"command-line": "info registers -a"})
            self._do("inject-nmi")
        except (OSError, EOFError, ValueError) as e:
            return ["QEMU says nothing: %s" % e]
        return [line for line in said.replace("\r", "").split("\n")
                if re.match(r"CPU#|RIP=|EIP=", line)]


TASK = re.compile(r"task:\S+\s+state:(\S).*ppid:\s*(\d+)")
TROUBLE = re.compile(r"WARNING:|(?<!E)BUG|Oops|general protection|Kernel panic|"
                     r"blocked for more|(?<!n)stall|soft lockup")
LINES = 80


def _of_interest(tasks):
    """Of the tasks that a panic lists, those that run or wait for I/O, and programs."""
    wanted = False
    for line in tasks:
        task = TASK.search(line)
        if task:
            wanted = task[1] in "RD" or task[2] not in ("0", "2")
        if wanted:
            yield line


def explained(where, console):
    """Lines on a machine that is gone: what where() said, and its console, from the
    first trouble in this test on, or the end of it.
    """
    with open(console, errors="replace") as f:
        said = f.read().replace("\r", "").split("\n")
    panic = next((i for i, line in enumerate(said) if "Kernel panic" in line), len(said))
    tasks = next((i for i in range(panic, len(said)) if TASK.search(said[i])), len(said))
    test = max((i for i, line in enumerate(said) if "vm: test " in line), default=0)
    first = next((i for i in range(test, tasks) if TROUBLE.search(said[i])),
                 max(0, tasks - LINES))
    shown = said[first:min(first + LINES, tasks)]
    if where:
        shown += _of_interest(said[tasks:])
    yield from ("QEMU: " + line for line in where)
    yield from ("console: " + line for line in shown)
