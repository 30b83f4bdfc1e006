// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/unmapped; the contract is in include/uapi/linux/unmapped.h.
 *
 * A block of an object is mapped by one PMD entry where addresses allow it.  It
 * is inserted by fault(): not each kernel calls huge_fault() for VM_PFNMAP.
 *
 * Mappings are VM_PFNMAP: get_user_pages() refuses them, and with it ptrace,
 * /proc/PID/mem, process_vm_readv(), O_DIRECT and fixed buffers; no page is
 * reachable through them but by the MMU.  VM_DONTDUMP keeps them out of core
 * files, and VM_PFNMAP keeps anyone from taking that back.
 */
#include <linux/anon_inodes.h>
#include <linux/capability.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/list.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/module.h>
#include <linux/nodemask.h>
#include <linux/pagemap.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/uaccess.h>
#include <linux/unmapped.h>
#include <uapi/linux/unmapped.h>

#include "compat.h"
#include "device.h"
#include "kvm.h"
#include "object.h"
#include "pm.h"

/* --- faults ---------------------------------------------------------------- */

/* May the 2 MiB around the fault be one entry?  All faults there agree. */
static bool fits_pmd(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct object *obj = vma->vm_file->private_data;
	unsigned long start = vmf->address & PMD_MASK;
	pmd_t pmd = READ_ONCE(*vmf->pmd);

	if (obj->nohuge || vma->vm_flags & VM_NOHUGEPAGE)
		return false;
	if (start < vma->vm_start || start + PMD_SIZE > vma->vm_end)
		return false;
	if ((vmf->pgoff ^ (vmf->address >> PAGE_SHIFT)) % PTRS_PER_PTE)
		return false;
	/* What is there from other times stays. */
	return pmd_leaf(pmd) || (pmd_none(pmd) && !compat_needs_ptes(vma->vm_mm));
}

/* Set the entry of @addr; not 0, which ends the walk, when there is no more to do. */
static int map_page(pte_t *pte, unsigned long addr, void *data)
{
	struct vm_area_struct *vma = data;
	struct page *page;
	bool block;

	if (!pte_none(*pte))
		return -EEXIST;
	page = object_lookup(vma->vm_file->private_data, linear_page_index(vma, addr),
			     &block);
	if (!page)
		return -ENOENT;
	set_pte_at(vma->vm_mm, addr, pte,
		   pte_mkspecial(pfn_pte(page_to_pfn(page), vma->vm_page_prot)));
	return 0;
}

/*
 * 4 KiB entries: that of the fault and those that follow it in the table, as far
 * as the object has the pages and they are not mapped.
 */
static vm_fault_t map_pages(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	unsigned long addr = vmf->address & PAGE_MASK;
	unsigned long end = min(ALIGN(addr + 1, PMD_SIZE), vma->vm_end);

	if (apply_to_page_range(vma->vm_mm, addr, end - addr, map_page, vma) == -ENOMEM)
		return VM_FAULT_OOM;
	return VM_FAULT_NOPAGE;
}

/* It stays while the fault has the mapping locked. */
static const struct mempolicy *policy_of(const struct vm_area_struct *vma)
{
#ifdef CONFIG_NUMA
	return vma->vm_policy;
#else
	return NULL;
#endif
}

static vm_fault_t map(struct vm_fault *vmf)
{
	struct object *obj = vmf->vma->vm_file->private_data;
	struct page *page;
	bool block;

	page = object_page(obj, vmf->pgoff, policy_of(vmf->vma), &block);
	/* Not VM_FAULT_OOM: that would call the OOM killer for one file's sake. */
	if (IS_ERR_OR_NULL(page))
		return VM_FAULT_SIGBUS;
	if (block && fits_pmd(vmf))
		return compat_insert_pfn_pmd(vmf,
					     page_to_pfn(page) & ~(PTRS_PER_PTE - 1UL));
	return map_pages(vmf);
}

static vm_fault_t fault(struct vm_fault *vmf)
{
	vm_fault_t ret;

	if (!pm_enter())
		return pm_wait_fault(vmf);
	ret = map(vmf);
	pm_leave();
	return ret;
}

static void opened(struct vm_area_struct *vma)
{
	kvm_guard_mapped(vma->vm_mm);
}

static void closed(struct vm_area_struct *vma)
{
	kvm_guard_unmapped(vma->vm_mm);
}

static const struct vm_operations_struct vm_ops = {
	.open = opened,
	.close = closed,
	.fault = fault,
};

