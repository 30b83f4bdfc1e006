// SPDX-License-Identifier: MIT
/*
 * libsodium's functions for secret memory, on guarded objects: to be preloaded, or
 * linked before libsodium.
 *
 * What a program can see is as there: memory begins filled with 0xdb, is followed by
 * an inaccessible page at once and preceded by a canary; to write over either ends
 * the program; it is zeroed when it is freed, whatever its protection.  The errno of
 * a failure is the same, too.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "unmapped.h"

#define EXPORT __attribute__((visibility("default")))
#define FILLED 0xdb

EXPORT void *sodium_malloc(size_t size)
{
	void *p = unmapped_guarded_malloc(size);

	return p ? memset(p, FILLED, size) : NULL;
}

EXPORT void *sodium_allocarray(size_t count, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return sodium_malloc(bytes);
}

EXPORT void sodium_free(void *p)
{
	unmapped_free(p);
}

EXPORT int sodium_mprotect_noaccess(void *p)
{
	return unmapped_protect(p, UNMAPPED_NOACCESS);
}

EXPORT int sodium_mprotect_readonly(void *p)
{
	return unmapped_protect(p, UNMAPPED_READONLY);
}

EXPORT int sodium_mprotect_readwrite(void *p)
{
	return unmapped_protect(p, UNMAPPED_READWRITE);
}
