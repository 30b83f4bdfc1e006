// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/unmapped; the contract is in include/uapi/linux/unmapped.h.
 *
 * Mappings are VM_PFNMAP: get_user_pages() refuses them, and with it ptrace,
 * /proc/PID/mem, process_vm_readv(), O_DIRECT and fixed buffers; no page is
 * reachable through them but by the MMU.  VM_DONTDUMP keeps them out of core
 * files, and VM_PFNMAP keeps anyone from taking that back.
 */
#include <linux/anon_inodes.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/nodemask.h>
#include <linux/uaccess.h>
#include <linux/unmapped.h>
#include <uapi/linux/unmapped.h>

#include "compat.h"
#include "device.h"
#include "object.h"

static vm_fault_t fault(struct vm_fault *vmf)
{
	struct object *obj = vmf->vma->vm_file->private_data;
	struct page *page = object_page(obj, vmf->pgoff);

	if (!page)
		return VM_FAULT_SIGBUS;
	/* Not VM_FAULT_OOM: that would call the OOM killer for one file's sake. */
	if (IS_ERR(page))
		return VM_FAULT_SIGBUS;
	return vmf_insert_pfn(vmf->vma, vmf->address, page_to_pfn(page));
}

static const struct vm_operations_struct vm_ops = {
	.fault = fault,
};

static int mmap(struct file *file, struct vm_area_struct *vma)
{
	struct object *obj = file->private_data;
	unsigned long end, nr = vma_pages(vma);
	int err;

	if (!(vma->vm_flags & (VM_SHARED | VM_MAYSHARE)))
		return -EINVAL;
	if (vma->vm_flags & VM_EXEC)
		return -EPERM;
	if (check_add_overflow(vma->vm_pgoff, nr, &end) ||
	    end > UNMAPPED_MAX_BYTES >> PAGE_SHIFT)
		return -EOVERFLOW;
	if (obj->grows) {
		err = object_resize(obj, end);
		if (err)
			return err;
	} else if (end > obj->nr) {
		return -ENXIO;
	}

	vm_flags_set(vma, VM_PFNMAP | VM_IO | VM_DONTEXPAND | VM_DONTDUMP);
	vm_flags_clear(vma, VM_MAYEXEC);
	vma->vm_ops = &vm_ops;
	return 0;
}

static int release(struct inode *inode, struct file *file)
{
	object_destroy(file->private_data);
	return 0;
}

/* Of an object made by UNMAPPED_IOC_CREATE. */
static const struct file_operations object_fops = {
	.owner = THIS_MODULE,
	.mmap = mmap,
	.release = release,
	.llseek = noop_llseek,
};

static bool node_exists(int node)
{
	return node >= 0 && node < MAX_NUMNODES && node_state(node, N_MEMORY);
}

static int create(void __user *arg)
{
	struct unmapped_create c;
	struct object *obj;
	u32 argsz;
	int err, fd;

	if (get_user(argsz, (u32 __user *)arg))
		return -EFAULT;
	if (argsz < sizeof(c))
		return -EINVAL;
	err = copy_struct_from_user(&c, sizeof(c), arg, argsz);
	if (err)
		return err;
	if (c.flags & ~UNMAPPED_CREATE_THISNODE)
		return -EOPNOTSUPP;
	if (c.reserved)
		return -EBADMSG;
	if (!c.bytes || !PAGE_ALIGNED(c.bytes))
		return -EINVAL;
	if (c.bytes > UNMAPPED_MAX_BYTES)
		return -EFBIG;
	if (c.node != UNMAPPED_ANY_NODE && !node_exists(c.node))
		return -ENODEV;

	obj = object_create(c.node == UNMAPPED_ANY_NODE ? NUMA_NO_NODE : c.node,
			    c.flags & UNMAPPED_CREATE_THISNODE ? __GFP_THISNODE : 0);
	if (!obj)
		return -ENOMEM;
	err = object_resize(obj, c.bytes >> PAGE_SHIFT);
	if (err)
		goto fail;
	fd = anon_inode_getfd("[unmapped]", &object_fops, obj, O_RDWR | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	err = fd;
fail:
	object_destroy(obj);
	return err;
}

static long ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	switch (cmd) {
	case UNMAPPED_IOC_CREATE:
		return create((void __user *)arg);
	default:
		return -ENOTTY;
	}
}

static int open(struct inode *inode, struct file *file)
{
	struct object *obj = object_create(NUMA_NO_NODE, 0);

	if (!obj)
		return -ENOMEM;
	obj->grows = true;
	file->private_data = obj;
	return 0;
}

static const struct file_operations device_fops = {
	.owner = THIS_MODULE,
	.open = open,
	.mmap = mmap,
	.release = release,
	.unlocked_ioctl = ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "unmapped",
	.fops = &device_fops,
	.mode = 0600,
};

int unmapped_device_init(void)
{
	return misc_register(&device);
}

void unmapped_device_exit(void)
{
	misc_deregister(&device);
}
