/* SPDX-License-Identifier: MIT */
/*
 * The kernel's own counters of the direct map.
 */
#ifndef CLI_COUNTERS_H
#define CLI_COUNTERS_H

#include <stdbool.h>
#include <stdint.h>

#include "walk.h"

struct counters {
	uint64_t direct[NR_ENTRY_SIZES]; /* DirectMap* of meminfo, in bytes */
	bool has[NR_ENTRY_SIZES];	 /* whether there is such a line */
	/* Since boot: 2 MiB entries that became 4 KiB ones, 1 GiB ones likewise. */
	uint64_t splits_2m, splits_1g;
	bool has_splits;
	uint64_t collapses_2m, collapses_1g; /* the reverse */
	bool has_collapses;
	uint64_t mem_total, mem_available;
};

/*
 * The number behind @key, in lines "key value" or "key: value ...".
 * Return: whether there is such a line, with a number.
 */
bool text_number(const char *text, const char *key, uint64_t *value);

void counters_parse(struct counters *c, const char *meminfo, const char *vmstat);
/* Return: 0 or -errno, and which file: "/proc/meminfo" or "/proc/vmstat". */
int counters_read(struct counters *c, const char **path);

#endif
