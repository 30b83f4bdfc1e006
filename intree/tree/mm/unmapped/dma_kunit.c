// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of DMA_ATTR_NO_KERNEL_MAPPING, with a device that does nothing: its
 * memory is absent from the direct map, within its reach, and all comes back.
 */
#include <kunit/test.h>
#include <linux/dma-mapping.h>
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/platform_device.h>
#include <linux/sizes.h>
#include <linux/unmapped.h>

#include "host.h"
#include "image.h"

#define NO_MAPPING DMA_ATTR_NO_KERNEL_MAPPING

static const size_t sizes[] = { 1, PAGE_SIZE, 3 * PAGE_SIZE, SZ_64K + 1, SZ_2M };

static bool present(unsigned long pfn)
{
	unsigned int level;
	pte_t *pte = lookup_address((unsigned long)pfn_to_kaddr(pfn), &level);

	return pte && pte_val(*pte) & _PAGE_PRESENT;
}

/* How many pages of a buffer the direct map has. */
static unsigned long pages_present(dma_addr_t at, size_t size)
{
	unsigned long i, nr = PAGE_ALIGN(size) >> PAGE_SHIFT, count = 0;

	for (i = 0; i < nr; i++)
		count += present((at >> PAGE_SHIFT) + i);
	return count;
}

static bool is_clear(unsigned long pfn)
{
	void *addr = unmapped_map_local(pfn_to_page(pfn));
	bool clear = !memchr_inv(addr, 0, PAGE_SIZE);

	/* For the next to have it. */
	memset(addr, 0x5a, PAGE_SIZE);
	unmapped_unmap_local(addr);
	return clear;
}

static struct device *device(struct kunit *test)
{
	struct platform_device *pdev = test->priv;

	return &pdev->dev;
}

static void absent(struct kunit *test)
{
	struct device *dev = device(test);
	unsigned long before, saved, i, n, nr;
	dma_addr_t at;
	void *cookie;

	KUNIT_ASSERT_EQ(test, 0, dma_set_mask_and_coherent(dev, DMA_BIT_MASK(64)));
	before = host_pages_allocated();
	saved = image_saved_pages();
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		nr = PAGE_ALIGN(sizes[i]) >> PAGE_SHIFT;
		cookie = dma_alloc_attrs(dev, sizes[i], &at, GFP_KERNEL, NO_MAPPING);
		KUNIT_ASSERT_NOT_NULL(test, cookie);
		KUNIT_EXPECT_EQ(test, page_to_pfn((struct page *)cookie),
				at >> PAGE_SHIFT);
		KUNIT_EXPECT_EQ(test, 0UL, pages_present(at, sizes[i]));
		/* And no more than that, all of which a hibernation saves. */
		KUNIT_EXPECT_EQ(test, before + nr, host_pages_allocated());
		KUNIT_EXPECT_EQ(test, saved + nr, image_saved_pages());
		for (n = 0; n < nr; n++)
			KUNIT_EXPECT_TRUE(test, is_clear((at >> PAGE_SHIFT) + n));
		dma_free_attrs(dev, sizes[i], cookie, at, NO_MAPPING);
		KUNIT_EXPECT_EQ(test, before, host_pages_allocated());
		KUNIT_EXPECT_EQ(test, saved, image_saved_pages());
	}
}

static void present_without(struct kunit *test)
{
	struct device *dev = device(test);
	unsigned long before = host_pages_allocated();
	dma_addr_t at;
	void *addr;

	KUNIT_ASSERT_EQ(test, 0, dma_set_mask_and_coherent(dev, DMA_BIT_MASK(64)));
	addr = dma_alloc_attrs(dev, SZ_64K, &at, GFP_KERNEL, 0);
	KUNIT_ASSERT_NOT_NULL(test, addr);
	KUNIT_EXPECT_EQ(test, SZ_64K >> PAGE_SHIFT, pages_present(at, SZ_64K));
	KUNIT_EXPECT_EQ(test, before, host_pages_allocated());
	memset(addr, 0x5a, SZ_64K);
	dma_free_attrs(dev, SZ_64K, addr, at, 0);
}

/* Nothing from the cache where the device does not reach, and all freed as it came. */
static void within_reach(struct kunit *test)
{
	static const int bits[] = { 24, 31, 32, 36 };
	struct device *dev = device(test);
	unsigned long before = host_pages_allocated(), i, in_map;
	dma_addr_t at;
	void *cookie;

	for (i = 0; i < ARRAY_SIZE(bits); i++) {
		/* A mask that this machine can't serve is refused here. */
		if (dma_set_mask_and_coherent(dev, DMA_BIT_MASK(bits[i])))
			continue;
		cookie = dma_alloc_attrs(dev, SZ_64K, &at, GFP_KERNEL, NO_MAPPING);
		KUNIT_ASSERT_NOT_NULL(test, cookie);
		KUNIT_EXPECT_LE(test, at + SZ_64K - 1, DMA_BIT_MASK(bits[i]));
		in_map = pages_present(at, SZ_64K);
		/* All or none: ordinary memory, or the cache's. */
		KUNIT_EXPECT_TRUE(test, in_map == 0 || in_map == SZ_64K >> PAGE_SHIFT);
		KUNIT_EXPECT_EQ(test, before + (in_map ? 0 : SZ_64K >> PAGE_SHIFT),
				host_pages_allocated());
		if (bits[i] == 24)
			KUNIT_EXPECT_NE(test, 0UL, in_map);
		dma_free_attrs(dev, SZ_64K, cookie, at, NO_MAPPING);
		KUNIT_EXPECT_EQ(test, before, host_pages_allocated());
	}
}

/* No waiting: what the cache has, or ordinary memory. */
static void atomic(struct kunit *test)
{
	struct device *dev = device(test);
	unsigned long before = host_pages_allocated();
	dma_addr_t at;
	void *cookie;

	KUNIT_ASSERT_EQ(test, 0, dma_set_mask_and_coherent(dev, DMA_BIT_MASK(64)));
	preempt_disable();
	cookie = dma_alloc_attrs(dev, PAGE_SIZE, &at, GFP_ATOMIC, NO_MAPPING);
	if (cookie)
		dma_free_attrs(dev, PAGE_SIZE, cookie, at, NO_MAPPING);
	preempt_enable();
	KUNIT_EXPECT_NOT_NULL(test, cookie);
	KUNIT_EXPECT_EQ(test, before, host_pages_allocated());
}

static int device_init(struct kunit *test)
{
	struct platform_device *pdev;

	if (!unmapped_allocator.caches)
		kunit_skip(test, "the allocator is not used here");
	pdev = platform_device_register_simple("unmapped-dma", PLATFORM_DEVID_NONE, NULL,
					       0);
	if (IS_ERR(pdev))
		return PTR_ERR(pdev);
	test->priv = pdev;
	return 0;
}

static void device_exit(struct kunit *test)
{
	platform_device_unregister(test->priv);
}

static struct kunit_case dma_cases[] = { KUNIT_CASE(absent),
					 KUNIT_CASE(present_without),
					 KUNIT_CASE(within_reach),
					 KUNIT_CASE(atomic),
					 {} };

static struct kunit_suite dma_suite = {
	.name = "unmapped_dma",
	.init = device_init,
	.exit = device_exit,
	.test_cases = dma_cases,
};

kunit_test_suite(dma_suite);
