/* SPDX-License-Identifier: MIT */
/* Objects mapped where a test wants them, and what is in each page of them. */
#ifndef MAPPING_H
#define MAPPING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#define RW	   (PROT_READ | PROT_WRITE)
#define PATTERN(i) ((uint64_t)(i)*0x9e3779b97f4a7c15ULL + 1)

/* Addresses nobody uses, aligned to a block plus @skew. */
uint8_t *room(size_t bytes, size_t skew);

/* These end the program when there is none.  A mapping is over what is @at, unless NULL. */
int object(size_t bytes, uint32_t flags);
uint8_t *map(int fd, size_t bytes, size_t offset, void *at, int flags);

/* A word in each page that says which page of the object it is. */
void fill(uint8_t *p, size_t from, size_t bytes);
/* How many pages are not what they were filled with? */
long damage(const uint8_t *p, size_t from, size_t bytes);

/* Minor faults of this process so far. */
long faults(void);

/* Soon: while a block is taken ahead of need, numbers may not fit together. */
bool allocated_is(long pages);
/* A point: nothing is. */
void all_gone(const char *after);

#endif
