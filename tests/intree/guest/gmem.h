/* SPDX-License-Identifier: MIT */
/* guest_memfd, which the headers of this system may not have. */
#ifndef GMEM_H
#define GMEM_H

#include <stdint.h>

#include <linux/kvm.h>
#include <sys/ioctl.h>

#define CAP_FLAGS     244
#define FLAG_MMAP     (1ULL << 0)
#define FLAG_SHARED   (1ULL << 1)
#define FLAG_UNMAPPED (1ULL << 28)
#define FLAG_NO_ZERO  (1ULL << 29)
#define PROTECTED_VM  1

struct gmem_create {
	uint64_t size, flags, reserved[6];
};

#define CREATE_GMEM _IOWR(KVMIO, 0xd4, struct gmem_create)

/* A descriptor; -1 and errno. */
static inline int gmem_create(int vm, uint64_t size, uint64_t flags)
{
	struct gmem_create c = { .size = size, .flags = flags };

	return ioctl(vm, CREATE_GMEM, &c);
}

/* Flags that @kvm knows, 0 without guest_memfd. */
static inline uint64_t gmem_flags(int kvm)
{
	long known = ioctl(kvm, KVM_CHECK_EXTENSION, CAP_FLAGS);

	return known > 0 ? (uint64_t)known : 0;
}

/* For KVM_CREATE_VM, of a machine that has some. */
static inline unsigned long gmem_machine_type(uint64_t known)
{
	return known & FLAG_MMAP ? 0 : PROTECTED_VM;
}

#endif
