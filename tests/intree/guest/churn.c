// SPDX-License-Identifier: MIT
/*
 * churn - unmapped pages come and go, and what the kernel itself knows of its
 * direct map is looked at.
 *
 *	churn tables	its dump of the page tables, before and after; then all
 *			free memory is written to, by the kernel, which clears it
 *			through the direct map: what was absent would end it
 *	churn cpa	while CPA's own test changes entries at random
 *
 * For debugging kernels: PTDUMP_DEBUGFS, CPA_DEBUG.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DUMP	 "/sys/kernel/debug/page_tables/kernel"
#define SECTION	 "---[ Low Kernel Mapping ]---"
#define SLOTS	 6
#define MOST	 (2 * BLOCK)
#define PROCS	 2
#define SPARE_KB (64 * 1024)

static uint8_t *get(size_t bytes, bool secret)
{
	int fd = secret ? secretmem_open(bytes) : um_open();
	uint8_t *p = fd < 0 ? NULL : map_shared(fd, bytes);

	if (!p)
		die("%zu bytes", bytes);
	close(fd);
	touch(p, bytes);
	return p;
}

/* Map, touch and unmap for some seconds, and give the cache back now and then. */
static int churn(void *arg)
{
	time_t end = time(NULL) + *(int *)arg;
	unsigned int seed = (unsigned int)getpid(), i;
	size_t bytes[SLOTS] = {};
	uint8_t *p[SLOTS] = {};

	while (time(NULL) < end) {
		i = (unsigned int)rand_r(&seed) % SLOTS;
		if (p[i]) {
			munmap(p[i], bytes[i]);
			p[i] = NULL;
		} else {
			bytes[i] = PAGE + (size_t)rand_r(&seed) % MOST / PAGE * PAGE;
			p[i] = get(bytes[i], rand_r(&seed) % 2);
		}
		if (rand_r(&seed) % 16 == 0)
			um_shrink();
	}
	return 0;
}

static void churn_all(int seconds)
{
	pid_t pid[PROCS];
	int i, status, bad = 0;

	for (i = 0; i < PROCS; i++) {
		pid[i] = fork();
		if (pid[i] < 0)
			die("fork");
		if (!pid[i])
			_exit(churn(&seconds));
	}
	for (i = 0; i < PROCS; i++)
		bad += waitpid(pid[i], &status, 0) != pid[i] || status;
	ok(!bad, "%d processes mapped and unmapped for %d s", PROCS, seconds);
}

static void give_back(void)
{
	int tries;

	file_write("/proc/sys/vm/compact_memory", "1");
	ok(um_stat_becomes("pages_allocated", 0, 10), "all pages are free");
	for (tries = 0; tries < 20; tries++)
		if (um_shrink() == 0 && um_stat_becomes("pages_owned", 0, 1))
			break;
	ok(um_stat("pages_owned") == 0, "all blocks are given back");
	ok(um_stat("quarantined") == 0, "nothing in quarantine");
}

/* --- the dump of the page tables ----------------------------------------------- */

struct dump {
	char *text;
	size_t len;
	unsigned int lines;
};

/* The part that is about the direct map. */
static void dump_read(struct dump *d)
{
	FILE *f = fopen(DUMP, "re"), *out;
	bool in = false;
	char line[256];

	d->lines = 0;
	d->text = NULL;
	out = open_memstream(&d->text, &d->len);
	if (!f || !out)
		die(DUMP);
	while (fgets(line, sizeof(line), f)) {
		if (!strncmp(line, "---[", 4)) {
			in = !strncmp(line, SECTION, strlen(SECTION));
			continue;
		}
		if (!in)
			continue;
		fputs(line, out);
		d->lines++;
	}
	fclose(f);
	fclose(out);
	if (d->lines < 3)
		die("%s: %u lines after %s", DUMP, d->lines, SECTION);
}

/* Lines of @a that are not in @b. */
static unsigned int dump_differs(const struct dump *a, const struct dump *b,
				 const char *what)
{
	char *copy = strdup(a->text), *save = NULL, *line;
	unsigned int n = 0;

	if (!copy)
		die("memory");
	for (line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (!strstr(b->text, line) && n++ < 8)
			note("%s: %s", what, line);
	free(copy);
	return n;
}

/* Other parts of the kernel change it now and then: nothing may do so now. */
static bool dump_same(const struct dump *a, const struct dump *b)
{
	unsigned int gone = dump_differs(a, b, "only before");
	unsigned int come = dump_differs(b, a, "only after");

	return !gone && !come;
}

static int fill(void *bytes)
{
	size_t n = *(size_t *)bytes;
	uint8_t *p;

	file_write("/proc/self/oom_score_adj", "1000");
	p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return 1;
	touch(p, n);
	return 0;
}

static void tables(void)
{
	struct dump start, used, end;
	size_t bytes;
	uint8_t *p;

	um_shrink();
	dump_read(&start);
	note("%u lines", start.lines);
	p = get(4 * BLOCK, false);
	dump_read(&used);
	note("in use: %u lines differ", dump_differs(&used, &start, "in use"));
	munmap(p, 4 * BLOCK);
	churn_all(20);
	give_back();
	dump_read(&end);
	ok(dump_same(&start, &end), "the dump of the direct map is what it was");
	/* Lists of CPUs and the like: not to the last page. */
	bytes = (size_t)(memory_free(-1) / 32 * 31 - SPARE_KB) * 1024;
	ok(in_child(fill, &bytes) == 0, "the kernel clears %zu MiB of free memory",
	   bytes / MIB);
}

/* --- CPA's own test ------------------------------------------------------------ */

/* The log of the boot, which may take the 30 seconds, too, and then of this test. */
static const char *whole_log(void)
{
	static char log[1 << 21];
	FILE *f = fopen("/tmp/.alllog", "re");
	size_t n;
	int more;

	if (!f)
		die("/tmp/.alllog");
	n = fread(log, 1, sizeof(log) / 2, f);
	fclose(f);
	more = klogctl(3 /* SYSLOG_ACTION_READ_ALL */, log + n,
		       (int)(sizeof(log) - n - 1));
	if (more < 0)
		die("klogctl");
	log[n + (size_t)more] = 0;
	return log;
}

static bool said(const char *text)
{
	return strstr(whole_log(), text);
}

/* Its last word, with or without a time before it. */
static bool passed(void)
{
	const char *ran = strstr(whole_log(), "CPA self-test:");

	return ran && strstr(ran, "ok.\n");
}

static void cpa(void)
{
	int i;

	/*
	 * It begins anew every 30 seconds, and says so the first time.  Where it is slow
	 * it has a machine of its own half of the time.
	 */
	for (i = 0; i < 3 || (i < 20 && !said("NOT PASSED") && !passed()); i++) {
		churn_all(15);
		sleep(15);
	}
	give_back();
	ok(said("CPA self-test:"), "control: CPA's test ran");
	ok(passed(), "it passed");
	ok(!said("NOT PASSED") && !said("CPA lookup of") && !said("bad pte"),
	   "and found nothing wrong");
}

int main(int argc, char **argv)
{
	const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	const char *what = argc > 1 ? argv[1] : "";

	if (setrlimit(RLIMIT_MEMLOCK, &unlimited))
		die("setrlimit");
	if (!strcmp(what, "tables"))
		tables();
	else if (!strcmp(what, "cpa"))
		cpa();
	else
		die("unknown argument '%s'", what);
	return finish();
}
