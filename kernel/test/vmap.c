// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of views: many pages mapped for longer, for all.
 *
 * /sys/kernel/debug/unmapped_test/
 *	vmap		read: the tests, as TAP
 *	vmap-misuse	read: wrong addresses, as TAP; warns
 *	view		write: 1 hold a view of an unmapped page, 2 vmap() of an
 *			ordinary page, 0 neither; read: its address
 */
#include <linux/debugfs.h>
#include <linux/mm.h>
#include <linux/uaccess.h>
#include <linux/unmapped.h>
#include <linux/vmalloc.h>
#include <asm/pgtable_types.h>

#include "test.h"

/* --- what is true of a view ----------------------------------------------- */

static pgprotval_t entry(const void *addr, unsigned int *level)
{
	pte_t *pte = lookup_address((unsigned long)addr, level);

	return pte ? pte_val(*pte) : 0;
}

static bool all_at(const void *view, unsigned long first, unsigned long nr,
		   unsigned int level)
{
	unsigned int is;
	unsigned long i;

	for (i = first; i < first + nr; i++)
		if (!(entry(view + i * PAGE_SIZE, &is) & _PAGE_PRESENT) || is != level)
			return false;
	return true;
}

static bool none_executable(const void *view, unsigned long nr)
{
	unsigned int level;
	unsigned long i;

	for (i = 0; i < nr; i++)
		if (!(entry(view + i * PAGE_SIZE, &level) & _PAGE_NX))
			return false;
	return true;
}

/* A number of its own for each page: one that is in the wrong place is seen. */
static void number_pages(void *view, unsigned long nr)
{
	unsigned long i;

	for (i = 0; i < nr; i++)
		memset64(view + i * PAGE_SIZE, 0x1234500000000ULL + i,
			 PAGE_SIZE / sizeof(u64));
}

static bool numbered(const u64 *page, u64 i)
{
	unsigned long k;

	for (k = 0; k < PAGE_SIZE / sizeof(u64); k++)
		if (page[k] != 0x1234500000000ULL + i)
			return false;
	return true;
}

static bool all_numbered(const void *view, struct page **pages, unsigned long nr)
{
	bool same = true;
	unsigned long i;
	void *local;

	for (i = 0; same && i < nr; i++) {
		local = unmapped_map_local(pages[i]);
		same = numbered(local, i) && numbered(view + i * PAGE_SIZE, i);
		unmapped_unmap_local(local);
	}
	return same;
}

static bool writes(void *addr)
{
	u64 value = READ_ONCE(*(u64 *)addr);

	__put_kernel_nofault(addr, &value, u64, fault);
	return true;
fault:
	return false;
}

static bool all_write(void *view, unsigned long first, unsigned long nr, bool want)
{
	unsigned long i;

	for (i = first; i < first + nr; i++)
		if (writes(view + i * PAGE_SIZE) != want || !reads(view + i * PAGE_SIZE))
			return false;
	return true;
}

/* --- tests of views ------------------------------------------------------- */

static void block_of(struct page **pages, struct page *block)
{
	unsigned long i;

	for (i = 0; i < BLOCK_PAGES; i++)
		pages[i] = block + i;
}

static void test_block(struct seq_file *m, struct page **pages)
{
	struct page *block = unmapped_pages_alloc(ZEROED, 9);
	unsigned long i;
	void *view;

	ok(m, block, "a block");
	if (!block)
		return;
	block_of(pages, block);
	view = unmapped_vmap(pages, BLOCK_PAGES, PAGE_KERNEL);
	ok(m, !IS_ERR(view) && all_at(view, 0, BLOCK_PAGES, PG_LEVEL_2M),
	   "a view of it has one PMD entry");
	if (IS_ERR(view))
		goto free;
	ok(m, !memchr_inv(view, 0, BLOCK_PAGES * PAGE_SIZE), "and reads zero");
	number_pages(view, BLOCK_PAGES);
	ok(m, all_numbered(view, pages, BLOCK_PAGES),
	   "what is written there is read through unmapped_map_local()");
	for (i = 0; i < BLOCK_PAGES; i++)
		fill(block + i, 0, (u8)i);
	for (i = 0; i < BLOCK_PAGES; i++)
		if (memchr_inv(view + i * PAGE_SIZE, (u8)i, PAGE_SIZE))
			break;
	ok(m, i == BLOCK_PAGES, "and the other way round");
	ok(m, none_executable(view, BLOCK_PAGES), "it is not executable");

	ok(m,
	   !unmapped_vmap_protect(view, 0, BLOCK_PAGES, PAGE_KERNEL_RO) &&
		   all_at(view, 0, BLOCK_PAGES, PG_LEVEL_2M),
	   "all of the entry is made read-only");
	ok(m, all_write(view, 0, BLOCK_PAGES, false), "writes fault, reads do not");
	ok(m, none_executable(view, BLOCK_PAGES), "it is still not executable");
	ok(m,
	   !unmapped_vmap_protect(view, 0, BLOCK_PAGES, PAGE_KERNEL) &&
		   all_write(view, 0, BLOCK_PAGES, true),
	   "and writable again");
	unmapped_vunmap(view);
	ok(m, !reads(view) && !reads(view + BLOCK_PAGES * PAGE_SIZE - 8),
	   "unmapped: reads fault");
free:
	unmapped_pages_free(block, 9);
}

