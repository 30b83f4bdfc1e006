// SPDX-License-Identifier: MIT
/*
 * populate - what MAP_POPULATE allocates and for whom, what is left when there is
 * not enough, and threads that populate and touch the same at the same time.
 */
#define _GNU_SOURCE
#include "guest.h"
#include "mapping.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void populated(void)
{
	const size_t bytes = 128 * MIB;
	long nr, flushed, taken;
	uint8_t *p, *q;
	int fd;

	if (um_shrink())
		die("shrink");
	fd = object(bytes, 0);
	flushed = um_stat("flushes");
	taken = um_stat("blocks_taken");
	p = map(fd, bytes, 0, NULL, MAP_POPULATE);
	flushed = um_stat("flushes") - flushed;
	taken = um_stat("blocks_taken") - taken;
	ok(allocated_is((long)(bytes / PAGE)), "MAP_POPULATE allocates all");
	ok(taken == 64 && flushed == 2, "64 blocks (%ld), two flushes (%ld)", taken,
	   flushed);
	nr = faults();
	ok(is_zero(p, bytes), "all of it zero");
	fill(p, 0, bytes);
	nr = faults() - nr;
	ok(nr <= 66, "touched: at most a fault for 2 MiB (%ld)", nr);
	q = map(fd, bytes, 0, NULL, MAP_POPULATE);
	ok(damage(q, 0, bytes) == 0 && allocated_is((long)(bytes / PAGE)),
	   "a second time: nothing to do");
	munmap(q, bytes);
	munmap(p, bytes);
	close(fd);
	all_gone("MAP_POPULATE");

	fd = object(3 * BLOCK + 7 * PAGE, 0);
	q = room(4 * BLOCK, PAGE);
	p = map(fd, BLOCK, BLOCK / 2, q, MAP_POPULATE);
	ok(p == q && allocated_is(2 * 512), "MAP_FIXED, parts of two blocks: both");
	p = map(fd, BLOCK + 3 * PAGE, 2 * BLOCK + 4 * PAGE, q + 2 * BLOCK, MAP_POPULATE);
	ok(allocated_is(3 * 512 + 7), "up to the object's end: a block and pages");
	fill(q, BLOCK / 2, BLOCK);
	fill(p, 2 * BLOCK + 4 * PAGE, BLOCK + 3 * PAGE);
	ok(damage(q, BLOCK / 2, BLOCK) == 0 &&
		   damage(p, 2 * BLOCK + 4 * PAGE, BLOCK + 3 * PAGE) == 0,
	   "all can be written");
	munmap(q, 4 * BLOCK);
	close(fd);
	all_gone("parts populated");

	fd = um_open();
	p = map(fd, PAGE, 0, NULL, MAP_POPULATE);
	ok(allocated_is(1), "a page populated");
	q = map(fd, BLOCK, 0, NULL, MAP_POPULATE | MAP_NONBLOCK);
	ok(allocated_is(1), "not with MAP_NONBLOCK");
	munmap(q, BLOCK);
	q = map(fd, BLOCK, 0, NULL, MAP_POPULATE);
	ok(allocated_is(512), "the others of its block");
	munmap(q, BLOCK);
	munmap(p, PAGE);
	close(fd);

	fd = object(BLOCK, 0);
	p = map(fd, BLOCK, 0, NULL, MAP_LOCKED);
	ok(allocated_is(512), "MAP_LOCKED allocates too");
	munmap(p, BLOCK);
	close(fd);

	/* An mmap that fails leaves no order for the next one. */
	fd = open(DEVICE, O_RDONLY | O_CLOEXEC);
	p = mmap(NULL, BLOCK, RW, MAP_SHARED | MAP_POPULATE, fd, 0);
	ok_errno(p == MAP_FAILED ? -1 : 0, EACCES, "no writing: refused");
	p = mmap(NULL, BLOCK, PROT_READ, MAP_SHARED, fd, 0);
	ok(p != MAP_FAILED && allocated_is(0), "and the next mmap does not populate");
	munmap(p, BLOCK);
	p = mmap(NULL, BLOCK, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_POPULATE, fd, 0);
	ok_errno(p == MAP_FAILED ? -1 : 0, EPERM, "PROT_EXEC: refused");
	p = mmap(NULL, BLOCK, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
	ok_errno(p == MAP_FAILED ? -1 : 0, EINVAL, "MAP_PRIVATE: refused");
	ok(allocated_is(0), "nothing was allocated");
	close(fd);

	all_gone("populated");
}

/* As an ordinary user: what could not be populated is neither held nor charged. */
static int populate_too_much(void *arg)
{
	size_t bytes = (size_t)meminfo("MemTotal") * 1024 / BLOCK * BLOCK;
	const struct rlimit limit = { bytes, bytes };
	int fd;
	uint8_t *p;

	(void)arg;
	if (setrlimit(RLIMIT_MEMLOCK, &limit) || setgid(1000) || setuid(1000))
		return 1;
	fd = um_open();
	p = mmap(NULL, bytes, RW, MAP_SHARED | MAP_POPULATE, fd, 0);
	if (p != MAP_FAILED || errno != ENOMEM)
		return 2;
	p = mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED || !is_zero(p, PAGE))
		return 3;
	/* All but that page can be charged for another. */
	fd = um_create(bytes - PAGE, 0, UNMAPPED_ANY_NODE);
	if (fd < 0)
		return 4;
	p[0] = 1;
	return 0;
}

