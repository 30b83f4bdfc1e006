/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * /dev/unmapped - memory that the kernel's direct map does not reach.
 *
 * There are two ways to get such memory, and both are used with mmap(2):
 *
 *	fd = open("/dev/unmapped", O_RDWR | O_CLOEXEC);
 *	p  = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
 *
 * Every open() makes a new, empty object that only this open file (and what
 * it is dup'ed, inherited or passed to) can reach.  Such an object grows to
 * the end of the farthest mapping made of it.
 *
 *	struct unmapped_create c = { .argsz = sizeof(c), .bytes = len,
 *				     .node = UNMAPPED_ANY_NODE };
 *	fd = ioctl(dev, UNMAPPED_IOC_CREATE, &c);
 *
 * gives a new O_CLOEXEC file descriptor for an object of a fixed size, which
 * can be passed over a socket and outlives the descriptor it was made with.
 *
 * Memory is allocated at first touch, zeroed: 2 MiB at a time where an aligned
 * 2 MiB of the object can have contiguous memory, else 4 KiB.  When the last
 * reference to the object goes (descriptors and mappings), it is zeroed again.
 * MAP_POPULATE and MAP_LOCKED allocate all that is mapped in mmap(2) itself;
 * page-table entries still come with the first touch.  mlock(2) has nothing to
 * do, and does nothing: the memory is never swapped.
 *
 * Such 2 MiB are mapped by one entry of the page table if the address and the
 * offset are alike modulo 2 MiB, which is how mmap(2) chooses addresses for
 * 2 MiB and more.  madvise(MADV_NOHUGEPAGE) before the first touch, or
 * UNMAPPED_CREATE_NOHUGE, asks for 4 KiB entries.
 *
 * Mappings must be MAP_SHARED, and can't be made executable.  They are never
 * dumped into a core file and can't be read by ptrace(2), /proc/PID/mem,
 * process_vm_readv(2), O_DIRECT or any other user of get_user_pages().
 *
 * The system does not hibernate while such memory is in use: the image on disk
 * would hold it.  An object that was made with UNMAPPED_CREATE_WIPE_ON_HIBERNATE
 * is wiped instead: when the system prepares to hibernate, even if nothing comes
 * of it in the end, its memory is zeroed and freed.  Its mappings stay, and read
 * as zero from then on; UNMAPPED_IOC_STATUS counts it.  Who must not take zeroes
 * for data asks before use and again after it.  A touch of any object waits from
 * then until the system is back.
 *
 *	struct unmapped_status s = { .argsz = sizeof(s) };
 *	ioctl(fd, UNMAPPED_IOC_STATUS, &s);
 *
 * What a mapping or an object may hold is charged to RLIMIT_MEMLOCK of the
 * user at mmap() or UNMAPPED_IOC_CREATE, not at the first touch, unless the
 * caller has CAP_IPC_LOCK.
 *
 * Errors of mmap(2):
 *	EINVAL		the mapping is MAP_PRIVATE
 *	EPERM		PROT_EXEC was asked for
 *	EOVERFLOW	offset + length passes the largest object,
 *			UNMAPPED_MAX_BYTES
 *	ENXIO		the mapping ends past the end of an object of fixed size
 *	EAGAIN		RLIMIT_MEMLOCK of the user would be exceeded
 *	ENOMEM		MAP_POPULATE or MAP_LOCKED found not enough memory, or the
 *			system is about to hibernate; none of what they had
 *			allocated is kept, but for pages that were in the object
 *			when its table could not grow, which count as touched
 *	EINTR		the task was killed meanwhile
 * A touch that finds no memory to give raises SIGBUS.
 *
 * Errors of UNMAPPED_IOC_CREATE, in the order in which they are looked for:
 *	ENOTTY		no such ioctl
 *	EFAULT		the argument can't be read
 *	EINVAL		argsz is less than the smallest known structure
 *	E2BIG		argsz is larger than this kernel knows and the bytes
 *			it does not know are not all zero; or larger than a page
 *	EOPNOTSUPP	a flag that this kernel does not know
 *	EBADMSG		a reserved field is not zero
 *	EINVAL		bytes is zero or no multiple of the page size
 *	EFBIG		bytes is over UNMAPPED_MAX_BYTES
 *	ENODEV		node is neither UNMAPPED_ANY_NODE nor a node with memory
 *	EPERM		UNMAPPED_CREATE_NO_ZERO without CAP_SYS_ADMIN
 *	EAGAIN		RLIMIT_MEMLOCK of the user would be exceeded
 *	ENOMEM, EMFILE, ENFILE	as for open(2)
 * Errors of UNMAPPED_IOC_STATUS:
 *	ENOTTY		no such ioctl
 *	EFAULT		the argument can't be read or written
 *	EINVAL		argsz is less than the smallest known structure
 *	E2BIG		argsz is larger than a page
 */
#ifndef _UAPI_LINUX_UNMAPPED_H
#define _UAPI_LINUX_UNMAPPED_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* The largest object: 16 TiB, in bytes. */
#define UNMAPPED_MAX_BYTES (1ULL << 44)

/*
 * No preference: what mbind(2) says of the mapping through which the page is first
 * touched, else set_mempolicy(2) of the task that touches it, else the node of
 * its CPU.
 */
#define UNMAPPED_ANY_NODE (-1)

/*
 * Take pages from @node only: a touch that finds none there raises SIGBUS.
 * Without it other nodes serve when @node has no memory.  Nodes that the cpuset of
 * the task forbids serve in neither case.
 */
#define UNMAPPED_CREATE_THISNODE (1U << 0)

/*
 * Map pages with 4 KiB entries only.  KVM before Linux 6.12 finds no memory
 * behind larger ones: an access of the guest fails with EFAULT.  So there, all
 * that a process touches after KVM_CREATE_VM is mapped like this without asking;
 * for what it touches before, it must.
 */
#define UNMAPPED_CREATE_NOHUGE (1U << 1)

/* Wipe the object, rather than refuse, when the system is to hibernate. */
#define UNMAPPED_CREATE_WIPE_ON_HIBERNATE (1U << 2)

/*
 * Do not zero the 2 MiB blocks of the object when it goes: for large guests, of
 * which that is most of the time that closing takes.  They are zeroed later, by
 * whoever gets them next or before the system does; until then the content stays
 * in memory, where the direct map does not reach it, and only kernel code that
 * does not ask for zeroed pages may get it as it is.
 *
 * What the object is given reads as zero or as what it wrote itself, as ever: to
 * zero it costs nothing then, as what was freed has been zeroed before.
 *
 * Needs CAP_SYS_ADMIN, as the work falls to others.
 */
#define UNMAPPED_CREATE_NO_ZERO (1U << 3)

/**
 * struct unmapped_create - argument of UNMAPPED_IOC_CREATE
 * @argsz:	size of this structure in bytes, set by the caller; a larger one,
 *		up to a page, is accepted if the bytes past the end are zero
 * @flags:	UNMAPPED_CREATE_*
 * @bytes:	size of the object in bytes: a multiple of the page size, at
 *		least one page, at most UNMAPPED_MAX_BYTES
 * @node:	NUMA node to take pages from, or UNMAPPED_ANY_NODE
 * @reserved:	must be zero
 */
struct unmapped_create {
	__u32 argsz;
	__u32 flags;
	__aligned_u64 bytes;
	__s32 node;
	__u32 reserved;
};

#define UNMAPPED_IOC_MAGIC 0xBC

/*
 * The size is no part of the number: argsz says it, so that the structure can
 * grow without a new number.  Returns the new file descriptor.
 */
#define UNMAPPED_IOC_CREATE _IO(UNMAPPED_IOC_MAGIC, 0)

/**
 * struct unmapped_status - argument of UNMAPPED_IOC_STATUS, on a descriptor of
 * any object
 * @argsz:	size of this structure in bytes, set by the caller; the kernel
 *		replaces it by the size that it knows, and zeroes the rest
 * @flags:	UNMAPPED_CREATE_* that the object was made with
 * @bytes:	size of the object in bytes; if it grows, the end of the farthest
 *		mapping
 * @held:	bytes of memory that it holds now
 * @wipes:	how often memory that it held was wiped
 */
struct unmapped_status {
	__u32 argsz;
	__u32 flags;
	__aligned_u64 bytes;
	__aligned_u64 held;
	__aligned_u64 wipes;
};

#define UNMAPPED_IOC_STATUS _IO(UNMAPPED_IOC_MAGIC, 1)

#endif /* _UAPI_LINUX_UNMAPPED_H */
