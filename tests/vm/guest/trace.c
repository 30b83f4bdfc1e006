// SPDX-License-Identifier: MIT
/*
 * trace - the tracepoints tell what happens: what a program does, traced, must
 * agree with what it did and with the counters of unmapped/stats.
 *
 * trace COMMAND	the same for what a test does, which tells its own points
 */
#define _GNU_SOURCE
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define EVENTS	  TRACEFS "events/unmapped/"
#define NR_PAGES  1000
#define MAX_PAGES (1UL << 21)

static const char *const names[] = {
	"refill", "alloc", "free", "shrink", "split", "heal", "fallback",
};

/* Counters of stats that events must add up to. */
static const char *const keys[] = {
	"refills",   "blocks_taken", "pieces_taken", "pages_released",
	"splits_2m", "splits_1g",    "heals_2m",     "heals_1g",
};

struct seen {
	long sum[ARRAY_SIZE(keys)];
	long event[ARRAY_SIZE(names)];
	long allocated, freed; /* pages */
	long failed;
	long held;  /* allocated, and not freed at the end */
	long wrong; /* lines that can't be, or can't be read */
};

static long *sum_of(struct seen *s, const char *key)
{
	size_t i;

	for (i = 0; strcmp(keys[i], key); i++)
		;
	return &s->sum[i];
}

/* Pages in use by the trace so far: allocated twice, or freed twice, is wrong. */
static uint8_t *used;

static void change(struct seen *s, unsigned long pfn, unsigned int order, bool alloc)
{
	unsigned long i;

	if (order > 9 || !pfn || pfn + (1UL << order) > MAX_PAGES) {
		s->wrong++;
		return;
	}
	for (i = pfn; i < pfn + (1UL << order); i++) {
		s->wrong += used[i] == alloc;
		used[i] = alloc;
	}
	*(alloc ? &s->allocated : &s->freed) += 1L << order;
	s->held += (alloc ? 1L : -1L) * (1L << order);
}

/* What follows "unmapped_NAME: " in a line of the trace. */
static bool parse(struct seen *s, const char *name, const char *args)
{
	unsigned int order, blocks, pieces, largest;
	unsigned long pfn, want, released;
	char rest[128], size[8];
	int nid, err;
	long nr;

	if (!strcmp(name, "alloc")) {
		if (sscanf(args, "pfn=%lx order=%u nid=%d gfp_flags=%127[^\n]", &pfn,
			   &order, &nid, rest) != 4)
			return false;
		if (strstr(rest, " failed"))
			s->failed++;
		else
			change(s, pfn, order, true);
		return strstr(rest, "GFP_") && nid == 0;
	}
	if (!strcmp(name, "free")) {
		if (sscanf(args, "pfn=%lx order=%u", &pfn, &order) != 2)
			return false;
		change(s, pfn, order, false);
		return true;
	}
	if (!strcmp(name, "refill")) {
		if (sscanf(args, "nid=%d order=%u want=%lu blocks=%u pieces=%u err=%d",
			   &nid, &order, &want, &blocks, &pieces, &err) != 6)
			return false;
		*sum_of(s, "refills") += !err;
		*sum_of(s, "blocks_taken") += blocks;
		*sum_of(s, "pieces_taken") += pieces;
		return want && !err == !!(blocks + pieces);
	}
	if (!strcmp(name, "shrink")) {
		if (sscanf(args, "nid=%d nr=%ld released=%lu", &nid, &nr, &released) != 3)
			return false;
		*sum_of(s, "pages_released") += released;
		return true;
	}
	if (!strcmp(name, "fallback"))
		return sscanf(args, "nid=%d order=%u largest=%u pieces=%u", &nid, &order,
			      &largest, &pieces) == 4 &&
		       largest < 9 && largest >= order;
	if (sscanf(args, "pfn=%lx entry=%7s", &pfn, size) != 2)
		return false;
	if (!strcmp(size, "2M")) {
		++*sum_of(s, strcmp(name, "heal") ? "splits_2m" : "heals_2m");
		return pfn % 512 == 0;
	}
	++*sum_of(s, strcmp(name, "heal") ? "splits_1g" : "heals_1g");
	return !strcmp(size, "1G") && pfn % (512 * 512) == 0;
}

