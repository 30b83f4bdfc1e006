// SPDX-License-Identifier: MIT
/*
 * kcore - /proc/kcore does not show what is mapped for kernel code.
 *
 * It finds the pages of a vmalloc area and reads them through the direct map,
 * where they are not: on 6.1 that is a fault that kills the kernel.  So it must
 * leave out views, and the slots of unmapped_map_local() while they are in use.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <elf.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEST "/sys/kernel/debug/unmapped_test/"

static int kcore;
static Elf64_Phdr *segments;
static int nr_segments;

static void open_kcore(void)
{
	Elf64_Ehdr head;
	size_t len;

	kcore = open("/proc/kcore", O_RDONLY | O_CLOEXEC);
	if (kcore < 0 || pread(kcore, &head, sizeof(head), 0) != sizeof(head))
		die("/proc/kcore");
	nr_segments = head.e_phnum;
	len = nr_segments * sizeof(*segments);
	segments = malloc(len);
	if (!segments || pread(kcore, segments, len, head.e_phoff) != (ssize_t)len)
		die("program headers of /proc/kcore");
}

static void read_at(uint64_t addr, uint8_t *page)
{
	int i;

	for (i = 0; i < nr_segments; i++)
		if (segments[i].p_type == PT_LOAD && addr >= segments[i].p_vaddr &&
		    addr - segments[i].p_vaddr < segments[i].p_filesz)
			break;
	if (i == nr_segments)
		die("no segment of /proc/kcore has %#lx", addr);
	if (pread(kcore, page, PAGE, segments[i].p_offset + addr - segments[i].p_vaddr) !=
	    (ssize_t)PAGE)
		die("/proc/kcore at %#lx", addr);
}

static uint64_t view(const char *kind)
{
	char text[32] = "";
	int fd;

	if (file_write(TEST "view", kind))
		die("view of kind %s", kind);
	fd = open(TEST "view", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
		die("address of the view");
	close(fd);
	return strtoull(text, NULL, 16);
}

/* Where in /proc/vmallocinfo somebody has an area: the last, and how many. */
static int areas(const char *who, uint64_t *start, uint64_t *end)
{
	FILE *f = fopen("/proc/vmallocinfo", "re");
	char line[512];
	int nr = 0;

	if (!f)
		die("/proc/vmallocinfo");
	while (fgets(line, sizeof(line), f))
		if (strstr(line, who) && sscanf(line, "0x%lx-0x%lx", start, end) == 2)
			nr++;
	fclose(f);
	return nr;
}

static atomic_bool done;

static void *use_slots(void *unused)
{
	int i;

	(void)unused;
	for (i = 0; i < 20; i++)
		if (file_write(TEST "local-rounds", "1000"))
			break;
	done = true;
	return i == 20 ? "" : NULL;
}

int main(void)
{
	uint8_t page[PAGE], want[PAGE];
	uint64_t at, start, end;
	long reads = 0, seen = 0;
	pthread_t thread;
	void *good;

	/* Addresses in /proc/vmallocinfo as they are. */
	if (file_write("/proc/sys/kernel/kptr_restrict", "1"))
		die("kptr_restrict");
	open_kcore();
	memset(want, 0x5e, sizeof(want));

	at = view("2");
	read_at(at, page);
	ok(at && !memcmp(page, want, PAGE), "control: vmap() of ordinary memory is seen");
	at = view("1");
	read_at(at, page);
	ok(at && is_zero(page, PAGE), "a view of unmapped memory is not");
	ok(areas("[unmapped_test]", &start, &end) == 1 && start <= at && at < end,
	   "it is in /proc/vmallocinfo with the name of its owner");
	view("0");
	ok(!areas("[unmapped_test]", &start, &end), "and not when it has ended");

	ok(areas("map_local_init", &start, &end) == 1, "the slots of all CPUs are there");
	if (pthread_create(&thread, NULL, use_slots, NULL))
		die("thread");
	while (!done) {
		for (at = start; at < end - PAGE; at += PAGE, reads++) {
			read_at(at, page);
			seen += !is_zero(page, PAGE);
		}
	}
	pthread_join(thread, &good);
	ok(good && reads && !seen, "nothing is seen there while they are in use");
	note("%ld pages read", reads);
	return finish();
}
