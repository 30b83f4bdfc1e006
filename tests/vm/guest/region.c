// SPDX-License-Identifier: MIT
/*
 * region - how many entries of 1 GiB it costs to take memory out.
 *
 *	region secrets	1.5 GiB of /dev/unmapped break at most two
 *	region memfd	what memfd_secret(2) breaks for a sixth of that
 *	region runs	whole GiB leave by one entry, and come back by it
 *
 * The machine boots with page_alloc.shuffle=1, so that free memory comes from
 * everywhere, as it does when a system has been up for a while.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define GIB  (1024 * MIB)
#define TEST "/sys/kernel/debug/unmapped_test/"

static struct direct_map start, now;

static void *use(int fd, size_t bytes)
{
	uint8_t *p = fd < 0 ? NULL : map_shared(fd, bytes);

	if (!p)
		die("%zu bytes", bytes);
	touch(p, bytes);
	return p;
}

static void secrets(void)
{
	size_t bytes = 3 * GIB / 2;
	int fd = um_open();
	void *p = use(fd, bytes);

	direct_map_read(&now);
	direct_map_note("in use", &now);
	ok(um_stat("pages_allocated") == (long)(bytes / PAGE), "1.5 GiB are in use");
	ok(now.splits1g - start.splits1g <= 2,
	   "two 1 GiB entries at most are broken: %ld", now.splits1g - start.splits1g);
	ok(now.splits1g - start.splits1g == um_stat("splits_1g"),
	   "the module counts as many as the kernel");
	ok(now.splits2m == start.splits2m, "and no 2 MiB entry");
	munmap(p, bytes);
	close(fd);
	um_shrink();
	ok(um_stat_becomes("pages_owned", 0, 5), "all given back");
	direct_map_read(&now);
	ok(direct_map_same(&start, &now), "the direct map is what it was");
}

static void memfd(void)
{
	size_t bytes = GIB / 4;
	const struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
	int fd = setrlimit(RLIMIT_MEMLOCK, &all) ? -1 : secretmem_open(bytes);
	void *p = use(fd, bytes);

	direct_map_read(&now);
	direct_map_note("in use", &now);
	ok(now.splits1g - start.splits1g > 2,
	   "256 MiB of memfd_secret break more than two 1 GiB entries: %ld",
	   now.splits1g - start.splits1g);
	munmap(p, bytes);
	close(fd);
	direct_map_read(&now);
	direct_map_note("after", &now);
	ok(now.kb1g < start.kb1g, "for good");
}

/* --- whole GiB ------------------------------------------------------------ */

/* Offset in /proc/kcore of the direct map's byte for a pfn. */
static off_t kcore_offset(int fd, uint64_t pfn)
{
	Elf64_Ehdr head;
	Elf64_Phdr seg;
	int i;

	if (pread(fd, &head, sizeof(head), 0) != sizeof(head))
		die("/proc/kcore");
	for (i = 0; i < head.e_phnum; i++) {
		if (pread(fd, &seg, sizeof(seg), head.e_phoff + i * sizeof(seg)) !=
		    sizeof(seg))
			die("program headers of /proc/kcore");
		if (seg.p_type == PT_LOAD && seg.p_vaddr < 0xffffffff80000000UL &&
		    seg.p_paddr <= pfn * PAGE && pfn * PAGE < seg.p_paddr + seg.p_filesz)
			return seg.p_offset + pfn * PAGE - seg.p_paddr;
	}
	die("pfn %#lx is not in /proc/kcore", (unsigned long)pfn);
}

/* Bytes that are not zero of all that root reads of a GiB. */
static long kcore_bytes(uint64_t pfn)
{
	int fd = open("/proc/kcore", O_RDONLY | O_CLOEXEC);
	static uint8_t buf[MIB];
	off_t at;
	long sum = 0;
	size_t i, k;

	if (fd < 0)
		die("/proc/kcore");
	at = kcore_offset(fd, pfn);
	for (i = 0; i < GIB; i += MIB) {
		if (pread(fd, buf, MIB, at + i) != (ssize_t)MIB)
			die("/proc/kcore at %#lx", at + i);
		if (is_zero(buf, MIB))
			continue;
		for (k = 0; k < MIB; k++)
			sum += !!buf[k];
	}
	close(fd);
	return sum;
}

static void write_order(const char *file, int order, int want)
{
	char path[96], text[16];
	int err;

	snprintf(path, sizeof(path), TEST "%s", file);
	snprintf(text, sizeof(text), "%d", order);
	err = file_write(path, text);
	if (err != want)
		ok(false, "%s of order %d: %d, not %d", file, order, err, want);
}

static void look_at_run(unsigned long *pfn, unsigned int *level)
{
	FILE *f = fopen(TEST "run_alloc", "re");

	if (!f || fscanf(f, "%lu %u", pfn, level) != 2)
		die("run_alloc");
	fclose(f);
}

static void runs(void)
{
	unsigned long pfn;
	unsigned int level;

	/* A whole GiB and back. */
	write_order("run_alloc", 18, 0);
	look_at_run(&pfn, &level);
	direct_map_read(&now);
	direct_map_note("in use", &now);
	ok(pfn % (GIB / PAGE) == 0 && level == 3, "1 GiB by one entry (level %u)", level);
	ok(direct_map_same(&start, &now) && now.splits1g == start.splits1g,
	   "nothing is broken for it");
	ok(kcore_bytes(pfn) == 0, "root reads zeros only from it");
	ok(kcore_bytes(16 * MIB / PAGE) > 0, "control: and other things elsewhere");
	write_order("run_free", 18, 0);
	if (um_shrink())
		die("shrink");
	direct_map_read(&now);
	ok(um_stat("pages_owned") == 0 && direct_map_same(&start, &now) &&
		   now.splits1g == start.splits1g,
	   "and back by the same entry");

	/* In part. */
	write_order("run_alloc", 18, 0);
	look_at_run(&pfn, &level);
	write_order("run_free", 10, 0);
	if (um_shrink())
		die("shrink");
	direct_map_read(&now);
	direct_map_note("a part is back", &now);
	ok(um_stat("pages_owned") == (1 << 18) - (1 << 10), "4 MiB of it are given back");
	ok(now.splits1g == start.splits1g + 1 && um_stat("splits_1g") == 1,
	   "that breaks its entry");
	ok(now.kb1g == start.kb1g - (long)(GIB / 1024) &&
		   now.kb2m == start.kb2m + (long)(GIB / 1024),
	   "into entries of 2 MiB");
	ok(kcore_bytes(pfn) <= (4 << 20), "the rest is still out of reach");
	write_order("run_free", 18, -EINVAL); /* more than is left */
	for (level = 10; level < 18; level++)
		write_order("run_free", (int)level, 0);
	if (um_shrink())
		die("shrink");
	direct_map_read(&now);
	direct_map_note("all is back", &now);
	ok(um_stat("pages_owned") == 0 && um_stat("heals_1g") == 1 &&
		   direct_map_same(&start, &now),
	   "healed when the rest is back");

	ok(um_stat("quarantined") == 0, "nothing in quarantine");
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	direct_map_read(&start);
	direct_map_note("start", &start);
	ok(start.kb1g >= (long)(2 * GIB / 1024), "control: there are 1 GiB entries");
	if (!strcmp(what, "secrets"))
		secrets();
	else if (!strcmp(what, "memfd"))
		memfd();
	else if (!strcmp(what, "runs"))
		runs();
	else
		die("usage: region secrets|memfd|runs");
	return finish();
}
