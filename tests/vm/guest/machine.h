/* SPDX-License-Identifier: MIT */
/* A virtual machine of KVM's with one CPU, for tests to fill; each call dies on errors. */
#ifndef MACHINE_H
#define MACHINE_H

#include <stddef.h>
#include <stdint.h>

#include <linux/kvm.h>

/* Where in its memory the code is, and what machine_long_mode() writes. */
#define CODE 0x1000
#define PML4 0x2000
#define PDPT 0x3000
#define PD   0x4000

struct machine {
	int fd, cpu;
	struct kvm_run *run;
	size_t run_bytes;
	uint8_t *ram;
};

/* /dev/kvm, opened once. */
int machine_kvm(void);

/*
 * A machine that does nothing, for as long as this process and its children live.
 * With its first machine, and with the last, KVM has the scheduler's code changed
 * (preempt_notifier_key).  That kills a kernel in QEMU 7.2's TCG sooner or later, if
 * another CPU is busy there, unless one thread of QEMU's runs both.
 */
void machine_keep(void);

/* In this order. @type: of KVM_CREATE_VM. */
void machine_create(struct machine *m, unsigned long type);
void machine_memory(struct machine *m, uint8_t *ram, size_t bytes);
void machine_cpu(struct machine *m);
/* The memory remains. */
void machine_end(struct machine *m);

void machine_set(struct machine *m, const struct kvm_sregs *sregs,
		 const struct kvm_regs *regs);
struct kvm_sregs machine_sregs(struct machine *m);
/*
 * Long mode at @regs, with @bytes of memory, at most 1 GiB, where they are, in
 * entries of 2 MiB. @efer: more bits of that. Returns what it has set.
 */
struct kvm_sregs machine_long_mode(struct machine *m, size_t bytes,
				   const struct kvm_regs *regs, uint64_t efer);
/* The exit reason, or -errno. */
int machine_run(struct machine *m);

/* A word of the machine's, wherever it is. */
void put64(uint8_t *at, uint64_t value);

#endif
