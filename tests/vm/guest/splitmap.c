// SPDX-License-Identifier: MIT
/*
 * splitmap - blocks in which the direct map was in 4 KiB entries before.
 *
 * memfd_secret splits the entries of a quarter of memory, and gives it back.
 * Whole free blocks now lie there whose entries are small.  /dev/unmapped takes
 * most of memory, such blocks with it: its pages must be absent there too, and
 * present when they are released, or the kernel dies as it clears the next page.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

static int clear_all(void *arg)
{
	size_t bytes = *(size_t *)arg, at;
	uint8_t *p;

	file_write("/proc/self/oom_score_adj", "1000");
	p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return 2;
	for (at = 0; at < bytes; at += PAGE) {
		if (p[at])
			return 3;
		p[at] = 1;
	}
	return 0;
}

int main(void)
{
	const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	struct direct_map start, split, now;
	struct secret s, control;
	struct secret both[2];
	size_t bytes, at;
	uint8_t *p, *ordinary;
	long found[2];
	int fd, round;

	plain_page_allocator();
	if (um_shrink() || setrlimit(RLIMIT_MEMLOCK, &unlimited))
		die("start");
	direct_map_read(&start);
	bytes = meminfo("MemTotal") * 1024 / 4 & -PAGE;
	fd = secretmem_open(bytes);
	p = fd < 0 ? NULL : map_shared(fd, bytes);
	if (!p)
		die("memfd_secret");
	touch(p, bytes);
	munmap(p, bytes);
	close(fd);
	direct_map_read(&split);
	direct_map_note("start", &start);
	direct_map_note("after memfd_secret", &split);
	ok(split.kb4 - start.kb4 >= (long)bytes / 1024 / 2,
	   "control: memfd_secret has split the direct map");

	ordinary = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);
	for (round = 1; round <= 2; round++) {
		/* Most of what is free; the kernel needs the rest. */
		bytes = (meminfo("MemFree") / 1024 - 192) * MIB;
		secret_new(&s);
		secret_new(&control);
		secret_write(ordinary, &control);
		fd = um_open();
		p = fd < 0 ? NULL : map_shared(fd, bytes);
		if (!p)
			die("object");
		for (at = 0; at < bytes; at += PAGE)
			secret_write(p + at, &s);
		ok(um_stat("pages_allocated") == (long)(bytes / PAGE),
		   "round %d: %zu MiB allocated", round, bytes / MIB);
		both[0] = s;
		both[1] = control;
		ok(attack(both, 2, found) > 0 && found[1] > 0, "round %d: control found",
		   round);
		ok(found[0] == 0, "round %d: secrets not found (%ld times)", round,
		   found[0]);
		munmap(p, bytes);
		close(fd);
		if (um_shrink())
			die("shrink");
		ok(um_stat_becomes("pages_owned", 0, 10), "round %d: all given back",
		   round);
		bytes = (meminfo("MemFree") / 1024 - 160) * MIB;
		ok(in_child(clear_all, &bytes) == 0,
		   "round %d: the kernel clears %zu MiB of memory", round, bytes / MIB);
		ok(attack(both, 2, found) > 0 && found[0] == 0,
		   "round %d: released memory is clean (%ld times)", round, found[0]);
	}
	direct_map_read(&now);
	direct_map_note("end", &now);
	ok(now.kb4 <= split.kb4, "no more 4 KiB entries than before");
	ok(um_stat("quarantined") == 0, "nothing in quarantine");
	return finish();
}