static void test_part_of_entry(struct seq_file *m, struct page **pages)
{
	static const struct {
		unsigned long first, nr;
	} parts[] = {
		{ 0, 1 },   { 0, 511 }, { 1, 511 },   { 1, 1 },	  { 511, 1 },
		{ 0, 513 }, { 1, 512 }, { 511, 513 }, { 512, 1 }, { 100, 700 },
	};
	struct page *blocks[2] = {
		unmapped_pages_alloc(ZEROED, 9),
		unmapped_pages_alloc(ZEROED, 9),
	};
	pgprotval_t before[2], after[2];
	unsigned int i, level;
	void *view;

	if (!blocks[0] || !blocks[1]) {
		ok(m, false, "two blocks");
		goto free;
	}
	block_of(pages, blocks[0]);
	block_of(pages + BLOCK_PAGES, blocks[1]);
	view = unmapped_vmap(pages, 2 * BLOCK_PAGES, PAGE_KERNEL);
	ok(m, !IS_ERR(view) && all_at(view, 0, 2 * BLOCK_PAGES, PG_LEVEL_2M),
	   "two blocks have two PMD entries");
	if (IS_ERR(view))
		goto free;
	number_pages(view, 2 * BLOCK_PAGES);
	before[0] = entry(view, &level);
	before[1] = entry(view + PMD_SIZE, &level);
	for (i = 0; i < ARRAY_SIZE(parts); i++) {
		ok(m,
		   unmapped_vmap_protect(view, parts[i].first, parts[i].nr,
					 PAGE_KERNEL_RO) == -EINVAL,
		   "pages %lu to %lu, part of an entry: -EINVAL", parts[i].first,
		   parts[i].first + parts[i].nr - 1);
	}
	after[0] = entry(view, &level);
	after[1] = entry(view + PMD_SIZE, &level);
	/* What the processor sets is not ours to compare. */
	ok(m,
	   !((before[0] ^ after[0]) & ~(_PAGE_ACCESSED | _PAGE_DIRTY)) &&
		   !((before[1] ^ after[1]) & ~(_PAGE_ACCESSED | _PAGE_DIRTY)) &&
		   all_write(view, 0, 2 * BLOCK_PAGES, true),
	   "and nothing has changed");
	ok(m,
	   !unmapped_vmap_protect(view, BLOCK_PAGES, BLOCK_PAGES, PAGE_KERNEL_RO) &&
		   all_write(view, 0, BLOCK_PAGES, true) &&
		   all_write(view, BLOCK_PAGES, BLOCK_PAGES, false),
	   "the second whole entry alone is made read-only");
	ok(m, all_numbered(view, pages, 2 * BLOCK_PAGES), "contents stay");
	unmapped_vunmap(view);
free:
	unmapped_pages_free(blocks[0], 9);
	unmapped_pages_free(blocks[1], 9);
}

