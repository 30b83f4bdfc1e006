// SPDX-License-Identifier: MIT
/*
 * guest-memfd - GUEST_MEMFD_FLAG_UNMAPPED.
 *
 * A machine runs on a guest_memfd and writes a secret there, which comes masked in
 * registers; the attacker looks for it in the direct map.  The control is the same
 * without the flag.  Where a guest_memfd can be mapped all of the machine's memory
 * is one; where not, the part that is private.
 */
#define _GNU_SOURCE
#include "gmem.h"
#include "guest.h"
#include "machine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* What the headers of this system may not have. */
#define SLOT_IS_GMEM	  (1U << 2)
#define SET_REGION	  _IOW(KVMIO, 0x49, struct region)
#define SET_ATTRIBUTES	  _IOW(KVMIO, 0xd2, struct attributes)
#define ATTRIBUTE_PRIVATE (1ULL << 3)

struct region {
	uint32_t slot, flags;
	uint64_t gpa, size, addr, offset;
	uint32_t fd, pad1;
	uint64_t pad2[14];
};

struct attributes {
	uint64_t gpa, size, attributes, flags;
};

#define RAM	  (8 * MIB)
#define DATA	  (2 * MIB) /* what is private begins here */
#define SECRET_AT (RAM - PAGE)
#define PAGES	  ((RAM - DATA) / PAGE - 1)
#define FIRST	  0x1000001UL

/* A word to each of rcx pages from rdi on; r8 to r11 unmasked by r12 to rsi. */
static const uint8_t code[] = {
	0x48, 0x89, 0x07,			  /* 1: mov [rdi],rax */
	0x48, 0xff, 0xc0,			  /* inc rax */
	0x48, 0x81, 0xc7, 0x00, 0x10, 0x00, 0x00, /* add rdi,0x1000 */
	0x48, 0xff, 0xc9,			  /* dec rcx */
	0x75, 0xee,				  /* jnz 1b */
	0x4d, 0x31, 0xe0, 0x4c, 0x89, 0x06, 0x4d, 0x31, 0xc0, 0x4d,
	0x31, 0xe1, 0x4c, 0x89, 0x4e, 0x08, 0x4d, 0x31, 0xc9, 0x4d,
	0x31, 0xe2, 0x4c, 0x89, 0x56, 0x10, 0x4d, 0x31, 0xd2, 0x4d,
	0x31, 0xe3, 0x4c, 0x89, 0x5e, 0x18, 0x4d, 0x31, 0xdb, 0xf4,
};

static uint64_t known;
static bool mappable;

struct vm {
	struct machine m;
	int gmem;
};

static void create(struct machine *m)
{
	machine_create(m, gmem_machine_type(known));
}

/* A machine without a CPU. */
static int vm_create(void)
{
	struct machine m;

	create(&m);
	return m.fd;
}

static void *map(size_t bytes, int fd)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_SHARED | (fd < 0 ? MAP_ANONYMOUS : 0), fd, 0);

	if (p == MAP_FAILED)
		die("memory");
	return p;
}

static uint64_t how_to_map(void)
{
	return mappable ? FLAG_MMAP | FLAG_SHARED : 0;
}

static void vm_start(struct vm *vm, uint64_t flags)
{
	struct region region = { .flags = SLOT_IS_GMEM, .size = RAM };
	struct attributes private = { .gpa = DATA,
				      .size = RAM - DATA,
				      .attributes = ATTRIBUTE_PRIVATE };
	struct machine *m = &vm->m;

	create(m);
	vm->gmem = gmem_create(m->fd, RAM, flags | how_to_map());
	if (vm->gmem < 0)
		die("guest_memfd");
	m->ram = map(RAM, mappable ? vm->gmem : -1);
	region.addr = (uintptr_t)m->ram;
	region.fd = (uint32_t)vm->gmem;
	if (ioctl(m->fd, SET_REGION, &region) ||
	    (!mappable && ioctl(m->fd, SET_ATTRIBUTES, &private)))
		die("memory of the machine");
	machine_cpu(m);
}

static void vm_end(struct vm *vm)
{
	munmap(vm->m.ram, RAM);
	close(vm->gmem);
	machine_end(&vm->m);
}

static bool runs(struct vm *vm, const struct secret *secret)
{
	struct kvm_regs regs = {
		.rip = CODE,
		.rflags = 2,
		.rax = FIRST,
		.rdi = DATA,
		.rcx = PAGES,
		.rsi = SECRET_AT,
	};

	memcpy(vm->m.ram + CODE, code, sizeof(code));
	memcpy(&regs.r8, secret->masked, sizeof(secret->masked));
	memset(&regs.r12, SECRET_MASK, sizeof(regs.r12));
	machine_long_mode(&vm->m, RAM, &regs, 0);
	return machine_run(&vm->m) == KVM_EXIT_HLT;
}

static bool pages_are_right(const struct vm *vm)
{
	uint64_t value;
	size_t i;

	for (i = 0; i < PAGES; i++) {
		memcpy(&value, vm->m.ram + DATA + i * PAGE, sizeof(value));
		if (value != FIRST + i)
			return false;
	}
	return true;
}

