# SPDX-License-Identifier: MIT
"""ELF cores of kernels: made from a list of what maps what, and read naively.

The reader here is what unmapped(1) is compared with: it takes one page of memory
after the other and asks the page tables for it, as a CPU does.
"""

import array
import struct

PAGE, MIB2, GIB = 1 << 12, 1 << 21, 1 << 30
PRESENT, GLOBAL, LARGE, NX = 1, 0x100, 0x80, 1 << 63
LEAF = PRESENT | 0x62 | GLOBAL | NX  # RW, accessed, dirty
TABLE = PRESENT | 0x66
ADDRESS = 0x000ffffffffff000
IMAGE = 0xffffffff80000000
TOP = 0xffffffff82000000
EHDR = "<16sHHIQQQIHHHHHH"
PHDR = "<IIQQQQQQ"


class Core:
    """A core to be: memory of @gib GiB, each mapped by map_*() or absent."""

    def __init__(self, gib, five=False, sme=0, offset=None):
        self.ram = [(0, gib * GIB)]
        self.offset = offset or (0xff11000000000000 if five else
                                 0xffff888000000000)
        self.five, self.sme = five, sme
        self.pages = {}  # physical address of a table: its entries
        self.free = gib * GIB  # tables lie behind memory: where does not matter
        self.top = array.array("Q", bytes(PAGE))
        self.info = None

    def new_table(self):
        at, self.free = self.free, self.free + PAGE
        self.pages[at] = array.array("Q", bytes(PAGE))
        return at

    def table_of(self, phys, level):
        """The table with the entry of @level (3: 1 GiB, 2: 2 MiB, 1: 4 KiB)."""
        vaddr, table = self.offset + phys, self.top
        for shift in [48, 39, 30, 21][not self.five:4 - level + 1]:
            i = vaddr >> shift & 511
            if not table[i] or table[i] & LARGE:
                table[i] = self.new_table() | TABLE | self.sme
            table = self.pages[table[i] & ADDRESS & ~self.sme]
        return table, vaddr >> (12 + 9 * (level - 1)) & 511

    def set(self, phys, level, entry):
        table, i = self.table_of(phys, level)
        table[i] = entry | (self.sme if entry & PRESENT else 0)

    def map_1g(self, phys):
        self.set(phys, 3, phys | LEAF | LARGE)

    def map_2m(self, phys):
        self.set(phys, 2, phys | LEAF | LARGE)

    def absent_2m(self, phys):
        self.set(phys, 2, (~phys & ADDRESS) | (LEAF & ~(PRESENT | GLOBAL)))

    def absent_1g(self, phys):
        self.set(phys, 3, (~phys & ADDRESS) | (LEAF & ~(PRESENT | GLOBAL)))

    def map_4k(self, phys, flags=LEAF):
        """512 entries of one table, all alike."""
        table, _ = self.table_of(phys, 1)
        first = phys | flags | self.sme
        table[:] = array.array("Q", range(first, first + MIB2, PAGE))

    def write(self, path):
        info = self.info or (
            "OSRELEASE=6.1.0-made\nSYMBOL(init_top_pgt)=%x\n"
            "NUMBER(pgtable_l5_enabled)=%d\nNUMBER(sme_mask)=%d\n" %
            (TOP, self.five, self.sme))
        text = info.encode()
        note = (struct.pack("<III", 11, len(text), 0) + b"VMCOREINFO\0\0" +
                text + b"\0" * (-len(text) % 4))
        tables = sorted(self.pages)
        runs = []
        for at in tables:
            if runs and runs[-1][0] + runs[-1][1] == at:
                runs[-1][1] += PAGE
            else:
                runs.append([at, PAGE])
        count = 2 + len(self.ram) + len(runs)
        head = 64 + 56 * count
        data = -(-(head + len(note)) // PAGE) * PAGE
        with open(path, "wb") as f:
            f.write(struct.pack(EHDR, b"\x7fELF\2\1\1" + bytes(9), 4, 62, 1, 0, 64,
                                0, 0, 64, 56, count, 0, 0, 0))
            f.write(struct.pack(PHDR, 4, 0, head, 0, 0, len(note), len(note), 0))
            for start, end in self.ram:
                f.write(struct.pack(PHDR, 1, 7, 0, self.offset + start, start, 0,
                                    end - start, 0))
            f.write(struct.pack(PHDR, 1, 7, data, TOP, 2**64 - 1, PAGE, PAGE, 0))
            at = data + PAGE
            for start, size in runs:
                f.write(struct.pack(PHDR, 1, 7, at, self.offset + start,
                                    2**64 - 1, size, size, 0))
                at += size
            f.write(note)
            f.write(b"\0" * (data - f.tell()))
            f.write(self.top.tobytes())
            for at in tables:
                f.write(self.pages[at].tobytes())


def reference(path):
    """What map --summary must say of a core: a dictionary, in bytes."""
    with open(path, "rb") as f:
        data = f.read()
    phoff, = struct.unpack_from("<Q", data, 32)
    count, = struct.unpack_from("<H", data, 56)
    note, ram, pages = b"", set(), {}
    offset = None
    for i in range(count):
        kind, _, at, vaddr, paddr, filesz, memsz, _ = struct.unpack_from(
            PHDR, data, phoff + 56 * i)
        if kind == 4:
            note = data[at:at + filesz]
            continue
        for page in range(0, filesz, PAGE):
            pages[vaddr + page] = struct.unpack_from("<512Q", data, at + page)
        if paddr != 2**64 - 1 and vaddr < IMAGE:
            offset = vaddr - paddr
            ram.update(range(paddr // PAGE, (paddr + memsz) // PAGE))
    words = dict(line.split("=", 1) for line in
                 note[24:].rstrip(b"\0").decode().splitlines())
    top = int(words["SYMBOL(init_top_pgt)"], 16)
    mask = ADDRESS & ~int(words.get("NUMBER(sme_mask)", "0"))
    shifts = [39, 30, 21, 12]
    if words.get("NUMBER(pgtable_l5_enabled)") == "1":
        shifts.insert(0, 48)

    def look_up(vaddr):
        """The entry of an address, and how many bytes it maps."""
        table = top
        for shift in shifts:
            entry = pages[table][vaddr >> shift & 511]
            if not entry & PRESENT or entry & LEAF & LARGE or shift == 12:
                return entry, 1 << shift
            if entry & LARGE:
                return entry, 1 << shift
            table = offset + (entry & mask)
        raise AssertionError

    sizes = {GIB: "1g", MIB2: "2m", PAGE: "4k"}
    out = {k + s: 0 for k in ("mapped-", "absent-") for s in sizes.values()}
    out["ram"] = len(ram) * PAGE
    alike = {}
    for pfn in ram:
        entry, size = look_up(offset + pfn * PAGE)
        size = min(size, GIB)
        out[("mapped-" if entry & PRESENT else "absent-") + sizes[size]] += PAGE
        if entry & PRESENT and size == PAGE:
            kind = entry & ~mask & ~0x760
            alike.setdefault(pfn // 512, []).append(kind)
    out["healable-2m"] = sum(
        MIB2 for v in alike.values()
        if len(v) == 512 and len(set(v)) == 1 and not v[0] & 0x800)
    return out
