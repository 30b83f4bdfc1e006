// SPDX-License-Identifier: MIT
/*
 * healing - objects live in pieces, as one page in each block of memory is
 * pinned; then they are pinned no more, and the direct map heals while the objects
 * are mapped and written to all the time.
 */
#define _GNU_SOURCE
#include "fragment.h"
#include "guest.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define BYTES	(12 * MIB)
#define PAGES	(BYTES / PAGE)
#define OBJECTS 3 /* that share it */
#define MAX_HAD 64
#define SYSFS	"/sys/kernel/mm/unmapped/"
#define HEAL_MS SYSFS "heal_ms"
#define SLOT	128 /* where a page has its counters */

/* --- writing all the while ------------------------------------------------- */

struct writer {
	uint8_t *p;
	unsigned int slot;
	atomic_bool *stop;
	uint32_t rounds;
	bool lost;
};

/* Each page counts its rounds; a write that is lost is seen in the next one. */
static void *write_on(void *arg)
{
	struct writer *w = arg;
	size_t i;

	for (; !atomic_load(w->stop); w->rounds++) {
		for (i = 0; i < PAGES; i++) {
			volatile uint32_t *count =
				(volatile uint32_t *)(w->p + i * PAGE + w->slot);

			w->lost |= *count != w->rounds;
			*count = w->rounds + 1;
		}
	}
	return NULL;
}

static bool all_count(const uint8_t *p, const struct writer *w)
{
	size_t i;

	for (i = 0; i < PAGES; i++)
		if (*(const volatile uint32_t *)(p + i * PAGE + w->slot) != w->rounds)
			return false;
	return true;
}

static size_t secrets_there(const uint8_t *p, const struct secret *s)
{
	size_t i, n = 0;

	for (i = 0; i < PAGES; i++)
		n += secret_at(p + i * PAGE, s);
	return n;
}

/* Objects side by side. */
static uint8_t *map_objects(int *fd)
{
	const size_t each = BYTES / OBJECTS;
	uint8_t *p = mmap(NULL, BYTES + BLOCK, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	size_t i;

	if (p == MAP_FAILED)
		die("mmap");
	p = (uint8_t *)(((uintptr_t)p + BLOCK - 1) & ~(BLOCK - 1));
	for (i = 0; i < OBJECTS; i++) {
		fd[i] = um_open();
		if (fd[i] < 0 || mmap(p + i * each, each, PROT_READ | PROT_WRITE,
				      MAP_SHARED | MAP_FIXED, fd[i], 0) == MAP_FAILED)
			die("object");
	}
	return p;
}

/*
 * Whole blocks are still there: compaction is not patient, the allocator is, and what
 * the kernel itself holds may be movable.  Takes them, for as long as it gets any.
 * Returns how many; their objects are left in @fd.
 */
static int take_what_is_had(int *fd)
{
	int i;

	for (i = 0; i < MAX_HAD; i++) {
		uint8_t *p;

		fd[i] = um_open();
		if (fd[i] < 0)
			die("object");
		p = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, fd[i], 0);
		if (p == MAP_FAILED)
			die("mmap");
		touch(p, BLOCK);
		munmap(p, BLOCK);
		if (!um_stat("pieces_taken"))
			continue;
		close(fd[i]);
		if (um_shrink() || !um_stat_becomes("pages_owned", i * (BLOCK / PAGE), 5))
			die("pieces that stay");
		break;
	}
	return i;
}

/* Room for one block more than there is now: the second that is asked for is not had. */
static void limit_to_one_more(void)
{
	char text[32];

	snprintf(text, sizeof(text), "%lu",
		 (unsigned long)file_number(SYSFS "owned_kb") + BLOCK / 1024);
	if (file_write(SYSFS "limit_kb", text))
		die("limit_kb %s", text);
}

static bool heals(const struct direct_map *start, int seconds)
{
	struct direct_map now;
	int i;

	for (i = 0; i < seconds * 10; i++) {
		direct_map_read(&now);
		if (direct_map_same(start, &now))
			return true;
		usleep(100000);
	}
	direct_map_note("still", &now);
	return false;
}

