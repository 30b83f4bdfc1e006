// SPDX-License-Identifier: MIT
/*
 * pressure - when memory gets short the cache gives its pages back, objects
 * keep theirs, and who asks for too much gets SIGBUS; nobody is killed.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define KEPT   (32 * MIB)
#define CACHED (256 * MIB)

static uint8_t *object(size_t bytes, int *fd)
{
	*fd = um_open();
	uint8_t *p = *fd < 0 ? NULL : map_shared(*fd, bytes);

	if (!p)
		die("object of %zu MiB", bytes / MIB);
	return p;
}

/*
 * Takes ordinary memory until the cache is empty, but for what lies in blocks
 * that are in use.
 */
static int hog(void *arg)
{
	size_t step = 2 * MIB, taken = 0, limit = *(size_t *)arg;
	char *p;

	file_write("/proc/self/oom_score_adj", "1000");
	while (taken < limit) {
		if (um_stat("pages_free") < 1024)
			return 0;
		p = mmap(NULL, step, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
		if (p == MAP_FAILED)
			return 2;
		touch(p, step);
		taken += step;
	}
	return 1;
}

/* Touches until SIGBUS: 0, or the last page: 1. */
static int glutton(void *arg)
{
	size_t bytes = *(size_t *)arg, at;
	uint8_t *p;
	int fd;

	p = object(bytes, &fd);
	for (at = 0; at < bytes; at += PAGE) {
		if (raises(p + at, true, SIGBUS)) {
			note("SIGBUS after %zu of %zu MiB", at / MIB, bytes / MIB);
			return p[0] == 1 ? 0 : 3;
		}
	}
	return 1;
}

int main(void)
{
	size_t all = meminfo("MemTotal") * 1024, at;
	struct direct_map start, now;
	long released, free_before;
	int fd, other, status;
	uint8_t *kept, *p;
	bool same = true;

	plain_page_allocator();
	if (file_write("/proc/sys/vm/min_free_kbytes", "16384"))
		die("min_free_kbytes");
	if (um_shrink())
		die("shrink");
	direct_map_read(&start);
	free_before = memory_free(-1);
	kept = object(KEPT, &fd);
	touch(kept, KEPT);
	p = object(CACHED, &other);
	touch(p, CACHED);
	munmap(p, CACHED);
	close(other);
	note("%ld pages in the cache", um_stat("pages_free"));
	ok(um_stat("pages_free") >= (long)(BLOCK / PAGE),
	   "control: the cache holds memory");

	released = um_stat("pages_released");
	status = in_child(hog, &all);
	ok(status == 0, "memory gets short: the cache is emptied (%d)", status);
	ok(um_stat("pages_released") > released, "pages were released");
	for (at = 0; at < KEPT; at += PAGE)
		same &= kept[at] == ((uint8_t)(at / PAGE) | 1);
	ok(same, "what is in use stays as it was");
	munmap(kept, KEPT);
	close(fd);

	status = in_child(glutton, &all);
	ok(status == 0, "a touch without memory left raises SIGBUS (%d)", status);
	ok(um_stat_becomes("pages_allocated", 0, 5),
	   "all of it is freed with its process");
	ok(um_shrink() == 0, "shrink");
	ok(um_stat_becomes("pages_owned", 0, 5), "the cache is empty");
	note("MemFree %ld kB before, %ld kB after", free_before, memory_free(-1));
	ok(memory_free(-1) > free_before - 16 * 1024, "free memory is back");
	direct_map_read(&now);
	direct_map_note("start", &start);
	direct_map_note("end", &now);
	ok(direct_map_same(&start, &now), "DirectMap is what it was");
	return finish();
}
