// SPDX-License-Identifier: MIT
/*
 * What Valgrind's memcheck is told, so that it finds in our objects what it finds in
 * those of malloc(3): a use after free, an access past the end, a leak.
 *
 * It is told what the program may touch: the bytes it asked for, and nothing else of
 * a page.  The library itself wipes freed memory and compares canaries, so errors of
 * a thread are not reported from thread_enter() to thread_leave().  All threads use
 * slot 0 under memcheck: that is never the fast path, which knows nothing of this.
 */
#include "lib.h"

#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#else
#define VALGRIND_DISABLE_ERROR_REPORTING
#define VALGRIND_ENABLE_ERROR_REPORTING
#define VALGRIND_MAKE_MEM_NOACCESS(p, n)		 ((void)(p), (void)(n))
#define VALGRIND_MAKE_MEM_DEFINED(p, n)			 ((void)(p), (void)(n))
#define VALGRIND_GET_VBITS(p, bits, n)			 ((void)(p), (void)(bits), 0)
#define VALGRIND_MALLOCLIKE_BLOCK(p, n, redzone, zeroed) ((void)(p), (void)(n))
#define VALGRIND_FREELIKE_BLOCK(p, redzone)		 ((void)(p))
#endif

/* Other tools of Valgrind know nothing of bits, and count what really runs. */
bool watch_wanted(void)
{
	char of, bits;

	return VALGRIND_GET_VBITS(&of, &bits, 1) != 0;
}

void watch_pause(void)
{
	VALGRIND_DISABLE_ERROR_REPORTING;
}

void watch_resume(void)
{
	VALGRIND_ENABLE_ERROR_REPORTING;
}

/* Pages that hold no object. */
void watch_pages(const void *p, size_t bytes)
{
	VALGRIND_MAKE_MEM_NOACCESS(p, bytes);
}

void watch_alloc(void *p, size_t size)
{
	VALGRIND_MALLOCLIKE_BLOCK(p, size, 0, 1);
}

/* What is not an object, or not any more, is reported. */
void watch_free(void *p, size_t usable)
{
	VALGRIND_ENABLE_ERROR_REPORTING;
	VALGRIND_FREELIKE_BLOCK(p, 0);
	VALGRIND_DISABLE_ERROR_REPORTING;
	VALGRIND_MAKE_MEM_NOACCESS(p, usable);
}

/* Who asks how much may be used may use it: from the first byte that he might not. */
void watch_usable(const void *p, size_t usable)
{
	const char *at = (const char *)p + usable;
	char bits;

	while (at > (const char *)p && VALGRIND_GET_VBITS(at - 1, &bits, 1) == 3)
		at--;
	VALGRIND_MAKE_MEM_DEFINED(at, (size_t)((const char *)p + usable - at));
}
