// SPDX-License-Identifier: MIT
/*
 * holders - debugfs unmapped/holders names who holds how much: objects of
 * several processes and users, and kernel callers.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define HOLD "/sys/kernel/debug/unmapped_test/hold"

struct line {
	char pid[16], uid[16], bytes[32], flags[32], comm[80];
	long pages;
};

static struct line lines[300];
static int nr_lines;

/* Return: whether each line has its form. */
static bool holders_read(void)
{
	char text[256];
	bool good = true;
	int at;
	FILE *f = fopen(DEBUGFS "holders", "re");

	if (!f || !fgets(text, sizeof(text), f))
		die(DEBUGFS "holders");
	good &= !strcmp(strtok(text, " \n"), "pid");
	for (nr_lines = 0; fgets(text, sizeof(text), f); nr_lines++) {
		struct line *l = &lines[nr_lines];

		text[strcspn(text, "\n")] = 0;
		if (nr_lines == ARRAY_SIZE(lines) - 1 ||
		    sscanf(text, "%15s %15s %ld %31s %31s %n", l->pid, l->uid, &l->pages,
			   l->bytes, l->flags, &at) != 5) {
			note("not a line of holders: %s", text);
			good = false;
			break;
		}
		snprintf(l->comm, sizeof(l->comm), "%s", text + at);
		good &= !strstr(text, "ffff") && !strstr(text, "0x");
	}
	fclose(f);
	/* Kernel callers come last. */
	good &= nr_lines > 0 && !strcmp(lines[nr_lines - 1].comm, "kernel") &&
		!strcmp(lines[nr_lines - 1].pid, "-");
	return good;
}

static const struct line *find(pid_t pid)
{
	int i;

	for (i = 0; i < nr_lines; i++)
		if (isdigit(lines[i].pid[0]) && atoi(lines[i].pid) == pid)
			return &lines[i];
	return NULL;
}

static long kernel_pages(void)
{
	return lines[nr_lines - 1].pages;
}

static long sum(void)
{
	long pages = 0;
	int i;

	for (i = 0; i < nr_lines; i++)
		pages += lines[i].pages;
	return pages;
}

/* A process that holds @pages of an object and waits to be killed. */
static pid_t holder(const char *comm, uid_t uid, bool create, unsigned long pages)
{
	const size_t bytes = 64 * PAGE;
	int ready[2];
	char byte;
	pid_t pid;

	if (pipe(ready))
		die("pipe");
	fflush(stdout);
	pid = fork();
	if (!pid) {
		uint8_t *p;
		int fd;

		prctl(PR_SET_NAME, comm);
		if (uid && (setgid(uid) || setuid(uid)))
			_exit(1);
		fd = create ? um_create(bytes, UNMAPPED_CREATE_THISNODE, 0) : um_open();
		p = fd < 0 ? NULL : map_shared(fd, bytes);
		if (!p)
			_exit(1);
		touch(p, pages * PAGE);
		if (write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		die("%s", comm);
	close(ready[0]);
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

int main(void)
{
	const struct line *l;
	pid_t a, b, c;
	struct stat st;
	int fd, i, err;

	if (chmod(DEVICE, 0666))
		die("chmod");
	ok(!stat(DEBUGFS "holders", &st) && !(st.st_mode & 077),
	   "holders is for root only");
	ok(holders_read() && nr_lines == 1 && !kernel_pages(), "nobody holds anything");

	a = holder("plain", 0, false, 7);
	b = holder("two words", 1000, true, 33);
	c = holder("x\ny\\z", 1000, false, 0);
	ok(holders_read() && nr_lines == 4, "three objects, three lines, and a form");
	l = find(a);
	ok(l && !strcmp(l->comm, "plain") && !strcmp(l->uid, "0") && l->pages == 7 &&
		   !strcmp(l->bytes, "262144") && !strcmp(l->flags, "g----"),
	   "one made by open: pid, uid, pages, bytes, flags, comm");
	l = find(b);
	ok(l && !strcmp(l->comm, "two words") && !strcmp(l->uid, "1000") &&
		   l->pages == 33 && !strcmp(l->bytes, "262144") &&
		   !strcmp(l->flags, "-t---"),
	   "one made by CREATE, by another user");
	l = find(c);
	ok(l && !strcmp(l->comm, "x\\012y\\134z") && l->pages == 0,
	   "a name can't forge a line");
	ok(sum() == um_stat("pages_allocated"), "together: all that is allocated");

	err = file_write(HOLD, "3");
	errno = -err;
	if (err)
		die(HOLD);
	ok(holders_read() && kernel_pages() == 3 * 512, "kernel callers: in sum");
	file_write(HOLD, "0");
	ok(holders_read() && !kernel_pages(), "and no more");

	end(a);
	ok(holders_read() && nr_lines == 3 && !find(a), "gone with its process");
	end(b);
	end(c);
	for (i = 0; i < 200; i++)
		if (um_create(PAGE, 0, UNMAPPED_ANY_NODE) < 0)
			break;
	ok(i == 200 && holders_read() && nr_lines == 201, "200 objects, 200 lines");
	for (fd = 3; fd < 210; fd++)
		close(fd);
	ok(holders_read() && nr_lines == 1 && !sum(), "and none at the end");
	return finish();
}
