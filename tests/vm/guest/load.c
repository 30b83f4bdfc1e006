// SPDX-License-Identifier: MIT
/*
 * load - the module comes and goes without a trace, and not while it is used.
 *
 *	load cycle MODULE		insert, use, remove, three times
 *	load refuse MODULE WORD		insertion fails, and the kernel log has
 *					one line about it, with WORD in it
 */
#define _GNU_SOURCE
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define OF_KERNEL 2 /* splits a round that are not the module's */

static long insert(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	long ret;

	if (fd < 0)
		die("%s", path);
	ret = syscall(SYS_finit_module, fd, "", 0);
	close(fd);
	return ret;
}

static long withdraw(void)
{
	/* As rmmod does it: refused, not waited for, while in use. */
	return syscall(SYS_delete_module, "unmapped", O_NONBLOCK);
}

static void cycle(const char *path)
{
	struct direct_map start, now;
	const size_t n = 64 * MIB; /* 32 blocks */
	long start_free;
	int round, fd;
	uint8_t *p;

	/*
	 * The kernel changes the direct map for the text of any module, as it
	 * comes and as it goes, and may split an entry or two for that.  It
	 * does so mostly the first time, so the first time is not looked at.
	 */
	for (round = 0; round < 2; round++)
		if (insert(path) || withdraw())
			die("insert and remove");
	plain_page_allocator();
	start_free = memory_free(-1);
	direct_map_read(&start);
	direct_map_note("start", &start);
	for (round = 1; round <= 3; round++) {
		if (!ok_errno(insert(path), 0, "round %d: insert", round))
			return;
		ok_errno(insert(path), EEXIST, "round %d: insert again", round);
		fd = um_open();
		if (fd < 0)
			die("open");
		ok_errno(withdraw(), EAGAIN, "round %d: remove with a descriptor open",
			 round);
		p = map_shared(fd, n);
		if (!p)
			die("mmap");
		touch(p, n);
		close(fd);
		ok_errno(withdraw(), EAGAIN, "round %d: remove with a mapping left",
			 round);
		ok(p[PAGE] == 1 && p[2 * PAGE] == 3, "round %d: memory still works",
		   round);
		munmap(p, n);
		fd = um_create(n, 0, UNMAPPED_ANY_NODE);
		ok_errno(withdraw(), EAGAIN, "round %d: remove with an object left",
			 round);
		close(fd);
		/* Without a shrink first: the cache may be full. */
		ok_errno(withdraw(), 0, "round %d: remove", round);
		ok(access(DEVICE, F_OK) && access(DEBUGFS, F_OK),
		   "round %d: its files are gone", round);
		direct_map_read(&now);
		ok(now.kb4 - start.kb4 <= OF_KERNEL * 2048 &&
			   now.splits2m - start.splits2m <= OF_KERNEL,
		   "round %d: DirectMap is what it was (%ld splits)", round,
		   now.splits2m - start.splits2m);
		ok(start_free - memory_free(-1) < 8 * 1024,
		   "round %d: free memory is back (but for %ld kB)", round,
		   start_free - memory_free(-1));
		start = now;
	}
	direct_map_note("end", &now);
}

static void refuse(const char *path, const char *word)
{
	static char log[1 << 18];
	int about = 0, with_word = 0, len;
	struct direct_map start, now;
	char *line, *save;

	direct_map_read(&start);
	klogctl(5, NULL, 0); /* forget the log until now */
	ok(insert(path) < 0, "insertion fails: %s", strerrorname_np(errno));
	len = klogctl(3, log, sizeof(log) - 1);
	log[len < 0 ? 0 : len] = 0;
	for (line = strtok_r(log, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		if (!strstr(line, "unmapped:") ||
		    strstr(line, "module verification failed") ||
		    strstr(line, "out-of-tree module"))
			continue;
		note("%s", line);
		about++;
		with_word += !!strstr(line, word);
	}
	ok(about == 1, "one line in the log, not %d", about);
	ok(with_word == 1, "it names %s", word);
	ok(access(DEVICE, F_OK), "there is no " DEVICE);
	ok(withdraw() < 0 && errno == ENOENT, "no module stays");
	direct_map_read(&now);
	ok(now.kb4 - start.kb4 <= OF_KERNEL * 2048 &&
		   now.splits2m - start.splits2m <= OF_KERNEL,
	   "DirectMap is what it was (%ld splits)", now.splits2m - start.splits2m);
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "cycle"))
		cycle(argv[2]);
	else if (argc == 4 && !strcmp(argv[1], "refuse"))
		refuse(argv[2], argv[3]);
	else
		return 2;
	return finish();
}
