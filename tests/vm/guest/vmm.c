// SPDX-License-Identifier: MIT
/*
 * vmm - a minimal virtual machine monitor whose guest's memory is unmapped.
 *
 * For each way to back memory a machine runs code in real mode (a port is
 * written) and in long mode with 2 MiB page tables of its own (each page of its
 * memory is written, then MMIO), and writes a secret that only it knows in
 * clear: it comes masked in registers.  The attacker then looks for the secret
 * in the host's direct map.
 *
 * vmm once: one such machine on unmapped memory, without the attacker and without
 * a word.  Exit status 0; 2 when there was no memory; 1 when anything was wrong.
 */
#define _GNU_SOURCE
#include "guest.h"
#include "machine.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#define RAM	  (32 * MIB)
#define PD_MMIO	  0x5000
#define ANSWER	  0x8000 /* where the guest puts what it was told */
#define DATA	  (2 * MIB)
#define PAGES	  ((RAM - DATA) / PAGE - 1)
#define SECRET_AT (RAM - PAGE)
#define MMIO	  0x40000000UL
#define PORT	  0x10
#define TOLD	  0x5ec2e7UL
#define FIRST	  0x1000001UL

/* mov ax,0x1234; mov [0x8000],ax; out 0x10,al; hlt */
static const uint8_t real_mode[] = {
	0xb8, 0x34, 0x12, 0xa3, 0x00, 0x80, 0xe6, PORT, 0xf4,
};

/*
 * rax is written to the rcx pages from rdi on, one more to each; written to and
 * then read from MMIO, and the answer stored; r8 to r11 are unmasked with r12,
 * one at a time, and stored at rsi.
 */
static const uint8_t long_mode[] = {
	0x48, 0x89, 0x07,				/* 1: mov [rdi],rax */
	0x48, 0xff, 0xc0,				/* inc rax */
	0x48, 0x81, 0xc7, 0x00, 0x10, 0x00, 0x00,	/* add rdi,0x1000 */
	0x48, 0xff, 0xc9,				/* dec rcx */
	0x75, 0xee,					/* jnz 1b */
	0x48, 0x89, 0x03,				/* mov [rbx],rax */
	0x48, 0x8b, 0x13,				/* mov rdx,[rbx] */
	0x48, 0x89, 0x14, 0x25, 0x00, 0x80, 0x00, 0x00, /* mov [0x8000],rdx */
	0x4d, 0x31, 0xe0, 0x4c, 0x89, 0x06, 0x4d, 0x31, 0xc0, 0x4d,
	0x31, 0xe1, 0x4c, 0x89, 0x4e, 0x08, 0x4d, 0x31, 0xc9, 0x4d,
	0x31, 0xe2, 0x4c, 0x89, 0x56, 0x10, 0x4d, 0x31, 0xd2, 0x4d,
	0x31, 0xe3, 0x4c, 0x89, 0x5e, 0x18, 0x4d, 0x31, 0xdb, 0xf4, /* hlt */
};

static void vm_start(struct machine *vm, uint8_t *ram)
{
	machine_create(vm, 0);
	machine_memory(vm, ram, RAM);
	machine_cpu(vm);
}

static bool run_real_mode(struct machine *vm)
{
	struct kvm_regs regs = { .rip = CODE, .rflags = 2 };
	struct kvm_sregs sregs = machine_sregs(vm);

	memcpy(vm->ram + CODE, real_mode, sizeof(real_mode));
	sregs.cs.base = sregs.cs.selector = 0;
	machine_set(vm, &sregs, &regs);
	return machine_run(vm) == KVM_EXIT_IO && vm->run->io.port == PORT &&
	       *((uint8_t *)vm->run + vm->run->io.data_offset) == 0x34 &&
	       machine_run(vm) == KVM_EXIT_HLT &&
	       *(uint16_t *)(vm->ram + ANSWER) == 0x1234;
}

static void enter_long_mode(struct machine *vm, const struct secret *secret)
{
	struct kvm_regs regs = {
		.rip = CODE,
		.rflags = 2,
		.rax = FIRST,
		.rdi = DATA,
		.rcx = PAGES,
		.rbx = MMIO,
		.rsi = SECRET_AT,
	};

	memcpy(vm->ram + CODE, long_mode, sizeof(long_mode));
	memcpy(&regs.r8, secret->masked, sizeof(secret->masked));
	memset(&regs.r12, SECRET_MASK, sizeof(regs.r12));
	machine_long_mode(vm, RAM, &regs, 0);
	put64(vm->ram + PDPT + 8, PD_MMIO | 3);
	put64(vm->ram + PD_MMIO, MMIO | 0x83);
}

/* Return: how it ended: 0, or -errno of a run that failed, or 1 for the rest. */
static int run_long_mode(struct machine *vm)
{
	uint64_t value;
	size_t i;
	int why;

	why = machine_run(vm);
	if (why != KVM_EXIT_MMIO)
		return why < 0 ? why : 1;
	memcpy(&value, vm->run->mmio.data, sizeof(value));
	if (!vm->run->mmio.is_write || vm->run->mmio.phys_addr != MMIO ||
	    value != FIRST + PAGES)
		return 1;
	if (machine_run(vm) != KVM_EXIT_MMIO || vm->run->mmio.is_write)
		return 1;
	value = TOLD;
	memcpy(vm->run->mmio.data, &value, sizeof(value));
	if (machine_run(vm) != KVM_EXIT_HLT || *(uint64_t *)(vm->ram + ANSWER) != TOLD)
		return 1;
	for (i = 0; i < PAGES; i++)
		if (*(uint64_t *)(vm->ram + DATA + i * PAGE) != FIRST + i)
			return 1;
	return 0;
}

