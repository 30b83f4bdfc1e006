// SPDX-License-Identifier: MIT
/*
 * soak - many processes map, touch, fork, share and die at random, while
 * another one takes memory until the shrinker has to give blocks back.  Half of
 * them are in a cgroup with a limit, a CPU goes and comes, and a virtual machine
 * runs on unmapped memory, again and again.  Where the kernel has the allocator built
 * in, its own users come and go, too: see insiders.h.
 *
 * SOAK_SECONDS of it; a seed that can be given again with SOAK_SEED.  At the
 * end nothing may be left: no page allocated or owned, free memory back, the
 * direct map as it was.
 */
#define _GNU_SOURCE
#include "code.h"
#include "guest.h"
#include "insiders.h"
#include "machine.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WORKERS	    8
#define ALL_WORKERS (WORKERS + 2) /* two have secrets */
#define OBJECTS	    6
#define MAX_PAGES   768 /* 3 MiB: one and a half block */
#define CGROUPS	    "/tmp/cgroup"
#define GROUP	    CGROUPS "/group"
#define LIMIT	    "16777216"
#define CPU1	    "/sys/devices/system/cpu/cpu1/online"

struct shared {
	volatile long made, touched, killed, forked, no_memory, dirty, wrong;
	volatile long machines, turns; /* virtual machines; of CPU 1, off and on */
	volatile long secrets, modules, programs, interpreted, odd; /* of insiders */
	volatile time_t end;
};

static struct shared *count;

#define COUNT(what) __atomic_add_fetch(&count->what, 1, __ATOMIC_RELAXED)

static time_t now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

static bool over(void)
{
	return now_s() >= count->end;
}

struct object {
	uint64_t *p;
	size_t pages;
};

static uint64_t stamp(const struct object *o, size_t page, unsigned int seed)
{
	return (uint64_t)(uintptr_t)o ^ page << 40 ^ seed ^ 1;
}

static void make(struct object *o, unsigned int *seed, unsigned int id)
{
	size_t words = PAGE / sizeof(uint64_t), i;
	int fd;

	o->pages = 1 + rand_r(seed) % MAX_PAGES;
	if (rand_r(seed) % 2)
		fd = um_open();
	else
		fd = um_create(o->pages * PAGE, 0, rand_r(seed) % 3 - 1);
	if (fd < 0)
		goto failed;
	o->p = map_shared(fd, o->pages * PAGE);
	close(fd);
	if (!o->p)
		goto failed;
	COUNT(made);
	for (i = 0; i < o->pages; i++) {
		if (raises((uint8_t *)(o->p + i * words), false, SIGBUS)) {
			COUNT(no_memory);
			munmap(o->p, o->pages * PAGE);
			o->p = NULL;
			return;
		}
		if (!is_zero(o->p + i * words, PAGE))
			COUNT(dirty);
		o->p[i * words] = stamp(o, i, id);
		o->p[i * words + words - 1] = stamp(o, i, id);
		COUNT(touched);
	}
	return;
failed:
	o->p = NULL;
	if (errno != ENOMEM && errno != ENODEV)
		COUNT(wrong);
	COUNT(no_memory);
}

static void check(const struct object *o, unsigned int id)
{
	size_t words = PAGE / sizeof(uint64_t), i;

	for (i = 0; i < o->pages; i++)
		if (o->p[i * words] != stamp(o, i, id) ||
		    o->p[i * words + words - 1] != stamp(o, i, id))
			COUNT(wrong);
}

static void join(void)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", getpid());
	if (file_write(GROUP "/cgroup.procs", pid))
		COUNT(wrong);
}

