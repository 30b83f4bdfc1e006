// SPDX-License-Identifier: MIT
/*
 * contender - what one kind of secret memory costs, and what it does to the
 * direct map.
 *
 *	contender memfd_secret|unmapped [flushes]
 *	contender rows RELEASE MEMSET
 *
 * 64 objects of 4 MiB are made and touched page by page, the attacker looks
 * for what was written to them, they are freed, and what is cached is given
 * back to the system.  Lines of "key value" say what that came to; the last
 * one is "complete 1".
 *
 * Instructions.  QEMU's -icount shift=0 advances the guest's clock, and with
 * it the time-stamp counter, by 1 ns for each instruction.  That is checked
 * here with a loop of a known number of instructions; nothing is measured if
 * it is not so.
 *  touch: mmap() and the first write to each page, over the number of pages.
 *  free:  munmap(), close() and giving the cache back, likewise: after it both
 *         kinds have left the memory with the system.
 *  clear: the instruction that the kernel clears a page with on this CPU (rep
 *         stosb with ERMS, rep stosq without), run here on resident pages.  A
 *         page is cleared once on the way in and once on the way out.
 *
 * Flushes.  A kernel does not count flushes of kernel addresses, so with the
 * word flushes kprobes do, at the functions that run on each CPU for one; there
 * is one CPU, so a hit is a flush.  Probes cost instructions, so such a run
 * measures nothing else.
 *
 * Rows.  For the bench, one object of 64 MiB of each kind, without the clearing:
 * "row case order threads ours peer's peer", in instructions per page.  Order 9 is
 * mapped by 2 MiB entries, 0 by 4 KiB ones.  Before that, whatever the cache holds
 * is given back to the system, and what that costs for each block is compared
 * with RELEASE, which is what __free_pages() of one takes.  A page that is freed
 * memfd_secret clears by memset(), which takes MEMSET.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define OBJECTS	     64
#define OBJECT_BYTES (4 * MIB)
#define PAGES	     (OBJECTS * OBJECT_BYTES / PAGE)
#define LOOPS	     10000000UL
#define ROW_BYTES    (64 * MIB)

static const char *const probes[] = {
	"do_flush_tlb_all",	 /* flush_tlb_all() */
	"do_kernel_range_flush", /* flush_tlb_kernel_range() */
	"__cpa_flush_tlb",	 /* set_memory_*(), some pages */
	"__cpa_flush_all",	 /* set_memory_*(), caches too */
};

