// SPDX-License-Identifier: MIT
/*
 * What an object of libunmapped on /dev/unmapped costs, in rows for bench/kernel:
 * allocated, touched and freed with wiping, beside libsodium, a memfd_secret(2) for
 * each, and malloc(3).  With -icount shift=0 a nanosecond is an instruction, of the
 * kernel's, too.
 */
#define _GNU_SOURCE
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "unmapped.h"

#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447
#endif

#define ROUNDS 5
#define PAIRS  200

static void *secretmem_alloc(size_t size)
{
	int fd = (int)syscall(SYS_memfd_secret, 0);
	void *p = MAP_FAILED;

	size = (size + 4095) & ~4095UL;
	if (fd >= 0 && !ftruncate(fd, (off_t)size))
		p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return p == MAP_FAILED ? NULL : p;
}

static void secretmem_free(void *p, size_t size)
{
	munmap(p, (size + 4095) & ~4095UL);
}

static void ours_free(void *p, size_t size)
{
	(void)size;
	unmapped_free(p);
}

static void libsodium_free(void *p, size_t size)
{
	(void)size;
	sodium_free(p);
}

static void malloc_free(void *p, size_t size)
{
	explicit_bzero(p, size);
	free(p);
}

static const struct library {
	const char *name;
	void *(*alloc)(size_t size);
	void (*free)(void *p, size_t size);
} libraries[] = {
	{ "unmapped", unmapped_malloc, ours_free },
	{ "libsodium", sodium_malloc, libsodium_free },
	{ "memfd_secret", secretmem_alloc, secretmem_free },
	{ "malloc", malloc, malloc_free },
};

static unsigned long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (unsigned long)t.tv_sec * 1000000000UL + (unsigned long)t.tv_nsec;
}

/* All of its pages are touched, as by who stores something there. */
static unsigned long pair(const struct library *l, size_t size)
{
	unsigned long start, best = ~0UL;
	int round, i;
	size_t at;
	char *p;

	for (round = 0; round < ROUNDS; round++) {
		start = now();
		for (i = 0; i < PAIRS; i++) {
			p = l->alloc(size);
			if (!p) {
				printf("%s: no %zu bytes\n", l->name, size);
				exit(1);
			}
			for (at = 0; at < size; at += 4096)
				((volatile char *)p)[at] = 1;
			l->free(p, size);
		}
		start = (now() - start) / PAIRS;
		best = start < best ? start : best;
	}
	return best;
}

int main(void)
{
	static const size_t sizes[] = { 32, 4096, 65536 };
	unsigned long ours, start;
	size_t i, k;

	if (sodium_init() < 0)
		return 1;
	start = now();
	if (unmapped_select("device") || !unmapped_malloc(32)) {
		printf("lib_bench: %s\n", unmapped_strerror());
		return 1;
	}
	ours = now() - start;
	start = now();
	if (!sodium_malloc(32))
		return 1;
	printf("row lib-first-32 0 1 %lu %lu libsodium\n", ours, now() - start);
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		ours = pair(&libraries[0], sizes[i]);
		for (k = 1; k < sizeof(libraries) / sizeof(libraries[0]); k++)
			printf("row lib-%zu-%s 0 1 %lu %lu %s\n", sizes[i],
			       libraries[k].name, ours, pair(&libraries[k], sizes[i]),
			       libraries[k].name);
	}
	return 0;
}
