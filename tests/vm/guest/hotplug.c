// SPDX-License-Identifier: MIT
/*
 * hotplug - CPUs and memory come and go.
 *
 *	cpu		a CPU that goes offline leaves nothing behind
 *	memory		memory added later is used, goes offline when it is free, is
 *			refused when it is in use, and can be taken out
 *	quarantine	memory with a broken block is refused
 */
#define _GNU_SOURCE
#include "guest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define HOLD  "/sys/kernel/debug/unmapped_test/hold"
#define SPOIL "/sys/kernel/debug/unmapped_test/spoil"
#define CPU1  "/sys/devices/system/cpu/cpu1/online"
/*
 * Blocks of memory in which the kernel itself may have put what it can't move, page
 * tables of the very process that asks among them.
 */
#define OF_KERNEL 4
#define MEMORY	  "/sys/devices/system/memory"

static void must_write(const char *path, const char *text)
{
	int err = file_write(path, text);

	errno = -err;
	if (err)
		die("%s to %s", text, path);
}

/* --- CPUs ----------------------------------------------------------------- */

/* Leave pages in this CPU's magazines. */
static void use_this_cpu(void)
{
	const size_t n = 100 * PAGE;
	int fd = um_open();
	uint8_t *p = fd < 0 ? NULL : map_shared(fd, n);

	if (!p)
		die("object");
	touch(p, n);
	close(fd);
	munmap(p, n);
}

static void cpu(void)
{
	int round;

	for (round = 1; round <= 3; round++) {
		run_on(1);
		use_this_cpu();
		run_on(0);
		must_write(CPU1, "0");
		ok(um_stat("pages_owned") > 0,
		   "round %d: control: the cache is not empty", round);
		if (um_shrink())
			die("shrink");
		ok(um_stat("pages_free") == 0 && um_stat("pages_owned") == 0,
		   "round %d: CPU 1 offline: all is given back (%ld pages are not)",
		   round, um_stat("pages_owned"));
		use_this_cpu();
		must_write(CPU1, "1");
		run_on(1);
		use_this_cpu();
		run_on(0);
		if (um_shrink())
			die("shrink");
		ok(um_stat("pages_owned") == 0, "round %d: and when it is back", round);
	}
}

/* --- memory --------------------------------------------------------------- */

/*
 * Of the DIMM at FIRST, which is to go again.  One below it stays: the kernel's
 * own allocations, which can't be moved, go to the memory that came first.
 */
#define FIRST 40

static char blocks[64][256];
static int nr_blocks;

static void block_path(char path[320], int i, const char *file)
{
	snprintf(path, 320, MEMORY "/%s/%s", blocks[i], file);
}

static bool block_is(int i, const char *state)
{
	char path[320], text[32] = "";
	FILE *f;

	block_path(path, i, "state");
	f = fopen(path, "re");
	if (!f || !fgets(text, sizeof(text), f))
		die("%s", path);
	fclose(f);
	return !strncmp(text, state, strlen(state)) && text[strlen(state)] == '\n';
}

/* Those that are offline from boot on, but for those that stay. */
static void find_blocks(void)
{
	DIR *dir = opendir(MEMORY);
	struct dirent *e;
	char path[320];

	while (dir && (e = readdir(dir))) {
		if (strncmp(e->d_name, "memory", 6) || nr_blocks == ARRAY_SIZE(blocks))
			continue;
		snprintf(blocks[nr_blocks], sizeof(blocks[0]), "%s", e->d_name);
		if (!block_is(nr_blocks, "offline"))
			continue;
		block_path(path, nr_blocks, "state");
		if (atoi(e->d_name + 6) < FIRST)
			must_write(path, "online_kernel");
		else
			nr_blocks++;
	}
	if (dir)
		closedir(dir);
}

/* Return: 0 or -errno; -EINTR when it takes longer than @seconds. */
static int change(int i, const char *state, int seconds)
{
	char path[320];
	int status;
	pid_t pid;

	block_path(path, i, "state");
	fflush(stdout);
	pid = fork();
	if (!pid) {
		alarm((unsigned int)seconds); /* kills; the kernel looks for signals */
		_exit(-file_write(path, state));
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EINTR;
}

static int change_all(const char *state)
{
	int i, done = 0, err;

	for (i = 0; i < nr_blocks; i++) {
		err = change(i, state, 20);
		if (err)
			note("%s %s: %s", blocks[i], state, strerror(-err));
		done += !err;
	}
	return done;
}

static long hold(int blocks_to_hold)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", blocks_to_hold);
	file_write(HOLD, text);
	return file_number(HOLD);
}

