// SPDX-License-Identifier: MIT
/*
 * pagetables - programs whose page tables are read-only in the direct map.
 *
 *	pagetables		all that changes page tables, in many processes
 *	pagetables rows SUFFIX	ns for what changes many of them, which with
 *				-icount are instructions
 */
#define _GNU_SOURCE
#include "guest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define STATS	 "/sys/kernel/debug/unmapped_pagetables"
#define TABLES	 256 /* a page in each */
#define CHILDREN 8
#define ROUNDS	 8

static uint8_t *map_anon(size_t bytes)
{
	uint8_t *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		die("mmap of %zu bytes", bytes);
	return p;
}

/* A page in each of TABLES tables. */
static uint8_t *spread(void)
{
	uint8_t *p = map_anon(TABLES * BLOCK);
	int i;

	for (i = 0; i < TABLES; i++)
		p[i * BLOCK] = (uint8_t)i;
	return p;
}

static int count_wrong(const uint8_t *p)
{
	int i, wrong = 0;

	for (i = 0; i < TABLES; i++)
		wrong += p[i * BLOCK] != (uint8_t)i;
	return wrong;
}

/* In a child: what programs do to their page tables. */
static int busy(void *arg)
{
	uint8_t *p = arg, *q, *moved;
	int i, wrong = count_wrong(p);

	for (i = 0; i < TABLES; i++)
		p[i * BLOCK]++; /* a copy of its own */
	for (i = 0; i < TABLES; i++)
		p[i * BLOCK]--;
	q = map_anon(4 * BLOCK);
	memset(q, 7, 4 * BLOCK);
	if (mprotect(q, 2 * BLOCK, PROT_READ) ||
	    mprotect(q, 2 * BLOCK, PROT_READ | PROT_WRITE))
		return 100;
	moved = mremap(q, 4 * BLOCK, 8 * BLOCK, MREMAP_MAYMOVE);
	if (moved == MAP_FAILED)
		return 101;
	for (i = 0; i < (int)(4 * BLOCK / PAGE); i++)
		wrong += moved[i * PAGE] != 7;
	if (madvise(moved, BLOCK, MADV_DONTNEED))
		return 102;
	wrong += !is_zero(moved, BLOCK);
	munmap(moved + BLOCK, BLOCK);
	return wrong + count_wrong(p) ? 103 : 0;
}

/* Tables of programs that have ended are freed after a grace period. */
static long settled(void)
{
	long now, before = -1;
	int tries;

	for (tries = 0; tries < 20; tries++) {
		now = file_value(STATS, "pages_allocated");
		if (now == before)
			break;
		before = now;
		usleep(500000);
	}
	return before;
}

static void stress(void)
{
	long start = settled(), held;
	struct direct_map before, after;
	int round, i, status, failed = 0;
	uint8_t *p;
	char self[] = "true";

	ok(start > 0, "page tables of this program are read-only ones (%ld)", start);
	direct_map_read(&before);
	p = spread();
	held = file_value(STATS, "pages_allocated") - start;
	ok(held >= TABLES, "%d more tables are (%ld)", TABLES, held);
	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < CHILDREN; i++) {
			fflush(stdout);
			if (fork())
				continue;
			status = busy(p);
			if (status)
				_exit(status);
			execl("/bin/busybox", "busybox", self, NULL);
			_exit(104);
		}
		while (wait(&status) > 0)
			failed += status != 0;
	}
	ok(!failed, "%d programs changed their page tables; %d failed", ROUNDS * CHILDREN,
	   failed);
	ok(count_wrong(p) == 0, "this one's are as they were");
	munmap(p, TABLES * BLOCK);
	held = settled() - start;
	ok(held <= 8, "they went back (%ld are still out)", held);
	ok(file_value(STATS, "quarantined") == 0, "nothing in quarantine");
	direct_map_read(&after);
	direct_map_note("start", &before);
	direct_map_note("end", &after);
	ok(after.splits2m == before.splits2m, "no 2 MiB entry was split");
	note("blocks taken %ld, pieces %ld, flushes %ld",
	     file_value(STATS, "blocks_taken"), file_value(STATS, "pieces_taken"),
	     file_value(STATS, "flushes"));
	ok(!log_has("WARNING") && !log_has("BUG:"), "no warning");
}

static int nothing(void *unused)
{
	return unused != NULL;
}

static int exec_true(void *unused)
{
	execl("/bin/busybox", "busybox", "true", NULL);
	return unused ? 1 : 2;
}

static void row(const char *what, const char *suffix, uint64_t before, unsigned long n)
{
	note("row %s%s %lu", what, suffix, (now_ns() - before) / n);
}

static void rows(const char *suffix)
{
	uint8_t *p, *q;
	uint64_t before;
	int i, round;

	/* The second round is the one that counts. */
	for (round = 0; round < 2; round++) {
		before = now_ns();
		for (i = 0; i < ROUNDS; i++)
			if (in_child(nothing, NULL))
				die("fork");
		if (round)
			row("fork", suffix, before, ROUNDS);
		before = now_ns();
		for (i = 0; i < ROUNDS; i++)
			if (in_child(exec_true, NULL))
				die("exec");
		if (round)
			row("fork-exec", suffix, before, ROUNDS);
		before = now_ns();
		p = spread();
		if (round)
			row("touch-of-new-table", suffix, before, TABLES);
		before = now_ns();
		for (i = 0; i < 4; i++)
			if (in_child(nothing, NULL))
				die("fork");
		if (round)
			row("fork-of-table", suffix, before, 4 * TABLES);
		before = now_ns();
		munmap(p, TABLES * BLOCK);
		if (round)
			row("unmap-of-table", suffix, before, TABLES);
		q = map_anon(16 * BLOCK);
		before = now_ns();
		touch(q, 16 * BLOCK);
		if (round)
			row("touch", suffix, before, 16 * BLOCK / PAGE);
		before = now_ns();
		mprotect(q, 16 * BLOCK, PROT_READ);
		mprotect(q, 16 * BLOCK, PROT_READ | PROT_WRITE);
		if (round)
			row("mprotect-of-page", suffix, before, 2 * 16 * BLOCK / PAGE);
		before = now_ns();
		munmap(q, 16 * BLOCK);
		if (round)
			row("unmap", suffix, before, 16 * BLOCK / PAGE);
	}
	ok(true, "measured");
}

int main(int argc, char **argv)
{
	/* A table for each 2 MiB, and none of these mapped by one entry. */
	file_write("/sys/kernel/mm/transparent_hugepage/enabled", "never");
	if (argc == 3 && !strcmp(argv[1], "rows"))
		rows(argv[2]);
	else if (argc == 1)
		stress();
	else
		die("unknown argument %s", argv[1]);
	return finish();
}
