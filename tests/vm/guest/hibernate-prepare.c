// SPDX-License-Identifier: MIT
/*
 * hibernate-prepare - what goes between the notice of hibernation and its end.
 *
 * An open /dev/snapshot, with which a program may write the image itself, gives
 * the notice and keeps the system there, with all tasks still running.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define HOLD	 "/sys/kernel/debug/unmapped_test/hold"
#define SNAPSHOT "/tmp/snapshot"
#define WIPE	 UNMAPPED_CREATE_WIPE_ON_HIBERNATE

static long held(int fd, long *wipes)
{
	struct unmapped_status s = { .argsz = sizeof(s) };

	if (ioctl(fd, UNMAPPED_IOC_STATUS, &s))
		die("STATUS");
	*wipes = (long)s.wipes;
	return (long)s.held;
}

static int notice(void)
{
	return open(SNAPSHOT, O_RDONLY | O_CLOEXEC);
}

static void hold(const char *blocks)
{
	int err = file_write(HOLD, blocks);

	errno = -err;
	if (err)
		die(HOLD);
}

/* A child that touches the page, and has had time to; @n is the notice. */
static pid_t toucher(volatile uint8_t *page, int n)
{
	pid_t pid = fork();

	if (!pid) {
		close(n);
		page[0] = 7;
		_exit(0);
	}
	if (pid < 0)
		die("fork");
	usleep(300000);
	return pid;
}

static bool waits(pid_t pid)
{
	return waitpid(pid, NULL, WNOHANG) == 0;
}

static void refusals(void)
{
	int fd, wiped, i, many[30];
	uint8_t *p, *q, *of[30];
	long wipes;

	p = um_object(4 * PAGE, 0, &fd);
	q = um_object(4 * PAGE, WIPE, &wiped);
	touch(q, 4 * PAGE);
	touch(p, PAGE);
	ok_errno(notice(), EBUSY, "an ordinary object of one page");
	ok(log_has("hibernation refused: 1 pages of unmapped memory are in use, by"),
	   "the log says so");
	ok(held(wiped, &wipes) == 4 * PAGE && !wipes && q[0] == 1,
	   "and nothing is wiped");
	munmap(p, 4 * PAGE);
	close(fd);

	hold("2");
	ok_errno(notice(), EBUSY, "kernel code with two blocks");
	ok(log_has("  the kernel: 1024 pages"), "the log says so");
	hold("0");

	for (i = 0; i < 30; i++) {
		of[i] = um_object(PAGE, 0, &many[i]);
		of[i][0] = 1;
	}
	ok_errno(notice(), EBUSY, "30 objects");
	ok(log_has("  10 other objects: 10 pages"), "20 are named, the others counted");
	while (i--) {
		munmap(of[i], PAGE);
		close(many[i]);
	}
	munmap(q, 4 * PAGE);
	close(wiped);
}

static void closed(void)
{
	uint8_t *p, *other, *late;
	long wipes, refills;
	int fd, other_fd, late_fd, n, err;
	pid_t a, b;

	p = um_object(2 * BLOCK, WIPE, &fd);
	memset(p, 0x5a, 2 * BLOCK);
	other = um_object(4 * PAGE, WIPE, &other_fd);
	touch(other, 4 * PAGE);
	late = um_object(4 * PAGE, 0, &late_fd); /* holds nothing yet */
	n = notice();
	ok_errno(n, 0, "objects that may be wiped, and one that is empty");
	ok(held(fd, &wipes) == 0 && wipes == 1, "wiped, once");
	ok(held(late_fd, &wipes) == 0 && wipes == 0, "the empty one was not");
	ok(um_stat("pages_owned") == 0, "the cache is empty");

	a = toucher(p, n);
	b = toucher(late, n);
	ok(waits(a) && waits(b), "a touch waits");
	kill(b, SIGKILL);
	ok(waitpid(b, &err, 0) == b && WIFSIGNALED(err), "and can be killed");
	refills = um_stat("refills");
	hold("0");
	err = file_write(HOLD, "1");
	ok(err == -ENOMEM, "kernel code gets ENOMEM, got %d", -err);
	ok(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, late_fd,
		0) == MAP_FAILED &&
		   errno == ENOMEM,
	   "MAP_POPULATE fails with ENOMEM");
	ok(um_stat("refills") == refills && um_stat("pages_owned") == 0,
	   "nothing was taken");
	munmap(other, 4 * PAGE);
	ok(!close(other_fd), "an object can be closed");

	close(n);
	waitpid(a, &err, 0);
	ok(!err && p[0] == 7, "at the end, the touch goes on");
	p[0] = 0;
	ok(is_zero(p, 2 * BLOCK), "all else is zero");
	ok(held(fd, &wipes) == 2 * BLOCK && wipes == 1, "and is memory again");
	ok(!file_write(HOLD, "1"), "kernel code gets memory again");
	hold("0");
	close(late_fd);
	munmap(late, 4 * PAGE);
	n = notice();
	ok(n >= 0 && held(fd, &wipes) == 0 && wipes == 2, "the next time: wiped again");
	close(n);
	munmap(p, 2 * BLOCK);
	close(fd);
}

int main(void)
{
	snapshot_device(SNAPSHOT);
	refusals();
	closed();
	return finish();
}
