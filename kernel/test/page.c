// SPDX-License-Identifier: GPL-2.0
/*
 * What is true of a page.
 */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/unmapped.h>
#include <asm/pgtable_types.h>

#include "test.h"

bool is_absent(struct page *page)
{
	unsigned int level;
	pte_t *pte = lookup_address((unsigned long)page_address(page), &level);

	return pte && !(pte_val(*pte) & _PAGE_PRESENT);
}

unsigned int level_of(struct page *page)
{
	unsigned int level;

	return lookup_address((unsigned long)page_address(page), &level) ? level : 0;
}

static bool is_present_and_global(struct page *page)
{
	pgprotval_t want = _PAGE_PRESENT | (__default_kernel_pte_mask & _PAGE_GLOBAL);
	unsigned int level;
	pte_t *pte = lookup_address((unsigned long)page_address(page), &level);

	return pte && (pte_val(*pte) & want) == want;
}

bool all_absent(struct page *page, unsigned int order)
{
	unsigned long i;

	for (i = 0; i < 1UL << order; i++)
		if (!is_absent(page + i))
			return false;
	return true;
}

bool all_counted(struct page *page, unsigned int order)
{
	unsigned long i;

	for (i = 0; i < 1UL << order; i++)
		if (page_count(page + i) != 1)
			return false;
	return true;
}

bool reads(const void *addr)
{
	u64 value;

	return !copy_from_kernel_nofault(&value, addr, sizeof(value));
}

bool holds(struct page *page, unsigned int order, u8 byte)
{
	bool same = true;
	unsigned long i;
	void *addr;

	for (i = 0; same && i < 1UL << order; i++) {
		addr = unmapped_map_local(page + i);
		same = !memchr_inv(addr, byte, PAGE_SIZE);
		unmapped_unmap_local(addr);
	}
	return same;
}

void fill(struct page *page, unsigned int order, u8 byte)
{
	unsigned long i;
	void *addr;

	for (i = 0; i < 1UL << order; i++) {
		addr = unmapped_map_local(page + i);
		memset(addr, byte, PAGE_SIZE);
		unmapped_unmap_local(addr);
	}
}

void test_restored(struct seq_file *m)
{
	unsigned long bad = 0, nr = 0;
	struct page *pages[64];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(pages); i++) {
		pages[i] = alloc_pages(GFP_KERNEL | __GFP_NOWARN, BLOCK_ORDER);
		if (!pages[i])
			break;
		for (nr = 0; nr < BLOCK_PAGES; nr++)
			bad += !is_present_and_global(pages[i] + nr);
	}
	ok(m, i && !bad, "free memory is present and global (%lu of it is not)", bad);
	while (i--)
		__free_pages(pages[i], BLOCK_ORDER);
}
