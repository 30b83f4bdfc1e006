// SPDX-License-Identifier: MIT
/* See mapping.h. */
#define _GNU_SOURCE
#include "mapping.h"
#include "guest.h"

#include <sys/mman.h>
#include <sys/resource.h>

uint8_t *room(size_t bytes, size_t skew)
{
	uint8_t *p = mmap(NULL, bytes + 2 * BLOCK, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		die("room for %zu bytes", bytes);
	return (uint8_t *)(((uintptr_t)p + BLOCK - 1) & ~(BLOCK - 1)) + skew;
}

int object(size_t bytes, uint32_t flags)
{
	int fd = um_create(bytes, flags, UNMAPPED_ANY_NODE);

	if (fd < 0)
		die("object of %zu bytes", bytes);
	return fd;
}

uint8_t *map(int fd, size_t bytes, size_t offset, void *at, int flags)
{
	uint8_t *p = mmap(at, bytes, RW, MAP_SHARED | (at ? MAP_FIXED : 0) | flags, fd,
			  (off_t)offset);

	if (p == MAP_FAILED)
		die("mmap of %zu bytes at offset %zu", bytes, offset);
	return p;
}

void fill(uint8_t *p, size_t from, size_t bytes)
{
	size_t i;

	for (i = from / PAGE; i < (from + bytes) / PAGE; i++, p += PAGE)
		*(volatile uint64_t *)(p + i % 512 * 8) = PATTERN(i);
}

long damage(const uint8_t *p, size_t from, size_t bytes)
{
	size_t i;
	long bad = 0;

	for (i = from / PAGE; i < (from + bytes) / PAGE; i++, p += PAGE)
		bad += *(const volatile uint64_t *)(p + i % 512 * 8) != PATTERN(i);
	return bad;
}

long faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_minflt;
}

bool allocated_is(long pages)
{
	return um_stat_becomes("pages_allocated", pages, 2);
}

void all_gone(const char *after)
{
	/* A process's memory may be given up a moment after it has ended. */
	ok(um_stat_becomes("pages_allocated", 0, 10), "%s: nothing stays allocated",
	   after);
}