/* KVM before 6.12 finds no memory behind entries of 2 MiB. */
static bool kvm_knows_huge(void)
{
	unsigned int major, minor;
	struct utsname name;

	if (uname(&name) || sscanf(name.release, "%u.%u", &major, &minor) != 2)
		die("uname");
	return major > 6 || (major == 6 && minor >= 12);
}

static uint8_t *map_at_2m(int fd)
{
	uint8_t *area =
		mmap(NULL, RAM + BLOCK, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uintptr_t at = ((uintptr_t)area + BLOCK - 1) & ~(BLOCK - 1);
	uint8_t *p = mmap((void *)at, RAM, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			  fd, 0);

	return area == MAP_FAILED || p == MAP_FAILED ? NULL : p;
}

static long stat_of_kvm(const char *name)
{
	char path[80];

	snprintf(path, sizeof(path), "/sys/kernel/debug/kvm/%s", name);
	return file_number(path);
}

/* A machine on the memory of @fd.  Is its secret to be found? */
static void machine(const char *what, int fd, bool huge, bool secret_found)
{
	uint8_t *ram = fd < 0 ? NULL : map_at_2m(fd);
	struct secret secret;
	struct machine vm;
	long found;
	int ret;

	if (!ram)
		die("%s: memory", what);
	secret_new(&secret);
	vm_start(&vm, ram);
	ok(run_real_mode(&vm), "%s: real mode, a port", what);
	enter_long_mode(&vm, &secret);
	ret = run_long_mode(&vm);
	ok(ret == 0, "%s: long mode, %lu pages written, MMIO both ways (%d)", what, PAGES,
	   ret);
	ok(secret_at(ram + SECRET_AT, &secret), "%s: the guest wrote its secret", what);
	note("%s: KVM maps %ld pages of 4k, %ld of 2M", what, stat_of_kvm("pages_4k"),
	     stat_of_kvm("pages_2m"));
	if (huge)
		ok(stat_of_kvm("pages_2m") > 0, "%s: KVM maps it by 2 MiB", what);
	if (attack(&secret, 1, &found) <= 0)
		die("attack");
	ok((found > 0) == secret_found,
	   "%s: the secret is %sfound in the direct map (%ld)", what,
	   secret_found ? "" : "not ", found);
	machine_end(&vm);
	munmap(ram, RAM);
	close(fd);
}

/* Entries of 2 MiB where KVM can't use them: an error, not a wrong guest. */
static void machine_refused(void)
{
	int fd = um_create(RAM, 0, UNMAPPED_ANY_NODE);
	uint8_t *ram = fd < 0 ? NULL : map_at_2m(fd);
	struct secret secret;
	struct machine vm;

	if (!ram)
		die("memory");
	secret_new(&secret);
	touch(ram, RAM);
	vm_start(&vm, ram);
	enter_long_mode(&vm, &secret);
	ok(run_long_mode(&vm) == -EFAULT, "2 MiB entries: this KVM says EFAULT");
	machine_end(&vm);
	munmap(ram, RAM);
	close(fd);
}

static int once(void)
{
	int fd = um_create(RAM, UNMAPPED_CREATE_NOHUGE, UNMAPPED_ANY_NODE);
	uint8_t *ram = fd < 0 ? NULL : map_at_2m(fd);
	struct secret secret;
	struct machine vm;
	int ret;

	/* KVM says EFAULT where a process would get SIGBUS. */
	if (!ram || raises(ram + CODE, true, SIGBUS) ||
	    raises(ram + PML4, true, SIGBUS) || raises(ram + PDPT, true, SIGBUS) ||
	    raises(ram + PD, true, SIGBUS) || raises(ram + PD_MMIO, true, SIGBUS))
		return 2;
	secret_new(&secret);
	vm_start(&vm, ram);
	enter_long_mode(&vm, &secret);
	ret = run_long_mode(&vm);
	if (ret)
		return ret == -EFAULT ? 2 : 1;
	return secret_at(ram + SECRET_AT, &secret) ? 0 : 1;
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "once"))
		return once();
	/* Before any machine: see UNMAPPED_CREATE_NOHUGE. */
	if (!kvm_knows_huge())
		machine_refused();
	{
		int fd = memfd_create("ram", MFD_CLOEXEC);

		if (fd < 0 || ftruncate(fd, RAM))
			die("memfd");
		machine("control, memfd", fd, false, true);
	}
	machine("4 KiB", um_create(RAM, UNMAPPED_CREATE_NOHUGE, UNMAPPED_ANY_NODE), false,
		false);
	if (kvm_knows_huge())
		machine("2 MiB", um_create(RAM, 0, UNMAPPED_ANY_NODE), true, false);
	else
		machine("2 MiB, in an older KVM", um_create(RAM, 0, UNMAPPED_ANY_NODE),
			false, false);
	ok(um_stat_becomes("pages_allocated", 0, 10), "all of it is freed");
	ok(!um_shrink() && um_splits() == 0, "and nothing was split");
	return finish();
}
