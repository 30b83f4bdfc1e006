// SPDX-License-Identifier: MIT
/*
 * ipi - mappings of one CPU interrupt no other; ends of views do.
 *
 * Runs on CPU 0 and counts, in /proc/interrupts, the function calls and TLB
 * shootdowns that the others get.  Zeroing of what is freed is among what must
 * cause none.  The control shows that the counters count.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEST	"/sys/kernel/debug/unmapped_test/"
#define ROUNDS	1000
#define WINDOWS 5

/* Of all CPUs but the first. */
static long interrupts(void)
{
	FILE *f = fopen("/proc/interrupts", "re");
	char line[512], *p;
	int rows = 0;
	long sum = 0;

	if (!f)
		die("/proc/interrupts");
	while (fgets(line, sizeof(line), f)) {
		p = line + strspn(line, " ");
		if (strncmp(p, "CAL:", 4) && strncmp(p, "TLB:", 4))
			continue;
		rows++;
		p += 4;
		strtol(p, &p, 10);
		while (p[strspn(p, " ")] >= '0' && p[strspn(p, " ")] <= '9')
			sum += strtol(p, &p, 10);
	}
	fclose(f);
	if (rows != 2)
		die("CAL and TLB in /proc/interrupts");
	return sum;
}

static long caused_by(const char *file, int rounds)
{
	char text[16];
	long before;

	snprintf(text, sizeof(text), "%d", rounds);
	before = interrupts();
	if (file_write(file, text))
		die("%s", file);
	return interrupts() - before;
}

int main(void)
{
	long got, least = -1;
	cpu_set_t cpus;
	int i;

	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus))
		die("CPU 0");
	caused_by(TEST "local-rounds", ROUNDS); /* the cache has its blocks now */

	/*
	 * The kernel's own calls may fall into a window, one or two of them; a
	 * thousand rounds that needed any would show in each of the windows.
	 */
	for (i = 0; i < WINDOWS && least; i++) {
		got = caused_by(TEST "local-rounds", ROUNDS);
		note("%d mappings and zeroing frees: %ld interrupts elsewhere", ROUNDS,
		     got);
		if (least < 0 || got < least)
			least = got;
	}
	ok(least == 0, "%d mappings of one CPU and %d frees interrupt no other CPU",
	   2 * ROUNDS, ROUNDS);
	got = caused_by(TEST "vmap-rounds", 100);
	ok(got >= 100, "control: the ends of 100 views do (%ld)", got);
	return finish();
}
