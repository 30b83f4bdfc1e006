/* SPDX-License-Identifier: MIT */
/*
 * An ELF core of a running kernel: /proc/kcore, or one that `unmapped record`
 * wrote.  It says where memory is and where the page tables begin, and reads
 * memory by address.
 *
 * The file is not to be trusted: whatever is in it, nothing is read out of
 * bounds, and time and memory are in proportion to its size.
 */
#ifndef CLI_KCORE_H
#define CLI_KCORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KCORE_PAGE 4096U
/* Where the kernel's image is mapped; the direct map lies below. */
#define KCORE_IMAGE 0xffffffff80000000ULL

/* Bytes of a file at addresses. */
struct kcore_segment {
	uint64_t vaddr, size, offset;
};

/* Physical memory, in bytes: from @start to before @end. */
struct kcore_ram {
	uint64_t start, end;
};

struct kcore {
	int fd;
	struct kcore_segment *segments; /* by address */
	size_t nr_segments;
	uint64_t nr_pages;     /* that can be read: no more than the file is long */
	struct kcore_ram *ram; /* by address; they do not touch */
	size_t nr_ram;

	uint64_t page_offset;  /* where the direct map begins; whole GiB */
	uint64_t top_table;    /* virtual address of init_top_pgt */
	uint64_t address_bits; /* of an entry, without the encryption bit */
	bool five_levels;
	char *vmcoreinfo; /* the note, lines of text */
	char release[65]; /* of the kernel, "" if it does not say */

	char error[160]; /* what is wrong with the file, when a call failed */
};

/**
 * kcore_open - read headers and notes
 * @fd:		is closed by kcore_close(), if this succeeds or not
 *
 * Return: 0, or -errno and k->error: -ENOEXEC for what is no such file, -ENOENT
 * for one that lacks something needed, -EIO, -ENOMEM.
 */
int kcore_open(struct kcore *k, int fd);
void kcore_close(struct kcore *k);

/* Read bytes at a virtual address.  Return: 0, -EFAULT if they are not in the
 * file, or -errno of pread(2). */
int kcore_read(const struct kcore *k, uint64_t vaddr, void *buf, size_t len);

/* The first range of RAM that ends behind an address, or behind the last one. */
const struct kcore_ram *kcore_ram_first(const struct kcore *k, uint64_t start);
/* Pages of RAM in a range of physical addresses, in 4 KiB. */
uint64_t kcore_ram_pages(const struct kcore *k, uint64_t start, uint64_t end);

#endif
