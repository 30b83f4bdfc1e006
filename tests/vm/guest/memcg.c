// SPDX-License-Identifier: MIT
/*
 * memcg - unmapped memory is charged to the memory cgroup of who touches it,
 * until it is freed; and a limit is an error of that cgroup's, not a death.
 */
#include "guest.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CGROUPS "/tmp/cgroup"
#define GROUP	CGROUPS "/group"
#define LIMIT	(64 * MIB)
#define SLACK	(4 * (long)MIB) /* page tables, the process itself */
#define KTESTS	"/sys/kernel/debug/unmapped_test/run"

static long current_bytes(void)
{
	return file_number(GROUP "/memory.current");
}

static long oom_kills(void)
{
	return file_value(GROUP "/memory.events", "oom_kill");
}

static void join(void)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", getpid());
	if (file_write(GROUP "/cgroup.procs", pid))
		_exit(100);
}

/* How many MiB of an object can be touched? */
static int touch_in_group(void *arg)
{
	size_t bytes = *(size_t *)arg, at;
	uint8_t *p;
	int fd;

	join();
	fd = um_create(bytes, 0, UNMAPPED_ANY_NODE);
	p = fd < 0 ? NULL : map_shared(fd, bytes);
	if (!p)
		return 101;
	for (at = 0; at < bytes; at += PAGE)
		if (raises(p + at, true, SIGBUS))
			break;
	return (int)(at / MIB);
}

static int run_in_group(void *unused)
{
	bool charged = false, failed = false;
	char line[256];
	FILE *f;

	(void)unused;
	join();
	f = fopen(KTESTS, "re");
	if (!f)
		return 100;
	while (fgets(line, sizeof(line), f)) {
		if (!strncmp(line, "not ok", 6)) {
			failed = true;
			note("%s", line);
		}
		charged |= !strncmp(line, "ok", 2) && strstr(line, "are charged");
	}
	fclose(f);
	return failed ? 1 : charged ? 0 : 2;
}

/* Pages of a cgroup that is empty go on being charged while others hold them. */
static bool becomes_empty(void)
{
	int i;

	for (i = 0; i < 100 && current_bytes() > SLACK; i++)
		usleep(100000);
	return current_bytes() <= SLACK;
}

int main(void)
{
	size_t bytes = 32 * MIB;
	long before, with, kills;
	char limit[32];
	uint8_t *p;
	pid_t pid;
	int fd, touched;

	mkdir(CGROUPS, 0755);
	if (mount("cgroup2", CGROUPS, "cgroup2", 0, NULL) ||
	    file_write(CGROUPS "/cgroup.subtree_control", "+memory") ||
	    mkdir(GROUP, 0755))
		die("cgroup");
	before = current_bytes();
	pid = fork();
	if (!pid) {
		join();
		fd = um_create(bytes, 0, UNMAPPED_ANY_NODE);
		p = fd < 0 ? NULL : map_shared(fd, bytes);
		if (p)
			touch(p, bytes);
		pause();
		_exit(0);
	}
	if (!um_stat_becomes("pages_allocated", (long)(bytes / PAGE), 20))
		die("touch");
	with = current_bytes();
	ok(with - before >= (long)bytes && with - before < (long)bytes + SLACK,
	   "what is touched is charged (%ld kB for %zu)", (with - before) / 1024,
	   bytes / 1024);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	ok(becomes_empty(), "what is freed is not (%ld kB)", current_bytes() / 1024);

	snprintf(limit, sizeof(limit), "%lu", LIMIT);
	if (file_write(GROUP "/memory.max", limit))
		die("memory.max");
	kills = oom_kills();
	touched = in_child(touch_in_group, &bytes);
	ok(touched == (int)(bytes / MIB), "under the limit: all of it (%d MiB)", touched);
	bytes = 2 * LIMIT;
	touched = in_child(touch_in_group, &bytes);
	ok(touched >= (int)((LIMIT - SLACK) / MIB) - 2 && touched <= (int)(LIMIT / MIB),
	   "over the limit: SIGBUS at it (%d MiB of %zu)", touched, bytes / MIB);
	ok(oom_kills() == kills, "over the limit: nobody is killed");
	ok(um_stat_becomes("pages_allocated", 0, 20), "over the limit: nothing is kept");
	ok(becomes_empty(), "over the limit: nor charged (%ld kB)",
	   current_bytes() / 1024);
	ok(in_child(touch_in_group, &(size_t){ 32 * MIB }) == 32,
	   "afterwards the cgroup has its memory again");
	if (file_write(GROUP "/memory.max", "max"))
		die("memory.max");

	/* Those tests want the system to have memory, not the cache. */
	if (um_shrink())
		die("shrink");
	ok(in_child(run_in_group, NULL) == 0,
	   "pages charged in one order, freed in another");
	ok(becomes_empty(), "and all charges are gone (%ld kB)", current_bytes() / 1024);
	ok(!rmdir(GROUP), "the cgroup can be removed");
	umount(CGROUPS);
	return finish();
}