/* --- mmap ------------------------------------------------------------------ */

/*
 * mmap() of a file is not told of MAP_POPULATE, and what would populate skips
 * VM_PFNMAP.  But get_unmapped_area() is told, and the same task calls both, one
 * after the other, without letting go of mmap_lock.  So it leaves a note.  One
 * of an mmap(2) that failed in between is found by the task's next, or goes
 * with the file.
 */
struct note {
	struct list_head list; /* of the object */
	struct task_struct *task;
};

/* Was there a note of @task, or of anybody if NULL? */
static bool take_notes(struct object *obj, struct task_struct *task)
{
	struct note *n, *next;
	bool found = false;

	spin_lock(&obj->notes_lock);
	list_for_each_entry_safe(n, next, &obj->notes, list) {
		if (task && n->task != task)
			continue;
		list_del(&n->list);
		kfree(n);
		found = true;
	}
	spin_unlock(&obj->notes_lock);
	return found;
}

static int leave_note(struct object *obj)
{
	struct note *n = kmalloc(sizeof(*n), GFP_KERNEL_ACCOUNT);

	if (!n)
		return -ENOMEM;
	n->task = current;
	spin_lock(&obj->notes_lock);
	list_add(&n->list, &obj->notes);
	spin_unlock(&obj->notes_lock);
	return 0;
}

/* Addresses that suit PMD entries, from 2 MiB on. */
static unsigned long area(struct file *file, unsigned long addr, unsigned long len,
			  unsigned long pgoff, unsigned long flags)
{
	int err = 0;

	addr = thp_get_unmapped_area(file, addr, len, pgoff, flags);
	if (IS_ERR_VALUE(addr))
		return addr;
	take_notes(file->private_data, current);
	if ((flags & (MAP_POPULATE | MAP_NONBLOCK)) == MAP_POPULATE)
		err = leave_note(file->private_data);
	return err ?: addr;
}

static int mmap(struct file *file, struct vm_area_struct *vma)
{
	struct object *obj = file->private_data;
	bool populate = take_notes(obj, current) ||
			(vma->vm_flags & (VM_LOCKED | VM_LOCKONFAULT)) == VM_LOCKED;
	unsigned long end, nr = vma_pages(vma);
	int err;

	if (!(vma->vm_flags & (VM_SHARED | VM_MAYSHARE)))
		return -EINVAL;
	if (vma->vm_flags & VM_EXEC)
		return -EPERM;
	if (check_add_overflow(vma->vm_pgoff, nr, &end) ||
	    end > UNMAPPED_MAX_BYTES >> PAGE_SHIFT)
		return -EOVERFLOW;
	if (end > READ_ONCE(obj->nr) && !obj->grows)
		return -ENXIO;
	if (populate || end > READ_ONCE(obj->nr)) {
		err = object_extend(obj, populate ? vma->vm_pgoff : end, end);
		if (err)
			return err;
	}

	vm_flags_set(vma, VM_PFNMAP | VM_IO | VM_DONTEXPAND | VM_DONTDUMP);
	vm_flags_clear(vma, VM_MAYEXEC);
	vma->vm_ops = &vm_ops;
	opened(vma);
	return 0;
}

static int release(struct inode *inode, struct file *file)
{
	take_notes(file->private_data, NULL);
	object_destroy(file->private_data);
	return 0;
}

static int status(struct object *obj, void __user *arg)
{
	struct unmapped_status s = {
		.argsz = sizeof(s),
		.flags = (obj->gfp & __GFP_THISNODE ? UNMAPPED_CREATE_THISNODE : 0) |
			 (obj->nohuge ? UNMAPPED_CREATE_NOHUGE : 0) |
			 (obj->wipe ? UNMAPPED_CREATE_WIPE_ON_HIBERNATE : 0) |
			 (obj->no_zero ? UNMAPPED_CREATE_NO_ZERO : 0),
		.bytes = (u64)READ_ONCE(obj->nr) << PAGE_SHIFT,
		.held = (u64)atomic_long_read(&obj->holder.pages) << PAGE_SHIFT,
		.wipes = READ_ONCE(obj->wipes),
	};
	u32 argsz;

	if (get_user(argsz, (u32 __user *)arg))
		return -EFAULT;
	if (argsz < sizeof(s))
		return -EINVAL;
	if (argsz > PAGE_SIZE)
		return -E2BIG;
	if (copy_to_user(arg, &s, sizeof(s)) ||
	    clear_user(arg + sizeof(s), argsz - sizeof(s)))
		return -EFAULT;
	return 0;
}

