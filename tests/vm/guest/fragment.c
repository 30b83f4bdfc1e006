// SPDX-License-Identifier: MIT
/*
 * See fragment.h.  Pages that stay are pinned by being registered with io_uring,
 * so that compaction can't move them out of the way.
 */
#define _GNU_SOURCE
#include "fragment.h"
#include "guest.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <linux/io_uring.h>

#define PFN_MASK   ((1ULL << 55) - 1)
#define MAX_BLOCKS 16384

/*
 * Free pages of this order and more, but for the DMA zone, which is held back,
 * and those on lists of CPUs: one that finds nothing else to reclaim doesn't
 * drain them before it looks for somebody to kill.
 */
static long free_pages(int least)
{
	char line[512], zone[32];
	long sum = 0, count;
	int order, used, at;
	FILE *f = fopen("/proc/buddyinfo", "re");

	if (!f)
		die("/proc/buddyinfo");
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "Node %*d, zone %31s%n", zone, &at) != 1 ||
		    !strcmp(zone, "DMA"))
			continue;
		for (order = 0; sscanf(line + at, "%ld%n", &count, &used) == 1;
		     order++, at += used)
			if (order >= least)
				sum += count << order;
	}
	fclose(f);
	return sum;
}

long whole_blocks(void)
{
	return free_pages(9) / 512;
}

int fragment(bool movable, int *blocks)
{
	size_t all = meminfo("MemTotal") * 1024, taken = 0, i, pages;
	static struct iovec pin[MAX_BLOCKS];
	static uint8_t seen[1 << 20];
	struct io_uring_params params = { 0 };
	uint64_t *map;
	int ring, fd, nr = 0;
	uint8_t *p;

	p = mmap(NULL, all, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED || madvise(p, all, MADV_NOHUGEPAGE))
		die("mmap");
	/* Far below what is left free, or somebody may be killed for it. */
	if (file_write("/proc/sys/vm/min_free_kbytes", "8192") ||
	    file_write("/proc/sys/vm/watermark_boost_factor", "0"))
		die("watermarks");
	/* Nor is it put together again by the kernel's own compaction. */
	if (file_write("/proc/sys/vm/compaction_proactiveness", "0"))
		die("compaction_proactiveness");
	/* The kernel may keep a few for itself. */
	while (taken < all && whole_blocks() && free_pages(0) > 32 * (long)(MIB / PAGE)) {
		touch(p + taken, MIB / 2);
		taken += MIB / 2;
	}
	pages = taken / PAGE;
	note("%zu MiB taken", taken / MIB);

	map = malloc(pages * sizeof(*map));
	fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (!map || fd < 0 ||
	    pread(fd, map, pages * sizeof(*map), (uintptr_t)p / PAGE * sizeof(*map)) !=
		    (ssize_t)(pages * sizeof(*map)))
		die("pagemap");
	close(fd);
	for (i = 0; i < pages; i++) {
		uint64_t block = (map[i] & PFN_MASK) / 512;

		if (!block || block >= sizeof(seen) || seen[block] || nr == MAX_BLOCKS)
			continue;
		seen[block] = 1;
		pin[nr].iov_base = p + i * PAGE;
		pin[nr++].iov_len = PAGE;
	}
	ring = syscall(SYS_io_uring_setup, 4, &params);
	if (ring < 0 || (!movable && syscall(SYS_io_uring_register, ring,
					     IORING_REGISTER_BUFFERS, pin, nr)))
		die("pinning %d pages", nr);
	/* The gaps between pinned pages. */
	for (i = 0; i <= (size_t)nr; i++) {
		uint8_t *from = i ? (uint8_t *)pin[i - 1].iov_base + PAGE : p;
		uint8_t *to = i < (size_t)nr ? pin[i].iov_base : p + taken;

		if (to > from && madvise(from, to - from, MADV_DONTNEED))
			die("madvise");
	}
	free(map);
	*blocks = nr;
	return ring;
}

/*
 * Blocks that became whole again meanwhile, as something in them was freed or
 * moved: keep them as huge pages.  The kernel's own lists of free pages take a
 * second or so to settle, so go on until none has come for a while.
 */
void take_whole_blocks(void)
{
	int tries, quiet = 0;

	for (tries = 0; tries < 60 && quiet < 10; tries++) {
		usleep(200000);
		quiet = whole_blocks() ? 0 : quiet + 1;
		/* As many as can be had, by compaction, too. */
		if (file_write("/proc/sys/vm/nr_hugepages", "100000"))
			die("nr_hugepages");
	}
}
