// SPDX-License-Identifier: GPL-2.0
/* KUnit tests of page tables that are read-only in the direct map. */
#include <kunit/test.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/uaccess.h>
#include <asm/pgalloc.h>

static bool writable(struct page *page)
{
	unsigned int level;
	pte_t *pte = lookup_address((unsigned long)page_address(page), &level);

	return pte && pte_val(*pte) & _PAGE_RW;
}

/* By the entry, and by trying. */
static void direct_map_is_read_only(struct kunit *test)
{
	struct page *page = unmapped_pagetable_alloc(GFP_KERNEL);
	struct page *other = alloc_page(GFP_KERNEL);
	unsigned long *where, word = 0x5a5a5a5a;

	KUNIT_ASSERT_NOT_NULL(test, page);
	KUNIT_ASSERT_NOT_NULL(test, other);
	where = page_address(page);
	KUNIT_EXPECT_FALSE(test, writable(page));
	KUNIT_EXPECT_EQ(test, -EFAULT,
			copy_to_kernel_nofault(where, &word, sizeof(word)));
	KUNIT_EXPECT_EQ(test, 0UL, *where);
	KUNIT_EXPECT_TRUE(test, unmapped_pagetable_free(page));

	/* The same of a page that is none. */
	where = page_address(other);
	KUNIT_EXPECT_TRUE(test, writable(other));
	KUNIT_EXPECT_EQ(test, 0, copy_to_kernel_nofault(where, &word, sizeof(word)));
	KUNIT_EXPECT_EQ(test, word, *where);
	KUNIT_EXPECT_FALSE(test, unmapped_pagetable_free(other));
	__free_page(other);
}

/* As a program's fault does it: two tables at a time, and both are clean later. */
static void mapped_for_writing(struct kunit *test)
{
	struct page *page[2];
	pmd_t pmd[2];
	pte_t *pte[2];
	int i, round;

	for (round = 0; round < 2; round++) {
		for (i = 0; i < 2; i++) {
			page[i] = unmapped_pagetable_alloc(GFP_KERNEL);
			KUNIT_ASSERT_NOT_NULL(test, page[i]);
			pmd[i] = __pmd(PFN_PHYS(page_to_pfn(page[i])) | _PAGE_TABLE);
			pte[i] = pte_offset_map(&pmd[i], 7 * PAGE_SIZE);
			KUNIT_ASSERT_NOT_NULL(test, pte[i]);
			KUNIT_EXPECT_TRUE(test, pte_none(*pte[i]));
			set_pte(pte[i], pfn_pte(1000 + i, PAGE_NONE));
		}
		for (i = 1; i >= 0; i--)
			pte_unmap(pte[i]);
		for (i = 0; i < 2; i++) {
			pte_t *read = (pte_t *)page_address(page[i]) + 7;

			KUNIT_EXPECT_EQ(test, 1000UL + i, pte_pfn(*read));
			KUNIT_EXPECT_TRUE(test, unmapped_pagetable_free(page[i]));
		}
	}
}

static struct kunit_case cases[] = { KUNIT_CASE(direct_map_is_read_only),
				     KUNIT_CASE(mapped_for_writing),
				     {} };

static struct kunit_suite suite = {
	.name = "unmapped_pagetables",
	.test_cases = cases,
};

kunit_test_suite(suite);
