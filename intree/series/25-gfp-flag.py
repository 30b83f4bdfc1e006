# SPDX-License-Identifier: MIT
"""mm/page_alloc: add __GFP_UNMAPPED, for comparison

The RFC of 2023 asked for unmapped pages by a flag: alloc_pages() and all
that is built on it give a page that the direct map does not have, and
__free_pages() takes it back.  Callers need no second API, and code that
passes gfp flags on, such as vmalloc(), needs no change.

That is here for comparison, as it costs others: each allocation asks
for the flag, and each free asks the table of blocks, as anybody may
have used the flag at any time.  The API of <linux/unmapped.h> and pages
freed by their last reference (memfd_secret(2)) cost nobody anything
until they are used.

The flag implies __GFP_ZERO.  Watermarks, zones and ALLOC_* are the
allocator's own business: what it can't have, fails.  With the option
off there is no such flag, rather than one without effect: code that
counts on the pages to be absent does not compile.
"""

from makefile import add_config, add_objects_if

VERSIONS = ("7.2",)

KCONFIG = """
config UNMAPPED_GFP
	bool "Unmapped pages from alloc_pages(__GFP_UNMAPPED)"
	depends on UNMAPPED_ALLOC
	help
	  Lets kernel code ask for unmapped pages by a gfp flag, and free them
	  like others.  Each free of a page then looks whether it is one.

	  Nothing in this kernel uses it: it is for comparison with the calls
	  of <linux/unmapped.h>.  If unsure, say N.

config UNMAPPED_GFP_KUNIT_TEST
	bool "KUnit tests of alloc_pages() and __GFP_UNMAPPED" if !KUNIT_ALL_TESTS
	depends on UNMAPPED_ALLOC && KUNIT=y
	default KUNIT_ALL_TESTS
	help
	  Tests pages that were asked for by __GFP_UNMAPPED, if there is the
	  flag, and says in the log what a page costs: an ordinary one, one by
	  the flag, and one by the calls of <linux/unmapped.h>.

	  If unsure, say N.
"""

BIT = """#ifdef CONFIG_UNMAPPED_GFP
	___GFP_UNMAPPED_BIT,
#endif
"""
PLAIN = """#ifdef CONFIG_UNMAPPED_GFP
#define ___GFP_UNMAPPED		BIT(___GFP_UNMAPPED_BIT)
#endif
"""
FLAG = """#ifdef CONFIG_UNMAPPED_GFP
/* Zeroed pages that the direct map does not have; see <linux/unmapped.h> */
#define __GFP_UNMAPPED	((__force gfp_t)___GFP_UNMAPPED)
#endif

"""
TRACE = """#ifdef CONFIG_UNMAPPED_GFP
# define TRACE_GFP_FLAGS_UNMAPPED		\\
	TRACE_GFP_EM(UNMAPPED)
#else
# define TRACE_GFP_FLAGS_UNMAPPED
#endif

"""
ALLOC = """#ifdef CONFIG_UNMAPPED_GFP
	if (unlikely(gfp & __GFP_UNMAPPED)) {
		alloc_gfp = gfp;
		page = unmapped_alloc_frozen(gfp, order, preferred_nid, nodemask);
		goto out;
	}
#endif
"""
DECLARATION = """#ifdef CONFIG_UNMAPPED_GFP
/* For the page allocator: pages without references, not charged to anybody. */
struct page *unmapped_alloc_frozen(gfp_t gfp, unsigned int order, int nid,
				   nodemask_t *nodes);
#endif

"""
BULK = """#ifdef CONFIG_UNMAPPED_GFP
	/* Nor does it have pages that the direct map does not have. */
	if (gfp & __GFP_UNMAPPED)
		goto failed;
#endif

"""
FUNCTION = """
#ifdef CONFIG_UNMAPPED_GFP
struct page *unmapped_alloc_frozen(gfp_t gfp, unsigned int order, int nid,
				   nodemask_t *nodes)
{
	struct page *page;

	/* What is not there yet is not taken back, either. */
	if (!unmapped_put_page_enabled())
		return NULL;
	/* __GFP_ACCOUNT is the page allocator's, and so is its free. */
	page = unmapped_pages_alloc_nodes(nid, nodes, (gfp | __GFP_ZERO) & ~__GFP_ACCOUNT,
					  order, 1UL << order);
	if (!page)
		return NULL;
	if (!freeze_references(page, order, 0))
		return NULL;
	if (order && gfp & __GFP_COMP)
		prep_compound_page(page, order);
	return page;
}

/* Anybody may use the flag at any time, also where a key can't be switched. */
static int __init unmapped_gfp_init(void)
{
	unmapped_put_page_enable();
	return 0;
}
device_initcall_sync(unmapped_gfp_init);
#endif /* CONFIG_UNMAPPED_GFP */
"""


def apply(tree):
    path = "include/linux/gfp_types.h"
    tree.insert_before(path, r"^\t___GFP_LAST_BIT$", BIT)
    tree.insert_after(path, r"^#define ___GFP_NO_OBJ_EXT .*$", PLAIN)
    tree.insert_before(path, r"^/\* Room for N __GFP_FOO bits \*/$", FLAG)
    path = "include/trace/events/mmflags.h"
    tree.insert_before(path, r"^#define TRACE_GFP_FLAGS\t+\\$", TRACE)
    tree.replace(path, r"^\tTRACE_GFP_FLAGS_SLAB\n(?!#)",
                 "\tTRACE_GFP_FLAGS_SLAB\t\t\t\\\\\n\tTRACE_GFP_FLAGS_UNMAPPED\n")
    path = "mm/page_alloc.c"
    tree.insert_after(path, r"^\tgfp = current_gfp_context\(gfp\);$", ALLOC,
                      within="__alloc_frozen_pages_noprof")
    tree.insert_before(path, r"^\t/\* Use the single page allocator for one page\. \*/$",
                       BULK, within="alloc_pages_bulk_noprof")
    tree.insert_before("mm/unmapped/page.h",
                       r"^#else\n\nstatic inline void unmapped_put_page_enable\(", DECLARATION)
    path = "mm/unmapped/page.c"
    tree.write(path, tree.read(path) + FUNCTION)
    if not tree.has(path, r'^#include "../internal.h"$'):
        tree.insert_before(path, r'^#include "host.h"$', '#include "../internal.h"\n')
    tree.add_new("mm/unmapped/gfp_kunit.c")
    add_objects_if(tree, "UNMAPPED_GFP_KUNIT_TEST", "gfp_kunit.o")
    add_config(tree, KCONFIG)
