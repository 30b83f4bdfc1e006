# SPDX-License-Identifier: MIT
"""x86/mm/pat: let mm/ change direct map entries under cpa_lock

Entries of the direct map are changed under cpa_lock, in one function of
this file.  An allocator that takes whole blocks of 2 MiB out of the
direct map, and puts them back, has to write one entry for each.
set_memory_np() can do that, but it purges all lazy vmaps and flushes
twice for each block, and forgets the GLOBAL bit, while
set_direct_map_*() splits the entry.

The next patches add such an allocator, which follows the rules of this
file.  Give it the lock.

No functional change.
"""


def apply(tree):
    tree.replace("arch/x86/mm/pat/set_memory.c",
                 r"^static DEFINE_SPINLOCK\(cpa_lock\);$",
                 "DEFINE_SPINLOCK(cpa_lock);")
    header = "arch/x86/include/asm/set_memory.h"
    tree.insert_before(header, r"^#include <asm/page.h>$",
                       "#include <linux/spinlock_types.h>\n")
    tree.insert_before(header,
                       r"^int set_direct_map_invalid_noflush\(struct page \*page\);$",
                       "/* Held over each change of a direct map entry. */\n"
                       "extern spinlock_t cpa_lock;\n\n")