static void worker(unsigned int id)
{
	struct object objects[OBJECTS] = { 0 };
	unsigned int seed = id;
	struct object *o;
	pid_t pid;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (id % 2)
		join();
	while (!over()) {
		o = &objects[rand_r(&seed) % OBJECTS];
		switch (rand_r(&seed) % 8) {
		case 0: /* a child sees the same, and dies somehow */
			pid = fork();
			if (!pid) {
				int i;

				prctl(PR_SET_PDEATHSIG, SIGKILL);
				for (i = 0; i < OBJECTS; i++)
					if (objects[i].p)
						check(&objects[i], id);
				make(&objects[0], &seed, id);
				if (rand_r(&seed) % 2)
					raise(SIGKILL);
				_exit(0);
			}
			if (pid > 0) {
				COUNT(forked);
				waitpid(pid, NULL, 0);
			}
			break;
		case 1: /* lose the middle of it */
			if (o->p && o->pages > 2) {
				check(o, id);
				munmap((char *)o->p + PAGE, PAGE);
				munmap(o->p, PAGE);
				munmap((char *)o->p + 2 * PAGE, (o->pages - 2) * PAGE);
				o->p = NULL;
			}
			break;
		default:
			if (o->p) {
				check(o, id);
				munmap(o->p, o->pages * PAGE);
				o->p = NULL;
			} else {
				make(o, &seed, id);
			}
		}
	}
	_exit(0);
}

/* --- the kernel's own users ---------------------------------------------------- */

static void insider(int (*use)(unsigned int *seed), volatile long *times,
		    unsigned int seed)
{
	int err;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (!over()) {
		err = use(&seed);
		if (err >= 0) {
			__atomic_add_fetch(times, 1, __ATOMIC_RELAXED);
			if (err)
				COUNT(interpreted);
		} else if (err == -EIO) {
			COUNT(wrong);
		} else if (err == -ENOMEM || err == -EAGAIN) {
			COUNT(no_memory);
		} else {
			COUNT(odd);
		}
	}
	_exit(0);
}

/* One of those that are killed at random. */
static pid_t start_worker(int i, unsigned int seed)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	if (i < WORKERS)
		worker(seed);
	insider(insider_secrets, &count->secrets, seed);
	_exit(1);
}

static void modules(void)
{
	insider(insider_modules, &count->modules, getpid());
}

static void programs(void)
{
	insider(insider_programs, &count->programs, getpid());
}

/*
 * Pages that are allocated when all have gone: none but those of @before, or, on 7.2,
 * those that execmem's cache keeps.  @areas: that it had @before.
 */
static long pages_that_stay(long before, long areas)
{
	if (um_stat_becomes("pages_allocated", before, 20) || !code_is_cached())
		return before;
	return before + pages_of_areas() - areas;
}

/* --- pressure ------------------------------------------------------------------ */

/*
 * Take memory until the cache has had to give, then leave all of it.  @patience:
 * microseconds that reclaim is given for each step below its watermark.
 */
static void take(unsigned int patience, long least_kb)
{
	long start = um_stat("pages_released");
	const size_t step = 4 * MIB;
	char *p;

	/* It has to keep ahead of eight workers. */
	if (setpriority(PRIO_PROCESS, 0, -15))
		_exit(1);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	file_write("/proc/self/oom_score_adj", "1000");
	while (!over()) {
		if (meminfo("MemFree") < 72 * 1024) {
			/* Below the watermark at which the kernel reclaims. */
			if (um_stat("pages_released") > start + 2048)
				break;
			usleep(patience);
			if (meminfo("MemFree") < least_kb)
				break;
		}
		p = mmap(NULL, step, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
		if (p == MAP_FAILED)
			break;
	}
	_exit(0);
}

static void hog(void)
{
	take(20000, 56 * 1024);
}

/*
 * Where kswapd has given up, as there was nothing to reclaim while the workers had it
 * all, a request itself reclaims, at 16 MiB free; and there is something to give.
 */
static void patient_hog(void)
{
	take(50000, 0);
}

/* Free pages in the cache. */
static void fill(void)
{
	const size_t bytes = 32 * MIB;
	int fd = um_open();
	uint64_t *p = fd < 0 ? NULL : map_shared(fd, bytes);

	if (!p)
		die("object");
	touch((uint8_t *)p, bytes);
	munmap(p, bytes);
	close(fd);
}

static void cpus(unsigned int seed)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (!over()) {
		usleep(100000 + rand_r(&seed) % 1000000);
		if (file_write(CPU1, "0"))
			COUNT(wrong);
		usleep(rand_r(&seed) % 500000);
		if (file_write(CPU1, "1"))
			COUNT(wrong);
		COUNT(turns);
	}
	_exit(0);
}

