// SPDX-License-Identifier: MIT
/*
 * kvm-reach - what KVM itself reads and writes of its guests' memory.
 *
 * A clock: kvm-clock is turned on at a page of the guest, and KVM keeps the time
 * there, also when other memory has come to the same address meanwhile: unmapped,
 * ordinary, unmapped again.
 *
 * A guest of the guest: its state is in a page of the guest, from which KVM
 * starts it and to which it writes how that ended.  It writes a word and ends.
 *
 *	kvm-reach [refused]	refused: KVM is to map no state that it can't pin
 */
#define _GNU_SOURCE
#include "guest.h"
#include "machine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define RAM    (4 * MIB)
#define CLOCK  0x5000
#define STATE  0x6000 /* of the guest's guest */
#define SAVE   0x7000 /* of the guest itself meanwhile */
#define ANSWER 0x8000
#define INNER  0x9000 /* code of the guest's guest */
#define STACK  0xb000

#define MSR_SYSTEM_TIME 0x4b564d01
#define MSR_HSAVE	0xc0010117
#define EXIT_VMMCALL	0x81
#define EFER_SVME	(1 << 12)

/* vmrun; mov word [0x8008],0x1111; hlt */
static const uint8_t outer_code[] = {
	0x0f, 0x01, 0xd8, 0x66, 0xc7, 0x04, 0x25,
	0x08, 0x80, 0x00, 0x00, 0x11, 0x11, 0xf4,
};
/* mov word [0x8000],0x2222; vmmcall */
static const uint8_t inner_code[] = {
	0x66, 0xc7, 0x04, 0x25, 0x00, 0x80, 0x00, 0x00, 0x22, 0x22, 0x0f, 0x01, 0xd9,
};
static const uint8_t halt[] = { 0xf4 };

/* What KVM writes for kvm-clock. */
struct clock {
	uint32_t version, pad;
	uint64_t tsc, ns;
	uint32_t mul;
	int8_t shift;
	uint8_t flags, pad2[2];
};

static void vm_start(struct machine *vm, uint8_t *ram)
{
	machine_create(vm, 0);
	machine_memory(vm, ram, RAM);
	machine_cpu(vm);
}

/* Return: how many were set: 0 or 1. */
static int set_msr(struct machine *vm, uint32_t index, uint64_t value)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} msrs = { .head = { .nmsrs = 1 }, .entry = { .index = index, .data = value } };

	return ioctl(vm->cpu, KVM_SET_MSRS, &msrs);
}

static void put_segment(uint8_t *at, uint16_t selector, uint16_t attributes)
{
	put64(at, selector | (uint64_t)attributes << 16 | 0xffffffffULL << 32);
	put64(at + 8, 0);
}

static void inner_state(uint8_t *s, const struct kvm_sregs *sregs)
{
	unsigned int i;

	memset(s, 0, PAGE);
	put64(s + 0x0c, 3ULL << 32); /* VMRUN and VMMCALL end it */
	put64(s + 0x58, 1);	     /* ASID */
	for (i = 0; i < 6; i++)	     /* es cs ss ds fs gs */
		put_segment(s + 0x400 + i * 16, i == 1 ? 8 : 16, i == 1 ? 0xa9b : 0xc93);
	put64(s + 0x4d0, sregs->efer);
	put64(s + 0x548, sregs->cr4);
	put64(s + 0x550, sregs->cr3);
	put64(s + 0x558, sregs->cr0);
	put64(s + 0x560, 0x400);
	put64(s + 0x568, 0xffff0ff0);
	put64(s + 0x570, 2);
	put64(s + 0x578, INNER);
	put64(s + 0x5d8, STACK);
	put64(s + 0x668, 0x0007040600070406ULL); /* PAT */
}

/* Long mode, with memory where it is. */
static void prepare(struct machine *vm, const uint8_t *code, size_t bytes)
{
	struct kvm_regs regs = { .rip = CODE, .rflags = 2, .rax = STATE, .rsp = STACK };
	struct kvm_sregs sregs;

	memcpy(vm->ram + CODE, code, bytes);
	memcpy(vm->ram + INNER, inner_code, sizeof(inner_code));
	sregs = machine_long_mode(vm, RAM, &regs, EFER_SVME);
	inner_state(vm->ram + STATE, &sregs);
}