static void machine(const char *what, uint64_t flags)
{
	long pages = (long)((mappable ? RAM : RAM - DATA) / PAGE);
	struct secret secret;
	struct vm vm;
	long found;

	secret_new(&secret);
	vm_start(&vm, flags);
	if (mappable)
		touch(vm.m.ram, RAM);
	ok(runs(&vm, &secret), "%s: the guest runs and writes its secret", what);
	if (mappable)
		ok(pages_are_right(&vm) && secret_at(vm.m.ram + SECRET_AT, &secret),
		   "%s: and it is there", what);
	if (flags)
		ok(um_stat("pages_allocated") == pages, "%s: %ld pages are unmapped ones",
		   what, um_stat("pages_allocated"));
	if (attack(&secret, 1, &found) <= 0)
		die("attack");
	ok((found > 0) == !flags, "%s: the secret is %sfound in the direct map (%ld)",
	   what, flags ? "not " : "", found);
	if (flags) {
		ok(!fallocate(vm.gmem, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, DATA,
			      MIB) &&
			   um_stat_becomes("pages_allocated", pages - (long)(MIB / PAGE),
					   5),
		   "%s: pages of a hole are free", what);
		ok(!fallocate(vm.gmem, FALLOC_FL_KEEP_SIZE, DATA, MIB) &&
			   um_stat("pages_allocated") == pages,
		   "%s: and allocated again", what);
		if (mappable)
			ok(is_zero(vm.m.ram + DATA, MIB), "%s: they are zero", what);
	}
	vm_end(&vm);
	/* CPUs' lists of pages on their way to an LRU list have references. */
	file_write("/proc/sys/vm/compact_memory", "1");
	ok(um_stat_becomes("pages_allocated", 0, 10), "%s: all is freed", what);
}

/* Who would read by the direct map what is mapped here must not get at it. */
static void out_of_reach(void)
{
	struct iovec local, remote;
	int vm = vm_create(), fd, ends[2];
	uint8_t *p, copy[64];
	uint32_t *word;

	fd = gmem_create(vm, MIB, FLAG_UNMAPPED | how_to_map());
	if (fd < 0 || pipe(ends))
		die("guest_memfd");
	p = map(MIB, fd);
	touch(p, MIB);
	local = (struct iovec){ copy, sizeof(copy) };
	remote = (struct iovec){ p, sizeof(copy) };
	ok_errno(process_vm_readv(getpid(), &local, 1, &remote, 1, 0), EFAULT,
		 "process_vm_readv()");
	ok_errno(vmsplice(ends[1], &remote, 1, 0), EFAULT, "vmsplice()");
	word = (uint32_t *)p;
	*word = 1;
	ok_errno(syscall(SYS_futex, word, FUTEX_WAIT, 0, NULL, NULL, 0), EFAULT,
		 "a shared futex");
	ok(write(ends[1], p, 64) == 64 && read(ends[0], p + PAGE, 64) == 64,
	   "write() and read() copy by the mapping");
	munmap(p, MIB);
	close(fd);
	close(vm);
	close(ends[0]);
	close(ends[1]);
}

/* What was not zeroed when it was freed reads as zero all the same. */
static void not_zeroed(void)
{
	static const uint64_t next[] = { FLAG_NO_ZERO, FLAG_UNMAPPED };
	int vm = vm_create(), fd, i;
	uint8_t *p;

	for (i = 0; i < 2; i++) {
		fd = gmem_create(vm, RAM, FLAG_NO_ZERO | how_to_map());
		p = map(RAM, fd);
		ok(is_zero(p, RAM), "not zeroed when freed: it is zero at first");
		memset(p, 0x5a, RAM);
		munmap(p, RAM);
		close(fd);
		file_write("/proc/sys/vm/compact_memory", "1");
		fd = gmem_create(vm, RAM, next[i] | how_to_map());
		p = map(RAM, fd);
		ok(is_zero(p, RAM), "and so is what comes after it");
		munmap(p, RAM);
		close(fd);
	}
	close(vm);
}

/* A machine belongs to the process that made it. */
static int as_nobody(void *unused)
{
	int vm = vm_create(), fd;

	if (unused || setuid(65534))
		return 100;
	fd = gmem_create(vm, PAGE, FLAG_UNMAPPED);
	if (fd < 0)
		return 101;
	return gmem_create(vm, PAGE, FLAG_NO_ZERO) < 0 ? errno : 0;
}

static void flags(void)
{
	int vm = vm_create(), fd, bit, wrong = 0;
	ok((gmem_flags(vm) & (FLAG_UNMAPPED | FLAG_NO_ZERO)) ==
		   (FLAG_UNMAPPED | FLAG_NO_ZERO),
	   "the capability has the flags (%#lx)", gmem_flags(vm));
	for (bit = 0; bit < 64; bit++) {
		fd = gmem_create(vm, PAGE, 1ULL << bit);
		if (bit < 31 && known & 1UL << bit)
			wrong += fd < 0;
		else
			wrong += fd >= 0 || errno != EINVAL;
		if (fd >= 0)
			close(fd);
	}
	ok(!wrong, "of 64 flags just those are known, and EINVAL for others");
	ok_errno(gmem_create(vm, PAGE + 1, FLAG_UNMAPPED), EINVAL, "half a page");
	ok_errno(gmem_create(vm, 0, FLAG_UNMAPPED), EINVAL, "no page");
	ok(in_child(as_nobody, NULL) == EPERM, "no zeroing without CAP_SYS_ADMIN: EPERM");
	close(vm);
}

int main(void)
{
	struct direct_map before, after;
	known = gmem_flags(machine_kvm());
	mappable = known & FLAG_MMAP;
	note("flags %#lx: %s", known, mappable ? "mapped" : "private");
	flags();
	machine("control", 0);
	if (um_shrink())
		die("shrink");
	direct_map_read(&before);
	machine("unmapped", FLAG_UNMAPPED);
	machine("unmapped, not zeroed", FLAG_NO_ZERO);
	if (mappable) {
		out_of_reach();
		not_zeroed();
	}
	ok(um_stat_becomes("pages_allocated", 0, 10), "all of it is freed");
	um_shrink();
	direct_map_read(&after);
	ok(direct_map_same(&before, &after), "the direct map is what it was");
	direct_map_note("before", &before);
	direct_map_note("after", &after);
	return finish();
}