static void machines(void)
{
	pid_t pid;
	int status;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (!over()) {
		pid = fork();
		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			execl("/vm/bin/vmm", "vmm", "once", (char *)NULL);
			_exit(1);
		}
		if (pid < 0 || waitpid(pid, &status, 0) != pid)
			continue;
		if (!WIFEXITED(status) || WEXITSTATUS(status) == 1)
			COUNT(wrong);
		else if (WEXITSTATUS(status) == 0)
			COUNT(machines);
		else
			COUNT(no_memory);
	}
	_exit(0);
}

static pid_t start(void (*what)(void))
{
	pid_t pid = fork();

	if (!pid)
		what();
	return pid;
}

static long limit_met(void)
{
	return file_value(GROUP "/memory.events", "max");
}

static bool insiders_seen(void)
{
	return count->secrets > 0 && count->modules > 0 && count->programs > 0;
}

/*
 * All that is to happen has, or on a slow machine needs some more time: @more times,
 * and said @margin seconds before the end, as those who wait for others are late.
 */
static void take_time(int seconds, int margin, int *more)
{
	bool seen = count->made > 10 * seconds / 30 && count->touched > count->made &&
		    count->machines > 0 && count->turns > 0 && limit_met() > 0 &&
		    (!insiders() || insiders_seen());

	if (!seen && *more && now_s() >= count->end - margin) {
		count->end += 10;
		--*more;
	}
}

