// SPDX-License-Identifier: MIT
/*
 * hibernate - a real one, with swap on /dev/nvme0n1: refused while an ordinary
 * object is held, then done; afterwards an object made for it is zero, the image
 * has nothing of it (the host looks), and the direct map is whole.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define STATE "/sys/power/state"
#define WIPE  UNMAPPED_CREATE_WIPE_ON_HIBERNATE

#define LARGE (2 * BLOCK) /* as blocks, with PMD entries */
#define SMALL (5 * PAGE)

static struct secret secret, control;
static uint8_t *large, *small, *busy, *ordinary;
static int large_fd, small_fd;

static void write_all(uint8_t *p, size_t bytes, const struct secret *s)
{
	size_t i;

	for (i = 0; i < bytes; i += PAGE)
		secret_write(p + i + i / PAGE % 64 * SECRET_ALIGN, s);
}

static bool all_there(const uint8_t *p, size_t bytes, const struct secret *s)
{
	size_t i, same = 0;

	for (i = 0; i < bytes; i += PAGE)
		same += secret_at(p + i + i / PAGE % 64 * SECRET_ALIGN, s);
	return same == bytes / PAGE;
}

static struct unmapped_status status(int fd)
{
	struct unmapped_status s = { .argsz = sizeof(s) };

	if (ioctl(fd, UNMAPPED_IOC_STATUS, &s))
		die("STATUS");
	return s;
}

/* Left in the cache as it is, to be zeroed later. */
static void leave_behind(void)
{
	int fd;
	uint8_t *p = um_object(LARGE, UNMAPPED_CREATE_NO_ZERO, &fd);

	write_all(p, LARGE, &secret);
	munmap(p, LARGE);
	close(fd);
}

static void refused(void)
{
	int fd, ready[2], err;
	char byte, who[80];
	pid_t pid;

	if (pipe(ready))
		die("pipe");
	pid = fork();
	if (!pid) {
		prctl(PR_SET_NAME, "keeper");
		touch(um_object(16 * PAGE, 0, &fd), 3 * PAGE);
		if (write(ready[1], "", 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	if (pid < 0 || read(ready[0], &byte, 1) != 1)
		die("keeper");
	err = file_write(STATE, "disk");
	ok(err == -EBUSY, "while an ordinary object is held: EBUSY, got %d", -err);
	snprintf(who, sizeof(who), "keeper, pid %d, uid 0: 3 pages", pid);
	ok(log_has(who), "the log says: %s", who);
	ok(status(large_fd).wipes == 0 && all_there(large, LARGE, &secret) &&
		   all_there(small, SMALL, &secret),
	   "what would have been wiped was not");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static atomic_bool stop;
static atomic_long zeros;

/* Touches an object that is wiped under its hands, and must go on afterwards. */
static void *toucher(void *unused)
{
	volatile uint8_t *p = busy;

	(void)unused;
	/* In one instruction, so that a wipe is never between the two. */
	for (; !stop; usleep(1000))
		zeros += !__atomic_exchange_n(p, 1, __ATOMIC_RELAXED);
	return NULL;
}

static void whole(const struct direct_map *before)
{
	long found[2], bytes;
	struct direct_map now;
	struct secret s[2];

	direct_map_read(&now);
	direct_map_note("restored", &now);
	ok(direct_map_same(before, &now) && now.splits2m == before->splits2m,
	   "the direct map has the entries that it had");
	s[0] = secret;
	s[1] = control;
	bytes = attack(s, 2, found);
	ok(bytes / 1024 >= meminfo("MemTotal") && found[1] > 0 && !found[0],
	   "all of it can be read, and the secret is not there (control: %ld times)",
	   found[1]);

	write_all(large, LARGE, &secret);
	write_all(small, SMALL, &secret);
	ok(all_there(large, LARGE, &secret) && all_there(small, SMALL, &secret) &&
		   status(large_fd).held == LARGE,
	   "the objects take memory again");
	bytes = attack(s, 2, found);
	ok(bytes > 0 && !found[0], "which is absent");
}

int main(void)
{
	struct direct_map before;
	struct unmapped_status s;
	pthread_t thread;
	int busy_fd, err;

	secret_new(&secret);
	secret_new(&control);
	ordinary = mmap(NULL, SMALL, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);
	if (ordinary == MAP_FAILED)
		die("mmap");
	write_all(ordinary, SMALL, &control);
	large = um_object(LARGE, WIPE, &large_fd);
	small = um_object(SMALL, WIPE | UNMAPPED_CREATE_NOHUGE, &small_fd);
	busy = um_object(PAGE, WIPE, &busy_fd);
	busy[0] = 1;
	write_all(large, LARGE, &secret);
	write_all(small, SMALL, &secret);
	leave_behind();
	refused();

	if (pthread_create(&thread, NULL, toucher, NULL))
		die("thread");
	direct_map_read(&before);
	direct_map_note("before", &before);
	err = hibernate(&secret, &control);
	ok(!err, "hibernated and restored: %d", -err);

	s = status(large_fd);
	ok(s.wipes == 1 && s.held == 0, "a large object: wiped once, holds nothing");
	s = status(small_fd);
	ok(s.wipes == 1 && s.held == 0, "a small one too");
	ok(all_there(ordinary, SMALL, &control), "ordinary memory is as it was");
	ok(is_zero(large, LARGE) && is_zero(small, SMALL), "the objects are zero");
	usleep(100000);
	stop = true;
	pthread_join(thread, NULL);
	ok(zeros == 1 && status(busy_fd).wipes == 1,
	   "who touched one meanwhile went on, and saw zero once");
	ok(um_stat("quarantined") == 0, "nothing in quarantine");
	whole(&before);
	return finish();
}