/* 3 pages, a block, 5 pages, a block that is now out of step, 7 pages. */
static void test_mixed(struct seq_file *m, struct page **pages)
{
	const unsigned long first = 3, second = first + BLOCK_PAGES + 5,
			    nr = second + BLOCK_PAGES + 7;
	struct page *blocks[2] = {
		unmapped_pages_alloc(ZEROED, 9),
		unmapped_pages_alloc(ZEROED, 9),
	};
	struct page *singles[15];
	unsigned long i, k, got;
	void *view;

	got = unmapped_pages_alloc_bulk(NUMA_NO_NODE, ZEROED, 15, singles);
	if (!blocks[0] || !blocks[1] || got < 15) {
		ok(m, false, "blocks and pages");
		goto free;
	}
	/* Backwards: neighbours must not make a block by chance. */
	for (i = 0, k = 15; i < nr; i++) {
		if (i >= first && i < first + BLOCK_PAGES)
			pages[i] = blocks[0] + (i - first);
		else if (i >= second && i < second + BLOCK_PAGES)
			pages[i] = blocks[1] + (i - second);
		else
			pages[i] = singles[--k];
	}
	view = unmapped_vmap(pages, nr, PAGE_KERNEL);
	ok(m, !IS_ERR(view), "a view of blocks and pages");
	if (IS_ERR(view))
		goto free;
	ok(m, all_at(view, first, BLOCK_PAGES, PG_LEVEL_2M),
	   "the first block has a PMD entry");
	ok(m,
	   all_at(view, 0, first, PG_LEVEL_4K) &&
		   all_at(view, first + BLOCK_PAGES, nr - first - BLOCK_PAGES,
			  PG_LEVEL_4K),
	   "what is not in step with it has PTEs");
	number_pages(view, nr);
	ok(m, all_numbered(view, pages, nr), "every page is in its place");
	ok(m, !reads(view - 8) && !reads(view + nr * PAGE_SIZE),
	   "nothing is mapped before and after it");
	ok(m,
	   !unmapped_vmap_protect(view, second + 1, 3, PAGE_KERNEL_RO) &&
		   all_write(view, 0, second + 1, true) &&
		   all_write(view, second + 1, 3, false) &&
		   all_write(view, second + 4, nr - second - 4, true),
	   "three pages with PTEs are made read-only");
	ok(m,
	   unmapped_vmap_protect(view, 0, first + 1, PAGE_KERNEL_RO) == -EINVAL &&
		   all_write(view, 0, first, true),
	   "pages and a part of an entry: -EINVAL, nothing has changed");
	ok(m,
	   !unmapped_vmap_protect(view, 0, nr, PAGE_KERNEL_RO) &&
		   all_write(view, 0, nr, false) && none_executable(view, nr),
	   "all of it is made read-only");
	ok(m, all_numbered(view, pages, nr), "contents stay");
	unmapped_vunmap(view);
free:
	while (got)
		unmapped_pages_free(singles[--got], 0);
	unmapped_pages_free(blocks[0], 9);
	unmapped_pages_free(blocks[1], 9);
}

static void test_pages(struct seq_file *m, struct page **pages)
{
	struct page *block = unmapped_pages_alloc(ZEROED, 9);
	struct page *ordinary = alloc_page(GFP_KERNEL);
	unsigned long rounds = 0;
	void *view;

	if (!block || !ordinary) {
		ok(m, false, "a block and an ordinary page");
		goto free;
	}
	block_of(pages, block);
	swap(pages[17], pages[400]);
	view = unmapped_vmap(pages, BLOCK_PAGES, PAGE_KERNEL);
	ok(m, !IS_ERR(view) && all_at(view, 0, BLOCK_PAGES, PG_LEVEL_4K),
	   "a block in another order has PTEs");
	if (!IS_ERR(view)) {
		number_pages(view, BLOCK_PAGES);
		ok(m, all_numbered(view, pages, BLOCK_PAGES), "each page in its place");
		unmapped_vunmap(view);
	}
	swap(pages[17], pages[400]);

	view = unmapped_vmap(pages + 1, BLOCK_PAGES - 1, PAGE_KERNEL_RO);
	ok(m,
	   !IS_ERR(view) && all_at(view, 0, BLOCK_PAGES - 1, PG_LEVEL_4K) &&
		   all_write(view, 0, BLOCK_PAGES - 1, false),
	   "less than a block, read-only from the beginning");
	if (!IS_ERR(view))
		unmapped_vunmap(view);

	pages[1] = pages[0];
	pages[2] = ordinary;
	view = unmapped_vmap(pages, 3, PAGE_KERNEL);
	ok(m, !IS_ERR(view), "a page twice, and one in the direct map");
	if (!IS_ERR(view)) {
		memset(view, 0x77, PAGE_SIZE);
		ok(m, !memchr_inv(view + PAGE_SIZE, 0x77, PAGE_SIZE),
		   "both show the same");
		memset(view + 2 * PAGE_SIZE, 0x66, PAGE_SIZE);
		ok(m, !memchr_inv(page_address(ordinary), 0x66, PAGE_SIZE),
		   "and so does the direct map");
		unmapped_vunmap(view);
	}

	/* Tables remain where pages were mapped, and blocks must replace them. */
	block_of(pages, block);
	for (rounds = 0; rounds < 8; rounds++) {
		swap(pages[1], pages[2]);
		view = unmapped_vmap(pages, BLOCK_PAGES, PAGE_KERNEL);
		if (IS_ERR(view) || !all_at(view, 0, BLOCK_PAGES, PG_LEVEL_4K))
			break;
		unmapped_vunmap(view);
		vm_unmap_aliases(); /* so that the address is used again */
		swap(pages[1], pages[2]);
		view = unmapped_vmap(pages, BLOCK_PAGES, PAGE_KERNEL);
		if (IS_ERR(view) || !all_at(view, 0, BLOCK_PAGES, PG_LEVEL_2M))
			break;
		number_pages(view, BLOCK_PAGES);
		if (!all_numbered(view, pages, BLOCK_PAGES))
			break;
		unmapped_vunmap(view);
		vm_unmap_aliases();
	}
	ok(m, rounds == 8, "pages and a block in turns (%lu rounds)", rounds);
	if (rounds < 8 && !IS_ERR(view))
		unmapped_vunmap(view);
free:
	unmapped_pages_free(block, 9);
	if (ordinary)
		__free_page(ordinary);
}