int main(void)
{
	const char *text = getenv("SOAK_SECONDS");
	const char *debug = getenv("DEBUG"); /* a kernel that checks all it does */
	bool slow = debug && !strcmp(debug, "yes");
	int seconds = text ? atoi(text) : 30, i, status;
	int more = slow ? 60 : 12, margin = slow ? 50 : 10;
	unsigned int seed = (text = getenv("SOAK_SEED")) ? strtoul(text, 0, 0)
							 : (unsigned long)time(NULL);
	long free_before, released, hogs = 0, areas = 0, allocated = 0, failures, stays;
	int workers = insiders() ? ALL_WORKERS : WORKERS;
	struct direct_map before, now;
	pid_t pids[ALL_WORKERS], hog_pid, cpu_pid, machine_pid, pid;
	pid_t module_pid = -1, program_pid = -1;

	note("%d seconds, seed %u", seconds, seed);
	count = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	plain_page_allocator();
	machine_keep();
	/*
	 * Reclaim starts early, at about 66 MiB free, and with it the shrinker;
	 * the end of memory, where processes are killed, is far from there.
	 */
	if (file_write("/proc/sys/vm/min_free_kbytes", "16384") ||
	    file_write("/proc/sys/vm/watermark_scale_factor", "1000") || um_shrink())
		die("start");
	mkdir(CGROUPS, 0755);
	if (mount("cgroup2", CGROUPS, "cgroup2", 0, NULL) ||
	    file_write(CGROUPS "/cgroup.subtree_control", "+memory") ||
	    mkdir(GROUP, 0755) || file_write(GROUP "/memory.max", LIMIT))
		die("cgroup");
	if (insiders()) {
		/* Root is held to it, too. */
		const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };

		if (setrlimit(RLIMIT_MEMLOCK, &unlimited))
			die("RLIMIT_MEMLOCK");
		areas = pages_of_areas();
		allocated = um_stat("pages_allocated");
	}
	direct_map_read(&before);
	failures = um_stat("failures");
	free_before = memory_free(-1);
	released = um_stat("pages_released");
	count->end = now_s() + seconds;
	fflush(stdout);
	for (i = 0; i < workers; i++)
		pids[i] = start_worker(i, seed + i + 1);
	hog_pid = start(hog);
	machine_pid = start(machines);
	if (insiders()) {
		module_pid = start(modules);
		program_pid = start(programs);
	}
	cpu_pid = fork();
	if (!cpu_pid)
		cpus(seed);
	while (!over()) {
		take_time(seconds, margin, &more);
		usleep(50000 + rand_r(&seed) % 200000);
		i = rand_r(&seed) % workers;
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
		COUNT(killed);
		pids[i] = start_worker(i, rand_r(&seed));
		pid = waitpid(hog_pid, &status, WNOHANG);
		if (pid == hog_pid) {
			hogs++;
			hog_pid = start(hog);
		}
	}
	/* These end by themselves, the CPU with it back. */
	waitpid(cpu_pid, NULL, 0);
	waitpid(machine_pid, NULL, 0);
	if (insiders()) {
		waitpid(module_pid, NULL, 0);
		waitpid(program_pid, NULL, 0);
	}
	for (i = 0; i < workers; i++) {
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	kill(hog_pid, SIGKILL);
	waitpid(hog_pid, NULL, 0);
	while (waitpid(-1, NULL, 0) > 0)
		;
	/*
	 * On a slow machine memory may not have become scarce while the workers
	 * freed theirs.  Nobody competes with the hog now, and there is something
	 * to give.
	 */
	count->end = now_s() + 30;
	while (um_stat("pages_released") == released && !over()) {
		fill();
		hogs++;
		waitpid(start(patient_hog), NULL, 0);
	}

	note("%ld objects, %ld pages touched, %ld forks, %ld killed, %ld times no memory, %ld times pressure",
	     count->made, count->touched, count->forked, count->killed, count->no_memory,
	     hogs);
	note("%ld virtual machines, CPU 1 off and on %ld times, limit met %ld times",
	     count->machines, count->turns, limit_met());
	note("refills %ld, blocks taken %ld, released %ld, pieces %ld, splits %ld, failures %ld",
	     um_stat("refills"), um_stat("blocks_taken"), um_stat("blocks_released"),
	     um_stat("pieces_taken"), um_splits(), um_stat("failures"));
	if (insiders()) {
		note("%ld times secrets, %ld times modules, %ld times BPF programs",
		     count->secrets, count->modules, count->programs);
		ok(insiders_seen(), "control: the kernel's own users came and went");
		ok(count->odd == 0, "no odd error (%ld)", count->odd);
		/* CPUs' lists of pages on their way to the LRU lists. */
		ok(file_write("/proc/sys/vm/compact_memory", "1") == 0,
		   "LRU lists are drained");
	}
	ok(count->made > 10 * seconds / 30 && count->touched > count->made,
	   "control: work was done");
	ok(count->machines > 0 && count->turns > 0 && limit_met() > 0,
	   "control: machines ran, a CPU went and came, a limit was met");
	ok(um_stat("pages_released") > released,
	   "control: memory was given back under pressure");
	ok(count->dirty == 0, "each page was zero at first (%ld not)", count->dirty);
	ok(count->wrong == 0, "each page kept its data (%ld not)", count->wrong);
	stays = pages_that_stay(allocated, areas);
	ok(um_stat_becomes("pages_allocated", stays, 5),
	   "no page is allocated any more but %ld of code (%ld)", stays,
	   um_stat("pages_allocated"));
	ok(um_shrink() == 0, "shrink");
	ok(um_stat_becomes("pages_owned", 0, 20) ||
		   um_stat("pages_owned") <= stays * (long)(BLOCK / PAGE),
	   "no page is owned but for these (%ld)", um_stat("pages_owned"));
	ok(um_stat("quarantined") == 0, "nothing in quarantine");
	note("MemFree %ld kB before, %ld kB after", free_before, memory_free(-1));
	ok(memory_free(-1) > free_before - 24 * 1024, "free memory is back");
	direct_map_read(&now);
	direct_map_note("start", &before);
	direct_map_note("end", &now);
	/* Who has no other way takes ordinary pages out one by one then. */
	failures = insiders() ? um_stat("failures") - failures : 0;
	ok(direct_map_same(&before, &now) || failures || count->interpreted,
	   "DirectMap is what it was, or there was no memory (%ld times, %ld for the JIT)",
	   failures, count->interpreted);
	return finish();
}
