// SPDX-License-Identifier: GPL-2.0
/*
 * dma_buffer - memory for a device, without a mapping of the kernel's, whenever a
 * program asks for some: for tests where allocations fail.
 *
 * What is written to the parameter "bytes" is the size of the buffer that there is
 * afterwards; 0: none.  What was there is freed first, so after an error there is none.
 */
#include <linux/dma-mapping.h>
#include <linux/err.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/platform_device.h>

#define NO_MAPPING DMA_ATTR_NO_KERNEL_MAPPING

static struct platform_device *device;
static void *cookie;
static dma_addr_t at;
static unsigned long bytes;

static void free_buffer(void)
{
	if (bytes)
		dma_free_attrs(&device->dev, bytes, cookie, at, NO_MAPPING);
	bytes = 0;
}

/* Under the lock of all parameters. */
static int set_bytes(const char *val, const struct kernel_param *kp)
{
	unsigned long wanted;
	int err = kstrtoul(val, 0, &wanted);

	if (err)
		return err;
	/* As "insmod dma_buffer.ko bytes=4096". */
	if (!device)
		return -ENODEV;
	free_buffer();
	if (!wanted)
		return 0;
	cookie = dma_alloc_attrs(&device->dev, wanted, &at, GFP_KERNEL | __GFP_NOWARN,
				 NO_MAPPING);
	if (!cookie)
		return -ENOMEM;
	bytes = wanted;
	return 0;
}

static const struct kernel_param_ops bytes_ops = {
	.set = set_bytes,
	.get = param_get_ulong,
};

module_param_cb(bytes, &bytes_ops, &bytes, 0600);
MODULE_PARM_DESC(bytes, "size of the buffer; write only when the module is there");

static int __init dma_buffer_init(void)
{
	struct platform_device *pdev = platform_device_register_simple(
		"dma-buffer", PLATFORM_DEVID_NONE, NULL, 0);
	int err;

	if (IS_ERR(pdev))
		return PTR_ERR(pdev);
	err = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (err) {
		platform_device_unregister(pdev);
		return err;
	}
	device = pdev;
	return 0;
}

static void __exit dma_buffer_exit(void)
{
	free_buffer();
	platform_device_unregister(device);
}

module_init(dma_buffer_init);
module_exit(dma_buffer_exit);

MODULE_DESCRIPTION("A buffer for DMA without a kernel mapping, for tests");
MODULE_LICENSE("GPL");
