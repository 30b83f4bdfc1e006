// SPDX-License-Identifier: MIT
/* See machine.h. */
#define _GNU_SOURCE
#include "machine.h"
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* Three pages for tasks' states that KVM wants on some CPUs. */
#define TSS 0xfffbd000

int machine_kvm(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		die("/dev/kvm");
	if (ioctl(fd, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		die("KVM's version");
	return fd;
}

void machine_keep(void)
{
	if (ioctl(machine_kvm(), KVM_CREATE_VM, 0) < 0)
		die("virtual machine");
}

void machine_create(struct machine *m, unsigned long type)
{
	m->fd = ioctl(machine_kvm(), KVM_CREATE_VM, type);
	if (m->fd < 0 || ioctl(m->fd, KVM_SET_TSS_ADDR, TSS))
		die("virtual machine");
}

void machine_memory(struct machine *m, uint8_t *ram, size_t bytes)
{
	struct kvm_userspace_memory_region region = {
		.memory_size = bytes,
		.userspace_addr = (uintptr_t)ram,
	};

	m->ram = ram;
	if (ioctl(m->fd, KVM_SET_USER_MEMORY_REGION, &region))
		die("memory of the machine");
}

void machine_cpu(struct machine *m)
{
	struct kvm_cpuid2 *cpuid =
		calloc(1, sizeof(*cpuid) + 256 * sizeof(cpuid->entries[0]));

	m->cpu = ioctl(m->fd, KVM_CREATE_VCPU, 0);
	m->run_bytes = (size_t)ioctl(machine_kvm(), KVM_GET_VCPU_MMAP_SIZE, 0);
	m->run = mmap(NULL, m->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, m->cpu, 0);
	if (m->cpu < 0 || m->run == MAP_FAILED)
		die("virtual CPU");
	/* All that the host's has: long mode, for one. */
	if (!cpuid)
		die("cpuid");
	cpuid->nent = 256;
	if (ioctl(machine_kvm(), KVM_GET_SUPPORTED_CPUID, cpuid) ||
	    ioctl(m->cpu, KVM_SET_CPUID2, cpuid))
		die("cpuid");
	free(cpuid);
}

void machine_end(struct machine *m)
{
	munmap(m->run, m->run_bytes);
	close(m->cpu);
	close(m->fd);
}

void machine_set(struct machine *m, const struct kvm_sregs *sregs,
		 const struct kvm_regs *regs)
{
	if (ioctl(m->cpu, KVM_SET_SREGS, sregs) || ioctl(m->cpu, KVM_SET_REGS, regs))
		die("registers");
}

struct kvm_sregs machine_sregs(struct machine *m)
{
	struct kvm_sregs sregs;

	if (ioctl(m->cpu, KVM_GET_SREGS, &sregs))
		die("registers");
	return sregs;
}

struct kvm_sregs machine_long_mode(struct machine *m, size_t bytes,
				   const struct kvm_regs *regs, uint64_t efer)
{
	const struct kvm_segment code = { .limit = ~0U,
					  .selector = 8,
					  .type = 11,
					  .present = 1,
					  .s = 1,
					  .l = 1,
					  .g = 1 };
	const struct kvm_segment data = { .limit = ~0U,
					  .selector = 16,
					  .type = 3,
					  .present = 1,
					  .s = 1,
					  .db = 1,
					  .g = 1 };
	struct kvm_sregs sregs = machine_sregs(m);
	size_t i;

	put64(m->ram + PML4, PDPT | 3);
	put64(m->ram + PDPT, PD | 3);
	for (i = 0; i < bytes / BLOCK; i++)
		put64(m->ram + PD + i * 8, i * BLOCK | 0x83);
	sregs.cs = code;
	sregs.ds = sregs.es = sregs.ss = sregs.fs = sregs.gs = data;
	sregs.cr3 = PML4;
	sregs.cr4 |= 1 << 5;
	sregs.cr0 |= 1U << 31 | 1;
	sregs.efer |= 1 << 8 | 1 << 10 | efer;
	machine_set(m, &sregs, regs);
	return sregs;
}

int machine_run(struct machine *m)
{
	return ioctl(m->cpu, KVM_RUN, 0) ? -errno : (int)m->run->exit_reason;
}

void put64(uint8_t *at, uint64_t value)
{
	memcpy(at, &value, sizeof(value));
}