static long object_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	switch (cmd) {
	case UNMAPPED_IOC_STATUS:
		return status(file->private_data, (void __user *)arg);
	default:
		return -ENOTTY;
	}
}

/* Of an object made by UNMAPPED_IOC_CREATE. */
static const struct file_operations object_fops = {
	.owner = THIS_MODULE,
	.mmap = mmap,
	.unlocked_ioctl = object_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.get_unmapped_area = area,
	.release = release,
	.llseek = noop_llseek,
};

static bool node_exists(int node)
{
	return node >= 0 && node < MAX_NUMNODES && node_state(node, N_MEMORY);
}

#define KNOWN_FLAGS \
	(UNMAPPED_CREATE_THISNODE | UNMAPPED_CREATE_NOHUGE | \
	 UNMAPPED_CREATE_WIPE_ON_HIBERNATE | UNMAPPED_CREATE_NO_ZERO)

static void attach(struct file *file, struct object *obj)
{
	file->private_data = obj;
	file->f_mapping = obj->inode->i_mapping;
}

/* Return: a new descriptor, or a negative errno; then the object is still there. */
static int install(struct object *obj)
{
	int fd = get_unused_fd_flags(O_CLOEXEC);
	struct file *file;

	if (fd < 0)
		return fd;
	file = anon_inode_getfile("[unmapped]", &object_fops, obj, O_RDWR);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		return PTR_ERR(file);
	}
	attach(file, obj);
	fd_install(fd, file);
	return fd;
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
	/* All that is past the end is read. */
	if (argsz > PAGE_SIZE)
		return -E2BIG;
	err = copy_struct_from_user(&c, sizeof(c), arg, argsz);
	if (err)
		return err;
	if (c.flags & ~KNOWN_FLAGS)
		return -EOPNOTSUPP;
	if (c.reserved)
		return -EBADMSG;
	if (!c.bytes || !PAGE_ALIGNED(c.bytes))
		return -EINVAL;
	if (c.bytes > UNMAPPED_MAX_BYTES)
		return -EFBIG;
	if (c.node != UNMAPPED_ANY_NODE && !node_exists(c.node))
		return -ENODEV;
	if (c.flags & UNMAPPED_CREATE_NO_ZERO && !capable(CAP_SYS_ADMIN))
		return -EPERM;

	obj = object_create(c.node == UNMAPPED_ANY_NODE ? NUMA_NO_NODE : c.node,
			    c.flags & UNMAPPED_CREATE_THISNODE ? __GFP_THISNODE : 0);
	if (!obj)
		return -ENOMEM;
	obj->nohuge = c.flags & UNMAPPED_CREATE_NOHUGE;
	obj->wipe = c.flags & UNMAPPED_CREATE_WIPE_ON_HIBERNATE;
	obj->no_zero = c.flags & UNMAPPED_CREATE_NO_ZERO;
	err = object_extend(obj, c.bytes >> PAGE_SHIFT, c.bytes >> PAGE_SHIFT);
	if (err)
		goto fail;
	fd = install(obj);
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
		return object_ioctl(file, cmd, arg);
	}
}

static int open(struct inode *inode, struct file *file)
{
	struct object *obj = object_create(NUMA_NO_NODE, 0);

	if (!obj)
		return -ENOMEM;
	obj->grows = true;
	attach(file, obj);
	return 0;
}

static const struct file_operations device_fops = {
	.owner = THIS_MODULE,
	.open = open,
	.mmap = mmap,
	.get_unmapped_area = area,
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

static bool ready, registered;

umode_t unmapped_device_mode(void)
{
	return device.mode;
}

/* The node is made anew, with a new number perhaps; what is open stays as it is. */
int unmapped_device_set_mode(umode_t mode)
{
	int err;

	if (!ready || (registered && mode == device.mode)) {
		device.mode = mode;
		return 0;
	}
	/* It may be gone since a try before this one failed. */
	if (registered)
		misc_deregister(&device);
	device.mode = mode;
	device.minor = MISC_DYNAMIC_MINOR;
	err = misc_register(&device);
	registered = !err;
	return err;
}

int unmapped_device_init(void)
{
	int err = objects_init();

	if (err)
		return err;
	err = misc_register(&device);
	if (err)
		objects_exit();
	ready = registered = !err;
	return err;
}

void unmapped_device_exit(void)
{
	if (registered)
		misc_deregister(&device);
	objects_exit();
}