int main(void)
{
	static struct writer *child, mine;
	static atomic_bool *stop;
	struct direct_map start, now;
	struct secret secret;
	pthread_t thread;
	int fd[OBJECTS], had_fd[MAX_HAD], had, ring, nr;
	size_t i;
	long owned, pieces, refused;
	pid_t pid;
	uint8_t *p;

	if (um_shrink() || file_write(HEAL_MS, "0"))
		die("set up");
	direct_map_read(&start);
	direct_map_note("start", &start);
	ring = fragment(false, &nr);
	note("one page of %d blocks pinned", nr);
	take_whole_blocks();
	ok(whole_blocks() <= 2, "control: no whole block is free (%ld)", whole_blocks());

	had = take_what_is_had(had_fd);
	note("%d blocks were had all the same", had);
	pieces = um_stat("pieces_taken");

	p = map_objects(fd);
	secret_new(&secret);
	for (i = 0; i < PAGES; i++)
		secret_write(p + i * PAGE, &secret);
	direct_map_read(&now);
	direct_map_note("in pieces", &now);
	ok(um_stat("pieces_taken") > pieces && now.kb4 > start.kb4,
	   "control: it lives in pieces (%ld), and entries are split",
	   um_stat("pieces_taken") - pieces);
	owned = um_stat("pages_allocated");
	ok(owned == had * (long)(BLOCK / PAGE) + (long)PAGES, "and nobody else");

	/* Nothing is to be had: it asks, and all stays as it is. */
	if (file_write(HEAL_MS, "300"))
		die("heal_ms");
	for (i = 0; i < 100 && !um_stat("heal_asked"); i++)
		usleep(100000);
	ok(um_stat("heal_asked") > 0, "blocks are asked for");
	/* Mostly not had. What the kernel itself holds may be movable, though. */
	if (heals(&start, 2))
		note("there were blocks without pinned pages");
	ok(secrets_there(p, &secret) == PAGES, "and what it was");
	note("asked %ld, had %ld, moved %ld", um_stat("heal_asked"), um_stat("heal_got"),
	     um_stat("heal_moved"));

	/* Two processes write to all of it from now on. */
	child = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	if (child == MAP_FAILED)
		die("mmap");
	stop = (atomic_bool *)(child + 1);
	mine = (struct writer){ .p = p, .slot = SLOT, .stop = stop };
	*child = (struct writer){ .p = p, .slot = 2 * SLOT, .stop = stop };
	pid = fork();
	if (!pid) {
		write_on(child);
		_exit(0);
	}
	if (pid < 0 || pthread_create(&thread, NULL, write_on, &mine))
		die("writers");

	/* What is in the way can be moved now. */
	limit_to_one_more();
	refused = um_stat("heal_asked") - um_stat("heal_got");
	close(ring);
	if (file_write("/proc/sys/vm/nr_hugepages", "0"))
		die("nr_hugepages");
	ok(heals(&start, 90), "all is healed while it is in use");
	direct_map_read(&now);
	direct_map_note("healed", &now);
	note("asked %ld, had %ld, moved %ld", um_stat("heal_asked"), um_stat("heal_got"),
	     um_stat("heal_moved"));
	usleep(300000);
	atomic_store(stop, true);
	pthread_join(thread, NULL);
	waitpid(pid, NULL, 0);

	ok(mine.rounds && child->rounds, "both wrote (%u and %u rounds)", mine.rounds,
	   child->rounds);
	ok(!mine.lost && !child->lost, "no write was lost");
	ok(all_count(p, &mine) && all_count(p, child), "nor the last ones");
	ok(secrets_there(p, &secret) == PAGES, "the secret is in every page");
	ok(um_stat("pages_allocated") == owned, "nothing was freed");
	ok(um_stat("heal_got") > 0 && um_stat("heal_moved") > 0, "it is counted");
	note("%ld refused at the limit",
	     um_stat("heal_asked") - um_stat("heal_got") - refused);
	ok(um_stat("heals_2m") == um_stat("splits_2m"), "each split is healed");

	/* Nothing more to do: it asks no more. */
	i = (size_t)um_stat("heal_asked");
	usleep(1500000);
	ok(um_stat("heal_asked") == (long)i, "no more is asked for");
	munmap(p, BYTES);
	for (i = 0; i < OBJECTS; i++)
		close(fd[i]);
	while (had)
		close(had_fd[--had]);
	ok(!um_shrink() && um_stat_becomes("pages_owned", 0, 5), "all given back");
	direct_map_read(&now);
	ok(direct_map_same(&start, &now), "DirectMap is what it was");
	ok(um_stat("quarantined") == 0, "nothing in quarantine");
	return finish();
}
