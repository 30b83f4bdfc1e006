// SPDX-License-Identifier: MIT
/*
 * pinned - somebody has a reference to a page of an object that goes away: the page
 * stays as it is until he drops it, and then is free.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PIN "/sys/kernel/debug/unmapped_test/pin"

static long in_use;

/* Of the page that a touch of @p allocates, or of the block. */
static unsigned long pfn_of(uint8_t *p)
{
	unsigned long pfn = 0;
	char line[512];
	const char *at;
	FILE *f;

	trace_write("trace", "0");
	trace_write("events/unmapped/unmapped_alloc/enable", "1");
	*p = 1;
	trace_write("events/unmapped/unmapped_alloc/enable", "0");
	f = fopen(TRACEFS "trace", "re");
	while (f && fgets(line, sizeof(line), f)) {
		at = strstr(line, "unmapped_alloc: pfn=");
		if (!at || sscanf(at, "unmapped_alloc: pfn=%lx", &pfn) != 1)
			continue;
		note("%s", at);
		break;
	}
	if (!f || !pfn)
		die("no pfn in the trace");
	fclose(f);
	return pfn;
}

static void goes_away(const char *what, size_t bytes, size_t in_block)
{
	char pfn[24];
	uint8_t *p;
	int fd;

	p = um_object(bytes, 0, &fd);
	snprintf(pfn, sizeof(pfn), "%lu", pfn_of(p) + in_block);
	touch(p, bytes);
	ok(!file_write(PIN, pfn), "%s: one page is held (pfn %s)", what, pfn);
	munmap(p, bytes);
	close(fd);
	/* Longer than it takes to look again. */
	usleep(200000);
	ok(um_stat("pages_allocated") > in_use, "%s: it is not free yet", what);
	ok(!file_write(PIN, "0"), "%s: let go of", what);
	ok(um_stat_becomes("pages_allocated", in_use, 10), "%s: all is free", what);
}

int main(void)
{
	long quarantined = um_stat("quarantined");
	int fd;
	uint8_t *p;

	in_use = um_stat("pages_allocated");
	goes_away("small", 3 * PAGE, 0);
	goes_away("block", BLOCK, 77);
	ok(um_stat("quarantined") == quarantined, "no block is broken by it");
	p = um_object(2 * BLOCK, 0, &fd);
	touch(p, 2 * BLOCK);
	ok(p[77 * PAGE] && p[BLOCK], "the memory serves again");
	close(fd);
	return finish();
}