static void populated_in_vain(void)
{
	int status;

	if (chmod(DEVICE, 0666))
		die("chmod");
	status = in_child(populate_too_much, NULL);
	ok(status == 0, "more than there is: ENOMEM, nothing held or charged (%d)",
	   status);
	all_gone("populated in vain");
	chmod(DEVICE, 0600);
}

/* Two processes map one open file: only one of them wants it populated. */
static void populated_by_one(void)
{
	enum { ROUNDS = 400 };
	int fd = object(4 * ROUNDS * PAGE - PAGE, 0), i, status = -1, bad = 0;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	for (i = 0; i < ROUNDS; i++) {
		void *p = mmap(NULL, PAGE, RW, MAP_SHARED | (pid ? 0 : MAP_POPULATE), fd,
			       (off_t)((pid ? 2 * ROUNDS : 0) + i) * (off_t)PAGE);

		bad += p == MAP_FAILED || munmap(p, PAGE);
	}
	if (!pid)
		_exit(bad != 0);
	waitpid(pid, &status, 0);
	/* Blocks around what was populated, all of which is below the middle. */
	ok(!bad && !status && allocated_is((ROUNDS + 511) / 512 * 512),
	   "two processes, one populates: its part is there (%ld)",
	   um_stat("pages_allocated"));
	close(fd);
	all_gone("populated by one");
}

/* --- races ----------------------------------------------------------------- */

enum { THREADS = 4, RACES = 60 };

static struct {
	pthread_barrier_t start, end;
	uint8_t *p, *skewed;
	int fd;
} race;

static void *racer(void *arg)
{
	size_t me = (size_t)arg, i, round;

	for (round = 0; round < RACES; round++) {
		pthread_barrier_wait(&race.start);
		/* Each has words of its own in all pages; the last maps, too. */
		if (me == THREADS - 1) {
			void *p = mmap(NULL, 2 * BLOCK, RW, MAP_SHARED | MAP_POPULATE,
				       race.fd, 0);

			if (p == MAP_FAILED || munmap(p, 2 * BLOCK))
				die("mmap in a race");
		}
		for (i = 0; i < 2 * BLOCK / PAGE; i++) {
			size_t at = me & 1 ? 2 * BLOCK / PAGE - 1 - i : i;
			uint8_t *p = me == 2 ? race.skewed : race.p;

			((volatile uint64_t *)(p + at * PAGE))[me] = PATTERN(at + me);
		}
		pthread_barrier_wait(&race.end);
	}
	return NULL;
}

static void raced(void)
{
	pthread_t thread[THREADS];
	size_t i, at;
	int round;
	long bad = 0, wrong = 0;

	pthread_barrier_init(&race.start, NULL, THREADS + 1);
	pthread_barrier_init(&race.end, NULL, THREADS + 1);
	for (i = 0; i < THREADS; i++)
		if (pthread_create(&thread[i], NULL, racer, (void *)i))
			die("thread");
	for (round = 0; round < RACES; round++) {
		race.fd = object(2 * BLOCK, 0);
		race.p = map(race.fd, 2 * BLOCK, 0, NULL, 0);
		race.skewed = map(race.fd, 2 * BLOCK, 0, room(2 * BLOCK, 5 * PAGE), 0);
		pthread_barrier_wait(&race.start);
		pthread_barrier_wait(&race.end);
		for (at = 0; at < 2 * BLOCK / PAGE; at++)
			for (i = 0; i < THREADS; i++)
				bad += ((uint64_t *)(race.p + at * PAGE))[i] !=
				       PATTERN(at + i);
		wrong += !allocated_is(2 * 512);
		munmap(race.p, 2 * BLOCK);
		munmap(race.skewed - 5 * PAGE, 4 * BLOCK);
		close(race.fd);
	}
	for (i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	ok(!bad, "%d threads touch and populate the same: all is written", THREADS);
	ok(!wrong, "and no page is allocated twice");
	all_gone("races");
}

int main(void)
{
	populated();
	populated_in_vain();
	populated_by_one();
	raced();
	ok(um_stat("quarantined") == 0, "nothing in quarantine");
	return finish();
}
