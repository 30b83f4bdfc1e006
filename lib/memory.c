// SPDX-License-Identifier: MIT
/* Comparing and clearing without leaks, in ways that compilers leave alone. */
#include <stdint.h>
#include <string.h>

#include "unmapped.h"

#define EXPORT __attribute__((visibility("default")))

EXPORT int unmapped_memcmp(const void *a, const void *b, size_t n)
{
	const volatile unsigned char *x = a, *y = b;
	unsigned int different = 0;

	while (n--)
		different |= (unsigned int)(*x++ ^ *y++);
	return (int)different;
}

EXPORT void unmapped_memzero(void *p, size_t n)
{
	explicit_bzero(p, n);
}
