// SPDX-License-Identifier: MIT
/*
 * Sizes and numbers as people write them.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static const char units[] = "BKMGTPE";

/* One digit behind the point where it says something, and never rounded up. */
const char *size_text(char text[SIZE_TEXT], uint64_t size, bool bytes)
{
	unsigned int unit = 0;
	uint64_t whole, tenth;

	while (unit + 1 < sizeof(units) - 1 && size >> (10 * (unit + 1)))
		unit++;
	whole = size >> (10 * unit);
	tenth = unit ? (size >> (10 * (unit - 1)) & 1023) * 10 / 1024 : 0;
	if (bytes || !unit)
		snprintf(text, SIZE_TEXT, "%" PRIu64 "%s", size, bytes ? "" : "B");
	else if (tenth)
		snprintf(text, SIZE_TEXT, "%" PRIu64 ".%" PRIu64 "%c", whole, tenth,
			 units[unit]);
	else
		snprintf(text, SIZE_TEXT, "%" PRIu64 "%c", whole, units[unit]);
	return text;
}

static int number(const char *text, uint64_t *value, const char **rest)
{
	char *end;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	*value = strtoull(text, &end, 10);
	*rest = end;
	return -errno;
}

int size_parse(const char *text, uint64_t *size)
{
	const char *rest, *unit = units;
	int err = number(text, size, &rest);
	unsigned int shift;

	if (err)
		return err;
	if (*rest) {
		unit = strchr(units, *rest);
		if (!unit || rest[1])
			return -EINVAL;
	}
	shift = 10 * (unsigned int)(unit - units);
	if (*size << shift >> shift != *size)
		return -ERANGE;
	*size <<= shift;
	return 0;
}

int number_parse(const char *text, uint64_t min, uint64_t max, uint64_t *value)
{
	const char *rest;
	int err = number(text, value, &rest);

	if (err || *rest)
		return err ? err : -EINVAL;
	return *value < min || *value > max ? -ERANGE : 0;
}