static bool clock_is_kept(const struct machine *vm)
{
	struct clock c;

	memcpy(&c, vm->ram + CLOCK, sizeof(c));
	return c.version && !(c.version & 1) && c.ns && c.mul;
}

static int map_over(uint8_t *ram, bool unmapped, uint32_t flags)
{
	int fd = unmapped ? um_create(RAM, flags, UNMAPPED_ANY_NODE)
			  : memfd_create("ram", MFD_CLOEXEC);

	if (fd < 0 || (!unmapped && ftruncate(fd, RAM)) ||
	    mmap(ram, RAM, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) !=
		    (void *)ram)
		die("memory");
	return fd;
}

static void clocks(const char *what, struct machine *vm, uint32_t flags)
{
	static const bool kinds[] = { false, true, true, false, true };
	struct kvm_clock_data now = { .clock = 1000000000 };
	unsigned int i;
	int fd = -1;

	prepare(vm, halt, sizeof(halt));
	ok(set_msr(vm, MSR_SYSTEM_TIME, CLOCK | 1) == 1 &&
		   machine_run(vm) == KVM_EXIT_HLT && clock_is_kept(vm),
	   "%s: the guest has a clock", what);
	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (fd >= 0)
			close(fd);
		fd = map_over(vm->ram, kinds[i], flags);
		prepare(vm, halt, sizeof(halt));
		/* The same cache of KVM's, which has to look where the page is. */
		ok(!ioctl(vm->fd, KVM_SET_CLOCK, &now) &&
			   machine_run(vm) == KVM_EXIT_HLT && clock_is_kept(vm),
		   "%s: and in %s memory in its place", what,
		   kinds[i] ? "new unmapped" : "ordinary");
	}
	close(fd);
}

static void inner(const char *what, struct machine *vm, bool refused)
{
	uint64_t ended;
	int how, round;

	prepare(vm, outer_code, sizeof(outer_code));
	if (set_msr(vm, MSR_HSAVE, SAVE) != 1)
		die("%s: no nested guests in this KVM", what);
	how = machine_run(vm);
	memcpy(&ended, vm->ram + STATE + 0x70, sizeof(ended));
	if (refused) {
		ok(how == KVM_EXIT_INTERNAL_ERROR && *(uint16_t *)(vm->ram + ANSWER) == 0,
		   "%s: a guest of its own is refused (%d)", what, how);
		return;
	}
	ok(how == KVM_EXIT_HLT && ended == EXIT_VMMCALL &&
		   *(uint16_t *)(vm->ram + ANSWER) == 0x2222 &&
		   *(uint16_t *)(vm->ram + ANSWER + 8) == 0x1111,
	   "%s: a guest of its own runs and ends (%d, %#lx)", what, how,
	   (unsigned long)ended);
	for (round = 0; round < 20; round++) {
		prepare(vm, outer_code, sizeof(outer_code));
		if (machine_run(vm) != KVM_EXIT_HLT)
			break;
	}
	ok(round == 20, "%s: and again, %d times", what, round);
}

static void machine(const char *what, bool unmapped, uint32_t flags, bool refused)
{
	uint8_t *area =
		mmap(NULL, RAM + BLOCK, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *ram = (uint8_t *)(((uintptr_t)area + BLOCK - 1) & ~(BLOCK - 1));
	struct machine vm;
	int fd;

	fd = map_over(ram, unmapped, flags);
	vm_start(&vm, ram);
	inner(what, &vm, refused);
	machine_end(&vm);
	memset(ram, 0, RAM);
	vm_start(&vm, ram);
	clocks(what, &vm, flags);
	machine_end(&vm);
	munmap(area, RAM + BLOCK);
	close(fd);
}

int main(int argc, char **argv)
{
	bool refused = argc > 1 && !strcmp(argv[1], "refused");

	machine("ordinary", false, UNMAPPED_CREATE_NOHUGE, false);
	machine("4 KiB", true, UNMAPPED_CREATE_NOHUGE, refused);
	machine("2 MiB", true, 0, refused);
	ok(um_stat_becomes("pages_allocated", 0, 10), "all of it is freed");
	ok(!um_shrink() && um_splits() == 0, "and nothing was split");
	ok(!log_has("still referenced") && !log_has("freed with"),
	   "no page was freed while it was used");
	return finish();
}