static void test_bad_input(struct seq_file *m, struct page **pages)
{
	struct page *page = unmapped_pages_alloc(ZEROED, 0);
	const void *einval = ERR_PTR(-EINVAL);
	void *view;

	if (!page) {
		ok(m, false, "a page");
		return;
	}
	pages[0] = page;
	pages[1] = NULL;
	pages[2] = page;
	ok(m, unmapped_vmap(pages, 0, PAGE_KERNEL) == einval, "no page: -EINVAL");
	ok(m,
	   unmapped_vmap(pages, ULONG_MAX, PAGE_KERNEL) == einval &&
		   unmapped_vmap(pages, totalram_pages() + 1, PAGE_KERNEL) == einval,
	   "more than there are: -EINVAL");
	ok(m, unmapped_vmap(pages, 3, PAGE_KERNEL) == einval,
	   "NULL among the pages: -EINVAL");
	ok(m,
	   unmapped_vmap(pages, 1, PAGE_KERNEL_EXEC) == einval &&
		   unmapped_vmap(pages, 1, PAGE_KERNEL_ROX) == einval,
	   "executable: -EINVAL");
	ok(m,
	   unmapped_vmap(pages, 1, PAGE_KERNEL_NOCACHE) == einval &&
		   unmapped_vmap(pages, 1, PAGE_NONE) == einval &&
		   unmapped_vmap(pages, 1, PAGE_SHARED) == einval,
	   "uncached, not present, of user space: -EINVAL");
	pages[1] = page;
	view = unmapped_vmap(pages, 3, PAGE_KERNEL);
	if (IS_ERR(view)) {
		ok(m, false, "a view");
		goto free;
	}
	ok(m,
	   unmapped_vmap_protect(view, 0, 0, PAGE_KERNEL_RO) == -EINVAL &&
		   unmapped_vmap_protect(view, 0, 4, PAGE_KERNEL_RO) == -EINVAL &&
		   unmapped_vmap_protect(view, 3, 1, PAGE_KERNEL_RO) == -EINVAL &&
		   unmapped_vmap_protect(view, 2, 2, PAGE_KERNEL_RO) == -EINVAL &&
		   unmapped_vmap_protect(view, 1, ULONG_MAX, PAGE_KERNEL_RO) == -EINVAL &&
		   unmapped_vmap_protect(view, ULONG_MAX, 2, PAGE_KERNEL_RO) == -EINVAL,
	   "permissions of no page, and of pages outside: -EINVAL");
	ok(m,
	   unmapped_vmap_protect(view, 0, 3, PAGE_KERNEL_EXEC) == -EINVAL &&
		   unmapped_vmap_protect(view, 0, 3, PAGE_KERNEL_ROX) == -EINVAL,
	   "made executable: -EINVAL");
	ok(m,
	   unmapped_vmap_protect(view + PAGE_SIZE, 0, 1, PAGE_KERNEL_RO) == -EINVAL &&
		   unmapped_vmap_protect(view + 8, 0, 1, PAGE_KERNEL_RO) == -EINVAL &&
		   unmapped_vmap_protect(NULL, 0, 1, PAGE_KERNEL_RO) == -EINVAL &&
		   unmapped_vmap_protect(pages, 0, 1, PAGE_KERNEL_RO) == -EINVAL,
	   "permissions of what is no view: -EINVAL");
	ok(m, all_write(view, 0, 3, true) && none_executable(view, 3),
	   "and nothing has changed");
	unmapped_vunmap(view);
	unmapped_vunmap(NULL);
	ok(m, true, "NULL is unmapped without harm");
free:
	unmapped_pages_free(page, 0);
}