static void read_trace(struct seen *s)
{
	char line[512], name[32];
	const char *at;
	size_t i;
	int used_chars;
	FILE *f = fopen(TRACEFS "trace", "re");

	memset(s, 0, sizeof(*s));
	if (!f)
		die("trace");
	while (fgets(line, sizeof(line), f)) {
		if (line[0] == '#')
			continue;
		at = strstr(line, ": unmapped_");
		if (!at ||
		    sscanf(at, ": unmapped_%31[a-z]: %n", name, &used_chars) != 1) {
			note("not a line of ours: %s", line);
			s->wrong++;
			continue;
		}
		for (i = 0; i < ARRAY_SIZE(names); i++) {
			if (strcmp(names[i], name))
				continue;
			s->event[i]++;
			if (!parse(s, name, at + used_chars)) {
				note("wrong: %s", line);
				s->wrong++;
			}
		}
	}
	fclose(f);
}

/* Run a test; its points are ours. */
static void run(const char *command)
{
	char line[512], text[400];
	FILE *f;
	int status;

	fflush(stdout);
	f = popen(command, "re");
	if (!f)
		die("popen");
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = 0;
		if (sscanf(line, "ok %*d - %399[^\n]", text) == 1)
			ok(true, "%s", text);
		else if (sscanf(line, "not ok %*d - %399[^\n]", text) == 1)
			ok(false, "%s", text);
		else if (strncmp(line, "1..", 3))
			note("%s", line + strspn(line, "# "));
	}
	status = pclose(f);
	ok(!status, "%s ends well while it is traced", command);
}

/* What this program does itself, known to the page. */
static void own_work(void)
{
	int fd = um_open();
	uint8_t *p = fd < 0 ? NULL : map_shared(fd, NR_PAGES * PAGE);

	if (!p)
		die("object");
	touch(p, NR_PAGES * PAGE);
	munmap(p, NR_PAGES * PAGE);
	close(fd);
}

static void show(const char *grep)
{
	char line[512];
	int left = 3;
	FILE *f = fopen(TRACEFS "trace", "re");

	while (f && left && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = 0;
		if (strstr(line, grep)) {
			note("%s", line);
			left--;
		}
	}
	if (f)
		fclose(f);
}

int main(int argc, char **argv)
{
	long before[ARRAY_SIZE(keys)], delta, lost;
	char path[120], text[32];
	struct seen s;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), EVENTS "unmapped_%s/enable", names[i]);
		ok(!access(path, W_OK), "unmapped:unmapped_%s is there", names[i]);
	}
	used = calloc(MAX_PAGES, 1);
	if (!used)
		die("memory");
	trace_write("buffer_size_kb", "4096");
	trace_write("trace", "0");

	own_work();
	read_trace(&s);
	for (i = 0; i < ARRAY_SIZE(names); i++)
		s.wrong += s.event[i];
	ok(!s.wrong, "control: nothing is traced before it is enabled");

	if (um_shrink())
		die("shrink");
	trace_write("events/unmapped/enable", "1");
	for (i = 0; i < ARRAY_SIZE(keys); i++)
		before[i] = um_stat(keys[i]);
	if (argc > 1)
		run(argv[1]);
	else
		own_work();
	if (um_shrink())
		die("shrink");
	trace_write("events/unmapped/enable", "0");
	read_trace(&s);

	lost = file_value(TRACEFS "per_cpu/cpu0/stats", "overrun");
	ok(lost == 0, "no event was lost");
	ok(!s.wrong, "each line has its form, no page is allocated or freed twice (%ld)",
	   s.wrong);
	if (argc == 1)
		ok(s.allocated == NR_PAGES, "as many pages allocated as touched (%ld)",
		   s.allocated);
	ok(s.allocated > 0 && !s.held, "all that was allocated was freed (%ld, %ld)",
	   s.allocated, s.freed);
	for (i = 0; i < ARRAY_SIZE(keys); i++) {
		delta = um_stat(keys[i]) - before[i];
		ok(s.sum[i] == delta, "%s: %ld traced, %ld counted", keys[i], s.sum[i],
		   delta);
	}
	ok(*sum_of(&s, "refills") > 0 && *sum_of(&s, "pages_released") > 0,
	   "control: there were some");
	/* The last is of its own: pieces come from nowhere else. */
	ok(!*sum_of(&s, "pieces_taken") == !s.event[ARRAY_SIZE(names) - 1],
	   "a fallback when there were pieces, else none (%ld)",
	   s.event[ARRAY_SIZE(names) - 1]);
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(text, sizeof(text), "unmapped_%s:", names[i]);
		show(text);
	}
	trace_write("trace", "0");
	return finish();
}
