/* SPDX-License-Identifier: MIT */
/*
 * libunmapped - secrets in memory that others can't reach.
 *
 * Memory comes from the best backend that there is here (unmapped_backend()):
 *
 *	device		/dev/unmapped: out of the kernel's direct map, by blocks
 *	secretmem	memfd_secret(2): out of the direct map, page by page
 *	locked		anonymous memory, locked: in the direct map, never swapped
 *
 * None of it is swapped or in a core dump.  The first two are also out of reach
 * of ptrace(2), /proc/PID/mem and process_vm_readv(2).  unmapped(3) has the table
 * of what each protects against.
 *
 * All of it is zeroed when it is freed.  All functions may be called by any thread
 * at any time, but not from a signal handler.  A child of fork(2) has none of its
 * parent's secrets: touching them there is a SIGSEGV, to free one does nothing,
 * and what it allocates is its own.
 *
 * What fails returns NULL or -1 with errno set, and unmapped_strerror() says more:
 * which limit it was and how to raise it.  There never is weaker memory in place of
 * what can't be had.  Misuse that would let a secret out (a pointer freed twice or
 * not from here, a write past the end) is told on stderr and ends the program by
 * abort(3).
 */
#ifndef UNMAPPED_H
#define UNMAPPED_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define UNMAPPED_ATTR(...) __attribute__((__VA_ARGS__))
#else
#define UNMAPPED_ATTR(...)
#endif

/* The largest object: 1 GiB, in bytes; a guarded one is 2 pages and 16 bytes less. */
#define UNMAPPED_MAX ((size_t)1 << 30)

/* --- objects -------------------------------------------------------------- */

/*
 * Free what the functions below returned; NULL is nothing.  It is zeroed before
 * anybody else can have it.  errno is left alone.
 */
void unmapped_free(void *p);

/**
 * unmapped_malloc - memory for a secret of @size bytes
 *
 * Up to 2040 bytes objects stand beside each other on pages, with 8 bytes behind
 * each that are compared when it is freed.  Larger ones have whole pages of their
 * own.  All of it reads as zero, and is aligned to 16 bytes.
 *
 * Return: the object, also for 0 bytes; NULL with ENOMEM, or what unmapped_backend()
 * fails with.
 */
void *unmapped_malloc(size_t size) UNMAPPED_ATTR(malloc, alloc_size(1));

/* The same for @n * @size bytes; ENOMEM when that overflows, too. */
void *unmapped_calloc(size_t n, size_t size) UNMAPPED_ATTR(malloc, alloc_size(1, 2));

/*
 * The same at a multiple of @alignment bytes: a power of two, at most 1 GiB, or
 * EINVAL.  @size need not be a multiple of it.
 */
void *unmapped_aligned_alloc(size_t alignment, size_t size)
	UNMAPPED_ATTR(malloc, alloc_align(1), alloc_size(2));

/* A copy of a string; NULL with ENOMEM. */
char *unmapped_strdup(const char *s) UNMAPPED_ATTR(malloc);

/* Bytes of an object that may be used, at least what was asked for; 0 for NULL. */
size_t unmapped_usable_size(const void *p);

/* --- guarded objects ------------------------------------------------------ */

/**
 * unmapped_guarded_malloc - memory for a secret, on pages of its own
 *
 * It ends where a page ends, and the pages before and after are inaccessible: a
 * read or write past the end is a SIGSEGV at once, one far before the start as
 * well.  16 bytes before the start are compared when it is freed.  So it is
 * aligned to the largest power of two that divides @size, 16 at least being the
 * case for multiples of 16; objects of a C type are aligned as they have to be.
 *
 * Return: the object, zeroed; NULL with ENOMEM.
 */
void *unmapped_guarded_malloc(size_t size) UNMAPPED_ATTR(malloc, alloc_size(1));

#define UNMAPPED_NOACCESS  0
#define UNMAPPED_READONLY  1
#define UNMAPPED_READWRITE 3

/**
 * unmapped_protect - what may be done with a guarded object from now on
 * @access:	UNMAPPED_NOACCESS, UNMAPPED_READONLY or UNMAPPED_READWRITE, for all
 *		threads
 *
 * Return: 0; -1 with EINVAL for another value or what is no guarded object, or
 * ENOMEM when the process has too many mappings; then nothing is changed.
 */
int unmapped_protect(void *p, int access);

/* --- without leaks ---------------------------------------------------------- */

/* 0 when @n bytes are alike, else not; the time it takes tells nothing of them. */
int unmapped_memcmp(const void *a, const void *b, size_t n);