/* Allocates and frees until it is killed. */
static pid_t busy(void)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid)
		for (;;)
			use_this_cpu();
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void memory(void)
{
	/* More than there is without the DIMM, less than there is with it. */
	const int most = (int)(meminfo("MemTotal") / 2048) + 64;
	struct direct_map start, map;
	long before, held, splits;
	int i, good, rounds;
	uint8_t *p;
	pid_t pid;
	int fd;

	ok(nr_blocks == 8, "a DIMM of 1 GiB is there, offline");
	ok(hold(most) < most, "control: without it %d blocks can't be held", most);
	hold(0);
	um_shrink();
	direct_map_read(&start);
	direct_map_note("without", &start);

	/* Memory at addresses that there were not when the module was loaded. */
	ok(change_all("online_kernel") == nr_blocks, "it is brought online");
	held = hold(most);
	ok(held == most, "with it they can (%ld)", held);
	/* Nearly all there is, so that no memory is free of them. */
	held = hold((int)(held + meminfo("MemFree") / 2048 - 32));
	good = change_all("offline");
	ok(good == 0, "in use: refused (%d of %d are offline)", good, nr_blocks);
	for (i = 0, good = 0; i < nr_blocks; i++)
		good += block_is(i, "online");
	ok(good == nr_blocks, "and stays online");
	hold(0);
	before = um_stat("pages_owned");
	ok(um_stat("pages_allocated") == 0 && before >= held * 512,
	   "free, and kept in the cache (%ld pages)", before);
	splits = um_splits();

	good = change_all("offline");
	ok(good >= nr_blocks - OF_KERNEL, "in the cache: goes offline (%d of %d)", good,
	   nr_blocks);
	ok(!log_has("stays online"),
	   "and where it does not, it is not for what is cached");
	before -= um_stat("pages_owned");
	ok(before > good * 128 * 256 / 2, "%ld pages were given back for it", before);
	ok(um_stat("pages_owned") > 0, "and no others");
	ok(um_splits() == splits, "nothing was split for it");
	um_shrink();
	direct_map_read(&map);
	direct_map_note("offline", &map);
	ok(map.kb4 == start.kb4 && map.kb2m + map.kb1g == start.kb2m + start.kb1g,
	   "the direct map is whole");

	/* Coming and going while pages are allocated and freed. */
	pid = busy();
	for (rounds = 0, good = 0; rounds < 3; rounds++) {
		good += change_all("online_kernel");
		fd = um_open();
		p = fd < 0 ? NULL : map_shared(fd, 64 * MIB);
		if (!p)
			die("object");
		touch(p, 64 * MIB);
		munmap(p, 64 * MIB);
		close(fd);
		for (i = 0; i < nr_blocks; i++) {
			/* What is in use at that moment is refused. */
			int tries = 0, err;

			do {
				err = change(i, "offline", 20);
			} while (err == -EBUSY && ++tries < 500);
			if (err)
				note("%s: %s", blocks[i], strerror(-err));
			good += !err;
		}
	}
	end(pid);
	ok(good >= 6 * (nr_blocks - OF_KERNEL),
	   "three times, while somebody allocates (%d of %d)", good, 6 * nr_blocks);

	if (good == 6 * nr_blocks) {
		must_write("/sys/bus/acpi/devices/PNP0C80:01/eject", "1");
		for (i = 0; i < 100 && !access(MEMORY "/memory40", F_OK); i++)
			usleep(100000);
		ok(access(MEMORY "/memory40", F_OK), "the DIMM is taken out");
		ok(hold(most) < most, "without it they can't be held again");
	} else {
		skip("the kernel has pages of its own there: the DIMM stays");
	}
	hold(0);
	um_shrink();
	ok(um_stat("pages_owned") == 0, "all is given back");
	direct_map_read(&map);
	direct_map_note("taken out", &map);
	ok(um_stat("quarantined") == 0, "nothing in quarantine");
}

static void quarantine(void)
{
	int offline;

	if (change_all("online_kernel") != nr_blocks)
		die("online");
	must_write(SPOIL, "0x140000");
	if (um_shrink())
		die("shrink");
	ok(um_stat("quarantined") == 1, "control: a block is in quarantine");
	ok(um_stat("pages_owned") == 512, "and nothing else is left");
	offline = change_all("offline");
	ok(offline < nr_blocks && offline >= nr_blocks - 1 - OF_KERNEL,
	   "all but its memory goes offline (%d of %d)", offline, nr_blocks);
	ok(log_has("stays online: 512 of its pages can't be given back"),
	   "and the log says why");
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (strcmp(what, "cpu"))
		find_blocks();
	if (!strcmp(what, "cpu"))
		cpu();
	else if (!strcmp(what, "memory"))
		memory();
	else if (!strcmp(what, "quarantine"))
		quarantine();
	else
		die("usage: hotplug cpu|memory|quarantine");
	return finish();
}
