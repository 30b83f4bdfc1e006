/* SPDX-License-Identifier: MIT */
/*
 * What the guest programs share: TAP, the kernel's counters, the two kinds of
 * memory under test, and secrets.
 *
 * A secret is a random pattern that exists in clear only where it was written
 * on purpose.  Programs keep it masked, pass it masked, and write and compare
 * it through one general register at a time, a byte each: no copy of it lies on
 * a stack or in a saved vector register for the attacker to find by accident.
 */
#ifndef GUEST_H
#define GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <linux/unmapped.h>

#define PAGE	      4096UL
#define BLOCK	      (512 * PAGE)
#define MIB	      (1UL << 20)
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define SECRET_BYTES 32
#define SECRET_MASK  0xa5
#define SECRET_ALIGN 64 /* the attacker looks at such offsets only */

#define DEVICE	"/dev/unmapped"
#define DEBUGFS "/sys/kernel/debug/unmapped/"
#define TRACEFS "/sys/kernel/tracing/"

/* TAP: each point is counted; finish() prints the plan, gives the exit code. */
bool ok(bool good, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void skip(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int finish(void);
/* Prints a failed point with errno and ends the program. */
void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
/* A point that says which errno came: @got is a return value of -1 or not. */
bool ok_errno(long got, int want, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The number behind @key in a file of "key value" or "key: value" lines. */
long file_value(const char *path, const char *key); /* -1: no such key */
long file_number(const char *path);		    /* its first number */
/* As echo does with > and with >>; 0 or -errno. */
int file_write(const char *path, const char *text);
int file_append(const char *path, const char *text);

long meminfo(const char *key); /* kB */
/*
 * Free memory of a node, or of all (-1), in kB: MemFree and what the CPUs' lists
 * of free pages hold, which that leaves out.
 */
long memory_free(int node);
long vmstat(const char *key);
/* A file of tracefs; ends the program when it can't be written. */
void trace_write(const char *file, const char *text);
long um_stat(const char *key); /* debugfs unmapped/stats */
long um_splits(void);	       /* splits_2m + splits_1g */
int um_shrink(void);	       /* give all free memory back */

/*
 * For tests that go to the limits of memory: no long lists of free pages on
 * the CPUs, and no watermark raised by a tenth of memory for a while.
 */
void plain_page_allocator(void);

struct direct_map {
	long kb4, kb2m, kb1g;	 /* DirectMap* of meminfo, in kB */
	long splits2m, splits1g; /* of vmstat */
};

void direct_map_read(struct direct_map *map);
bool direct_map_same(const struct direct_map *a, const struct direct_map *b);
void direct_map_note(const char *when, const struct direct_map *map);

/* The device /dev/snapshot, an open descriptor of which gives the notice of hibernation. */
void snapshot_device(const char *path);

/* Each gives a descriptor or -1 and errno. */
int um_open(void);
int um_create(uint64_t bytes, uint32_t flags, int32_t node);
int secretmem_open(size_t bytes);
/* A shared, read-write mapping, or NULL and errno. */
void *map_shared(int fd, size_t bytes);
/* An object with one; ends the program when there is none. */
uint8_t *um_object(uint64_t bytes, uint32_t flags, int *fd);
/* Write a byte to each page: allocates all of them. */
void touch(void *p, size_t bytes);
bool is_zero(const void *p, size_t bytes);

/* Does reading (or writing) the byte at @p raise @signal? */
bool raises(volatile uint8_t *p, bool write, int signal);

struct secret {
	uint8_t masked[SECRET_BYTES];
};

void secret_new(struct secret *s);
void secret_write(void *where, const struct secret *s);
bool secret_at(const void *where, const struct secret *s);
/*
 * Run the attacker over all of the direct map: how often was each of @nr
 * secrets found?  Returns the bytes read, or -1.
 */
long attack(const struct secret *s, int nr, long *found);

/*
 * Hibernate, with swap on the disk of the test (vm: disk=), and come back.  The host
 * sees to it that the image has @control, and not @secret.  Return: 0 or a negative
 * errno.
 */
int hibernate(const struct secret *secret, const struct secret *control);

/* Run @fn in a child; its exit status, or 128 + signal. */
int in_child(int (*fn)(void *arg), void *arg);

/* Does the kernel's log of this test have a line with @text? */
bool log_has(const char *text);

/* This task, from now on. */
void run_on(int cpu);

uint64_t now_ns(void); /* CLOCK_MONOTONIC_RAW */
/* Wait until @key of unmapped/stats is @value, at most @seconds. */
bool um_stat_becomes(const char *key, long value, int seconds);

#endif /* GUEST_H */