/* Zero @n bytes, also if the compiler thinks that nobody reads them. */
void unmapped_memzero(void *p, size_t n);

/* --- the memory under it ---------------------------------------------------- */

/**
 * unmapped_select - which backends will do
 * @names:	one or more, separated by commas, best first: "device", "secretmem",
 *		"locked", and "plain": memory that may be swapped, which is never
 *		used unless it is named
 *
 * To be called before the first object is allocated.  UNMAPPED_BACKEND in the
 * environment goes before what is said here, but not in set-user-ID programs.
 *
 * Return: 0; -1 with EINVAL for an unknown name, EBUSY when another one than these
 * is in use.
 */
int unmapped_select(const char *names);

/**
 * unmapped_backend - which one is used
 * @missing:	if not NULL, receives a text with a line for each better one that is
 *		not, and why; lives as long as the program
 *
 * UNMAPPED_DEBUG=1 in the environment prints the same on stderr, once.
 *
 * Return: its name; NULL with ENODEV when there is none, EINVAL when UNMAPPED_BACKEND
 * has an unknown name.
 */
const char *unmapped_backend(const char **missing);

/**
 * unmapped_wipe_on_hibernate - let the system hibernate, and lose what is in memory
 *
 * While a process has memory of /dev/unmapped in use the system does not hibernate:
 * the image on disk would hold it.  After this call all of it is zeroed instead,
 * guarded objects and files of unmapped_fd() too, each time the system prepares to
 * hibernate.  Objects stay what they are, and can be used and freed; a touch waits
 * until the system is back, and is a SIGBUS if no memory is left then.
 *
 * It changes nothing for other backends.  The system does not hibernate while there
 * is any "secretmem"; what is "locked" or "plain" stays, and is in the image.
 *
 * To be called before the first object is allocated; it holds in children of fork(2).
 *
 * Return: 0; -1 with EBUSY when memory is in use that is not to be wiped.
 */
int unmapped_wipe_on_hibernate(void);

/**
 * unmapped_wipes - whether memory was wiped since it was last called
 *
 * Who must not take zeroes for a secret asks after each use, and if the number is
 * not that of the time when the secret was stored (asked for before it was stored)
 * what was used may have been zeroes.  It takes a nanosecond.
 *
 * Return: a number that is higher after memory was wiped, once or more often; 0 as
 * long as it was not, and always without unmapped_wipe_on_hibernate().
 */
unsigned long unmapped_wipes(void);

/**
 * unmapped_fd - a file of secret memory, to be mapped and passed to others
 * @bytes:	its size, rounded up to pages
 *
 * Return: a descriptor for mmap(2) with MAP_SHARED, closed by execve(2); -1 with
 * EOPNOTSUPP when the backend is "locked" or "plain", EINVAL for 0 bytes, EAGAIN
 * for a limit, or as open(2).
 */
int unmapped_fd(size_t bytes);

/*
 * What the last function that failed in this thread failed for: a line of text
 * without an end of line.  Valid until the next failure in this thread.
 */
const char *unmapped_strerror(void);

/*
 * Give what is free back to the system: what the calling thread and threads that
 * have ended hold of it.  Return: bytes.
 */
size_t unmapped_trim(void);

/**
 * struct unmapped_stats - in bytes, but for those that begin with nr
 * @nr_objects:		objects in use, of all kinds
 * @nr_guarded:		guarded ones of these
 * @used:		what they may use: the sum of their usable sizes
 * @pages:		pages that hold objects, are kept for them, or guard them
 * @touched:		pages that have memory behind them
 * @mapped:		memory taken from the system, touched or not
 * @metadata:		address space for what is known of all that, mostly untouched
 * @nr_taken:		blocks of 2 MiB and smaller pieces taken from the system
 * @nr_released:	blocks of 2 MiB given back to it, those made up of pieces, too
 */
struct unmapped_stats {
	size_t nr_objects;
	size_t nr_guarded;
	size_t used;
	size_t pages;
	size_t touched;
	size_t mapped;
	size_t metadata;
	size_t nr_taken;
	size_t nr_released;
};

/**
 * unmapped_stats - how much there is, taken without stopping other threads
 * @size:	sizeof(*@stats), as the program was compiled
 *
 * Return: 0; -1 with EINVAL for a size of 0.
 */
int unmapped_stats(struct unmapped_stats *stats, size_t size);

#ifdef __cplusplus
}
#endif

#endif /* UNMAPPED_H */