static int vmap_show(struct seq_file *m, void *v)
{
	struct page **pages = kvcalloc(4 * BLOCK_PAGES, sizeof(*pages), GFP_KERNEL);

	if (!pages)
		return -ENOMEM;
	number = 0;
	test_block(m, pages);
	test_part_of_entry(m, pages);
	test_mixed(m, pages);
	test_pages(m, pages);
	test_bad_input(m, pages);
	seq_printf(m, "1..%u\n", number);
	kvfree(pages);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(vmap);

static int vmap_misuse_show(struct seq_file *m, void *v)
{
	struct page *page = unmapped_pages_alloc(ZEROED, 0), *pages[2] = { page, page };
	void *others = vmalloc(PAGE_SIZE), *view;

	number = 0;
	view = unmapped_vmap(pages, page ? 2 : 0, PAGE_KERNEL);
	ok(m, others && !IS_ERR(view), "a view, and memory of vmalloc()");
	if (!others || IS_ERR(view))
		goto free;
	unmapped_vunmap(view + PAGE_SIZE);
	unmapped_vunmap(view + 8);
	unmapped_vunmap(view - PAGE_SIZE);
	unmapped_vunmap(others);
	unmapped_vunmap(pages);
	unmapped_vunmap((void *)8);
	ok(m, all_write(view, 0, 2, true) && writes(others),
	   "wrong addresses: nothing is unmapped");
	unmapped_vunmap(view);
	ok(m, !reads(view), "the right one: it is");
	unmapped_vunmap(view);
	ok(m, writes(others), "twice: nothing happens");
free:
	vfree(others);
	unmapped_pages_free(page, 0);
	seq_printf(m, "1..%u\n", number);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(vmap_misuse);

/* --- for programs --------------------------------------------------------- */

static struct page *viewed;
static void *the_view;
static bool is_ordinary;

static int view_set(void *unused, u64 kind)
{
	if (kind > 2)
		return -EINVAL;
	if (the_view && is_ordinary) {
		vunmap(the_view);
		__free_page(viewed);
	} else if (the_view) {
		unmapped_vunmap(the_view);
		unmapped_pages_free(viewed, 0);
	}
	the_view = NULL;
	if (!kind)
		return 0;
	is_ordinary = kind == 2;
	viewed = is_ordinary ? alloc_page(ZEROED) : unmapped_pages_alloc(ZEROED, 0);
	if (!viewed)
		return -ENOMEM;
	the_view = is_ordinary ? vmap(&viewed, 1, VM_MAP, PAGE_KERNEL)
			       : unmapped_vmap(&viewed, 1, PAGE_KERNEL);
	if (IS_ERR_OR_NULL(the_view)) {
		if (is_ordinary)
			__free_page(viewed);
		else
			unmapped_pages_free(viewed, 0);
		the_view = NULL;
		return -ENOMEM;
	}
	memset(the_view, 0x5e, PAGE_SIZE);
	return 0;
}

static int view_get(void *unused, u64 *addr)
{
	*addr = (unsigned long)the_view;
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(view_fops, view_get, view_set, "0x%llx\n");

void vmap_test_init(struct dentry *dir)
{
	debugfs_create_file("vmap", 0400, dir, NULL, &vmap_fops);
	debugfs_create_file("vmap-misuse", 0400, dir, NULL, &vmap_misuse_fops);
	debugfs_create_file_unsafe("view", 0600, dir, NULL, &view_fops);
}

void vmap_test_exit(void)
{
	view_set(NULL, 0);
}