static uint64_t tsc(void)
{
	uint32_t low, high;

	asm volatile("lfence\n\trdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

static void fail(const char *what)
{
	printf("error %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Whether a loop of known length takes as long as it has instructions. */
static bool counts_instructions(bool last)
{
	unsigned long n = LOOPS;
	uint64_t start = tsc(), count, ns;
	bool tsc_counts, clock_counts;

	ns = now_ns();
	asm volatile("1: dec %0\n\tjnz 1b" : "+r"(n) : : "cc");
	ns = now_ns() - ns;
	count = tsc() - start;
	/* Timer interrupts take a little; the clock's scale is a guess. */
	tsc_counts = count >= 2 * LOOPS && count <= 2 * LOOPS * 1.02;
	clock_counts = ns >= 2 * LOOPS * 0.98 && ns <= 2 * LOOPS * 1.04;
	if (!(tsc_counts && clock_counts) && !last)
		return false;
	printf("calibration_loop %lu\ncalibration_tsc %lu\n"
	       "calibration_ns %lu\n",
	       2 * LOOPS, count, ns);
	if (!tsc_counts)
		printf("error the time-stamp counter does not count instructions\n");
	else if (!clock_counts)
		printf("error the clock does not run at 1 ns an instruction\n");
	if (!tsc_counts || !clock_counts)
		exit(1);
	return true;
}

/* Newer kernels have things to do for a while after a boot. */
static void calibrate(void)
{
	int tries = 20;

	while (!counts_instructions(!--tries))
		sleep(1);
}

static bool cpu_has(const char *flag)
{
	char line[8192], word[64];
	bool has = false;
	FILE *f;

	snprintf(word, sizeof(word), " %s ", flag);
	f = fopen("/proc/cpuinfo", "re");
	if (!f)
		fail("/proc/cpuinfo");
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, "flags", 5))
			continue;
		line[strcspn(line, "\n")] = ' ';
		has = strstr(line, word);
		break;
	}
	fclose(f);
	return has;
}

static uint64_t clear_pages(uint8_t *p, int n, bool erms)
{
	uint64_t start = tsc();
	int i;

	for (i = 0; i < n; i++) {
		void *to = p + i * PAGE;
		unsigned long count = erms ? PAGE : PAGE / 8;

		if (erms)
			asm volatile("rep stosb"
				     : "+D"(to), "+c"(count)
				     : "a"(0)
				     : "memory");
		else
			asm volatile("rep stosq"
				     : "+D"(to), "+c"(count)
				     : "a"(0)
				     : "memory");
	}
	return tsc() - start;
}

/* The least of some rounds: one takes a millisecond, and has a timer's interrupt. */
static double clear_cost(void)
{
	enum { N = 256, ROUNDS = 5 };
	bool erms = cpu_has("erms");
	uint64_t took, least = UINT64_MAX;
	uint8_t *p;
	int i;

	p = mmap(NULL, N * PAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (p == MAP_FAILED)
		fail("mmap");
	if (!erms && !cpu_has("rep_good")) {
		printf("error this CPU clears pages in a way not known here\n");
		exit(1);
	}
	touch(p, N * PAGE);
	for (i = 0; i < ROUNDS; i++) {
		took = clear_pages(p, N, erms);
		if (took < least)
			least = took;
	}
	munmap(p, N * PAGE);
	return (double)least / N;
}

static void arm_probes(void)
{
	char line[128];
	size_t i;
	int err;

	for (i = 0; i < ARRAY_SIZE(probes); i++) {
		snprintf(line, sizeof(line), "p:flushes/%s %s", probes[i], probes[i]);
		err = file_append(TRACEFS "kprobe_events", line);
		/* It may be there from a run before this one: what counts is the difference. */
		if (!err || err == -EEXIST)
			continue;
		if (!i) {
			errno = -err;
			fail(probes[i]);
		}
		/* One that the compiler inlined is counted by its caller. */
		printf("no_probe %s\n", probes[i]);
	}
	err = file_write(TRACEFS "events/flushes/enable", "1");
	if (err) {
		errno = -err;
		fail("events/flushes/enable");
	}
}

static long flushes(void)
{
	char name[64];
	long hits, missed, sum = 0;
	FILE *f;

	f = fopen(TRACEFS "kprobe_profile", "re");
	if (!f)
		fail("kprobe_profile");
	while (fscanf(f, "%63s %ld %ld", name, &hits, &missed) == 3)
		sum += hits + missed;
	fclose(f);
	return sum;
}

static void print_map(const char *when, const struct direct_map *m)
{
	printf("%s.4k %ld\n%s.2m %ld\n%s.1g %ld\n", when, m->kb4, when, m->kb2m, when,
	       m->kb1g);
}

/* mmap() and touch, and free, of one object; in instructions for all of it. */
static void one_object(int fd, int flags, uint64_t *touched, uint64_t *freed)
{
	uint64_t start;
	uint8_t *p;

	if (fd < 0)
		fail("object");
	start = tsc();
	p = mmap(NULL, ROW_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | flags, fd, 0);
	if (p == MAP_FAILED)
		fail("mmap");
	touch(p, ROW_BYTES);
	*touched = tsc() - start;
	start = tsc();
	munmap(p, ROW_BYTES);
	close(fd);
	if (um_shrink())
		fail("shrink");
	*freed = tsc() - start;
}

static void release_row(const char *peer)
{
	long blocks = um_stat("pages_owned") / (long)(BLOCK / PAGE);
	uint64_t start = tsc();

	if (blocks < 1 || um_shrink() || um_stat("pages_owned"))
		fail("the cache holds nothing to release, or keeps it");
	printf("row release-block 9 1 %.0f %s __free_pages\n",
	       (double)(tsc() - start) / (double)blocks, peer);
}

static void rows(const char *release, double memset_cost)
{
	static const struct {
		const char *name;
		int order, flags;
		uint32_t create;
	} cases[] = {
		{ "object-touch", 9, 0, 0 },
		{ "object-populate", 9, MAP_POPULATE, 0 },
		{ "object-touch", 0, 0, UNMAPPED_CREATE_NOHUGE },
		{ "object-populate", 0, MAP_POPULATE, UNMAPPED_CREATE_NOHUGE },
	};
	uint64_t touched, freed, peer_touched, peer_freed;
	double pages = (double)ROW_BYTES / PAGE, clear;
	size_t i;

	calibrate();
	release_row(release);
	clear = clear_cost();
	/* Once for what is done only once. */
	one_object(secretmem_open(ROW_BYTES), 0, &peer_touched, &peer_freed);
	one_object(um_create(ROW_BYTES, 0, UNMAPPED_ANY_NODE), 0, &touched, &freed);
	one_object(secretmem_open(ROW_BYTES), 0, &peer_touched, &peer_freed);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		one_object(um_create(ROW_BYTES, cases[i].create, UNMAPPED_ANY_NODE),
			   cases[i].flags, &touched, &freed);
		printf("row %s %d 1 %.0f %.0f memfd_secret\n", cases[i].name,
		       cases[i].order, (double)touched / pages - clear,
		       (double)peer_touched / pages - clear);
		if (cases[i].flags)
			continue;
		printf("row object-free %d 1 %.0f %.0f memfd_secret\n", cases[i].order,
		       (double)freed / pages - clear,
		       (double)peer_freed / pages - memset_cost);
	}
	printf("complete 1\n");
}

int main(int argc, char **argv)
{
	const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	struct direct_map before, in_use, after;
	uint64_t touch_cost = 0, free_cost = 0, start;
	struct secret secret, control;
	struct secret both[2];
	long found[2], flushed = 0, number;
	bool counting, unmapped;
	uint8_t *p[OBJECTS], *ordinary;
	int fd[OBJECTS], i;
	double clear = 0;
	size_t at;

	if (argc < 2)
		return 2;
	unmapped = !strcmp(argv[1], "unmapped");
	counting = argc > 2 && !strcmp(argv[2], "flushes");
	if (setrlimit(RLIMIT_MEMLOCK, &unlimited))
		fail("setrlimit");
	if (!strcmp(argv[1], "rows")) {
		if (argc != 4)
			fail("usage");
		rows(argv[2], atof(argv[3]));
		return 0;
	}
	if (counting) {
		arm_probes();
	} else {
		calibrate();
		clear = clear_cost();
	}
	secret_new(&secret);
	secret_new(&control);
	ordinary = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);
	if (ordinary == MAP_FAILED)
		fail("mmap");
	secret_write(ordinary, &control);

	direct_map_read(&before);
	print_map("before", &before);
	printf("pages %lu\n", PAGES);

	number = counting ? flushes() : 0;
	for (i = 0; i < OBJECTS; i++) {
		fd[i] = unmapped ? um_create(OBJECT_BYTES, 0, UNMAPPED_ANY_NODE)
				 : secretmem_open(OBJECT_BYTES);
		if (fd[i] < 0)
			fail("object");
		start = tsc();
		p[i] = map_shared(fd[i], OBJECT_BYTES);
		if (!p[i])
			fail("mmap of an object");
		touch(p[i], OBJECT_BYTES);
		touch_cost += tsc() - start;
	}
	if (counting)
		flushed += flushes() - number;
	for (i = 0; i < OBJECTS; i++)
		for (at = 0; at < OBJECT_BYTES; at += PAGE)
			secret_write(p[i] + at, &secret);
	direct_map_read(&in_use);
	print_map("in_use", &in_use);

	if (!counting) {
		printf("progress attack\n");
		fflush(stdout);
		both[0] = secret;
		both[1] = control;
		if (attack(both, 2, found) < 0)
			fail("attacker");
		printf("secret_found %ld\ncontrol_found %ld\n", found[0], found[1]);
	}
	for (i = 0; i < OBJECTS; i++)
		for (at = 0; at < OBJECT_BYTES; at += PAGE)
			if (!secret_at(p[i] + at, &secret))
				fail("a secret is no longer there");

	number = counting ? flushes() : 0;
	for (i = 0; i < OBJECTS; i++) {
		start = tsc();
		munmap(p[i], OBJECT_BYTES);
		close(fd[i]);
		free_cost += tsc() - start;
	}
	if (unmapped) {
		start = tsc();
		if (um_shrink())
			fail("shrink");
		free_cost += tsc() - start;
	}
	if (counting)
		flushed += flushes() - number;
	direct_map_read(&after);
	print_map("after", &after);
	if (unmapped && um_stat("pages_owned"))
		fail("memory is still owned after the shrink");
	printf("splits.2m %ld\nsplits.1g %ld\n", after.splits2m - before.splits2m,
	       after.splits1g - before.splits1g);
	if (counting) {
		/* Each kind has some, however few. */
		if (!flushed) {
			errno = ENODATA;
			fail("flushes");
		}
		printf("flushes %ld\n", flushed);
	} else {
		printf("touch %.0f\nfree %.0f\nclear %.0f\n", (double)touch_cost / PAGES,
		       (double)free_cost / PAGES, clear);
	}
	printf("complete 1\n");
	return 0;
}
