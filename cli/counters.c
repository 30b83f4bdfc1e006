// SPDX-License-Identifier: MIT
/*
 * The DirectMap lines of /proc/meminfo, and splits and collapses of /proc/vmstat.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "counters.h"
#include "root.h"

bool text_number(const char *text, const char *key, uint64_t *value)
{
	size_t len = strlen(key);
	const char *p;
	char *end;

	for (p = text; p; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (strncmp(p, key, len))
			continue;
		if (p[len] != ':' && p[len] != ' ')
			continue;
		p += len + 1;
		p += strspn(p, " \t");
		if (*p < '0' || *p > '9')
			return false;
		errno = 0;
		*value = strtoull(p, &end, 10);
		return !errno;
	}
	return false;
}

static bool kibibytes(const char *text, const char *key, uint64_t *bytes)
{
	if (!text_number(text, key, bytes) || *bytes > UINT64_MAX / 1024)
		return false;
	*bytes *= 1024;
	return true;
}

void counters_parse(struct counters *c, const char *meminfo, const char *vmstat)
{
	static const char *const names[NR_ENTRY_SIZES] = { "DirectMap4k", "DirectMap2M",
							   "DirectMap1G" };
	unsigned int i;

	memset(c, 0, sizeof(*c));
	for (i = 0; i < NR_ENTRY_SIZES; i++) {
		c->has[i] = kibibytes(meminfo, names[i], &c->direct[i]);
		if (!c->has[i])
			c->direct[i] = 0;
	}
	if (!kibibytes(meminfo, "MemTotal", &c->mem_total))
		c->mem_total = 0;
	if (!kibibytes(meminfo, "MemAvailable", &c->mem_available))
		c->mem_available = 0;
	c->has_splits = text_number(vmstat, "direct_map_level2_splits", &c->splits_2m) &&
			text_number(vmstat, "direct_map_level3_splits", &c->splits_1g);
	c->has_collapses =
		text_number(vmstat, "direct_map_level2_collapses", &c->collapses_2m) &&
		text_number(vmstat, "direct_map_level3_collapses", &c->collapses_1g);
}

int counters_read(struct counters *c, const char **path)
{
	char *meminfo, *vmstat;

	*path = "/proc/meminfo";
	meminfo = root_read(*path, NULL);
	if (!meminfo)
		return -errno;
	*path = "/proc/vmstat";
	vmstat = root_read(*path, NULL);
	if (!vmstat) {
		int err = -errno;

		free(meminfo);
		return err;
	}
	counters_parse(c, meminfo, vmstat);
	free(meminfo);
	free(vmstat);
	return 0;
}
