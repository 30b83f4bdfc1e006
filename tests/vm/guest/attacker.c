// SPDX-License-Identifier: MIT
/*
 * attacker - root looks for secrets in all of the kernel's direct map.
 *
 *	attacker PATTERN...
 *
 * The door is /proc/kcore: an ELF core file whose segments with a physical
 * address are the direct map of all RAM (the other segments, vmalloc, vmemmap
 * and the kernel's image, are only counted).  The kernel fills in zeros for
 * what it cannot read.
 *
 * A PATTERN is 64 hex digits: 32 bytes, each exclusive-ored with SECRET_MASK.
 * It is never unmasked here, since the attacker's own memory is in the direct
 * map too.  It is looked for at multiples of SECRET_ALIGN.
 *
 * Output, a number each: "segments", "read_bytes" (direct map), "zero_pages",
 * "error_pages" (could not be read at all), and for each pattern
 * "found NUMBER TIMES".  Exit code 0 if all of the direct map was looked at.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <elf.h>
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CHUNK	     (512 * 1024UL)
#define MAX_PATTERNS 64
#define MASK64	     (SECRET_MASK * 0x0101010101010101ULL)

static struct secret secrets[MAX_PATTERNS];
static uint64_t first_word[MAX_PATTERNS]; /* masked */
static long found[MAX_PATTERNS];
static long zero_pages, error_pages;
static int nr_secrets;

static void parse(const char *hex)
{
	struct secret *s = &secrets[nr_secrets];
	unsigned int byte;
	int i;

	if (nr_secrets == MAX_PATTERNS)
		errx(2, "more than %d patterns", MAX_PATTERNS);
	if (strlen(hex) != 2 * SECRET_BYTES)
		errx(2, "not a pattern of %d hex digits: %s", 2 * SECRET_BYTES, hex);
	for (i = 0; i < SECRET_BYTES; i++) {
		if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
			errx(2, "not hexadecimal: %s", hex);
		s->masked[i] = byte;
	}
	memcpy(&first_word[nr_secrets++], s->masked, sizeof(uint64_t));
}

static void look(const uint8_t *page)
{
	uint64_t seen = 0, word;
	unsigned long at;
	int k;

	for (at = 0; at < PAGE; at += SECRET_ALIGN) {
		word = *(const uint64_t *)(page + at);
		seen |= word;
		word ^= MASK64;
		for (k = 0; k < nr_secrets; k++)
			if (word == first_word[k] && secret_at(page + at, &secrets[k]))
				found[k]++;
	}
	if (!seen && is_zero(page, PAGE))
		zero_pages++;
}

static void look_at(int fd, uint8_t *buf, off_t offset, size_t len)
{
	size_t i;

	if (pread(fd, buf, len, offset) == (ssize_t)len) {
		for (i = 0; i < len; i += PAGE)
			look(buf + i);
		return;
	}
	for (i = 0; i < len; i += PAGE) {
		if (pread(fd, buf, PAGE, offset + i) == (ssize_t)PAGE)
			look(buf);
		else
			error_pages++;
	}
}

int main(int argc, char **argv)
{
	unsigned long total = 0, at, len;
	int fd, i, segments = 0;
	Elf64_Ehdr head;
	Elf64_Phdr *seg;
	uint8_t *buf;

	for (i = 1; i < argc; i++)
		parse(argv[i]);
	fd = open("/proc/kcore", O_RDONLY);
	if (fd < 0)
		err(1, "/proc/kcore");
	if (pread(fd, &head, sizeof(head), 0) != sizeof(head) ||
	    memcmp(head.e_ident, ELFMAG, SELFMAG))
		errx(1, "/proc/kcore is no ELF file");
	len = head.e_phnum * sizeof(*seg);
	seg = malloc(len);
	if (!seg || pread(fd, seg, len, head.e_phoff) != (ssize_t)len)
		err(1, "program headers of /proc/kcore");
	buf = mmap(NULL, CHUNK, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (buf == MAP_FAILED)
		err(1, "buffer");

	for (i = 0; i < head.e_phnum; i++) {
		/* The kernel's image is RAM too, seen at another address. */
		if (seg[i].p_type != PT_LOAD || seg[i].p_paddr == (Elf64_Addr)-1 ||
		    seg[i].p_vaddr >= 0xffffffff80000000UL)
			continue;
		segments++;
		for (at = 0; at < seg[i].p_filesz; at += len) {
			len = seg[i].p_filesz - at;
			if (len > CHUNK)
				len = CHUNK;
			look_at(fd, buf, seg[i].p_offset + at, len);
		}
		total += seg[i].p_filesz;
	}
	printf("segments %d of %d\nread_bytes %lu\nzero_pages %ld\n"
	       "error_pages %ld\n",
	       segments, head.e_phnum, total, zero_pages, error_pages);
	for (i = 0; i < nr_secrets; i++)
		printf("found %d %ld\n", i, found[i]);
	return total && !error_pages ? 0 : 1;
}
