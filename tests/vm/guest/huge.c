// SPDX-License-Identifier: MIT
/*
 * huge - where 2 MiB of an object are mapped by one PMD entry, where by 4 KiB
 * entries, and that no data is lost on the way from one to the other.
 *
 * What maps a range is seen from outside: one entry for 2 MiB needs no table of
 * 4 KiB entries, which VmPTE would count, and each fault is a minor one.
 */
#define _GNU_SOURCE
#include "guest.h"
#include "mapping.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define BLOCKS 8
#define BYTES  (BLOCKS * BLOCK)

/* kB of page tables: those of 4 KiB entries, and the few above them. */
static long tables(void)
{
	return file_value("/proc/self/status", "VmPTE");
}

/* Was @bytes touched without tables of 4 KiB entries, or with one for each block? */
static bool is_huge(long kb, size_t bytes)
{
	return kb < 2 * (long)(bytes / BLOCK);
}

static bool is_small(long kb, size_t bytes)
{
	return kb >= 4 * (long)(bytes / BLOCK);
}

/* --- addresses and touches ------------------------------------------------- */

static void addresses(void)
{
	int fd = object(BYTES, 0);
	uint8_t *p, *q;

	p = map(fd, BYTES, 0, NULL, 0);
	ok((uintptr_t)p % BLOCK == 0, "mmap chooses an aligned address");
	munmap(p, BYTES);
	p = map(fd, BYTES - 5 * PAGE, 5 * PAGE, NULL, 0);
	ok((uintptr_t)p % BLOCK == 5 * PAGE, "or one that suits the offset");
	munmap(p, BYTES - 5 * PAGE);
	q = room(BYTES, 3 * PAGE);
	p = mmap(q, BYTES, RW, MAP_SHARED | MAP_FIXED, fd, 0);
	ok(p == q, "MAP_FIXED is where it was asked for");
	munmap(p, BYTES);
	p = mmap(q, PAGE, RW, MAP_SHARED, fd, 0);
	ok(p == q, "a hint is taken");
	munmap(p, PAGE);
	close(fd);
}

static void touched(void)
{
	const size_t bytes = 64 * MIB;
	long kb, nr, flushed, taken;
	int fd;
	uint8_t *p;

	if (um_shrink())
		die("shrink");
	fd = object(bytes, 0);
	p = map(fd, bytes, 0, NULL, 0);
	flushed = um_stat("flushes");
	taken = um_stat("blocks_taken");
	kb = tables();
	nr = faults();
	touch(p, bytes);
	nr = faults() - nr;
	kb = tables() - kb;
	flushed = um_stat("flushes") - flushed;
	taken = um_stat("blocks_taken") - taken;
	ok(nr >= 32 && nr <= 34, "64 MiB touched page by page: a fault for 2 MiB (%ld)",
	   nr);
	ok(is_huge(kb, bytes), "and no tables (%ld kB)", kb);
	ok(taken == 32 && flushed == 1, "32 blocks (%ld), one flush (%ld)", taken,
	   flushed);
	ok(allocated_is((long)(bytes / PAGE)), "all of it, and no more, is allocated");
	munmap(p, bytes);
	close(fd);
	all_gone("touched");

	/* Not in sequence: nothing is foreseen. */
	if (um_shrink())
		die("shrink");
	fd = object(bytes, 0);
	p = map(fd, bytes, 0, NULL, 0);
	taken = um_stat("blocks_taken");
	p[bytes / 2] = 1;
	taken = um_stat("blocks_taken") - taken;
	/* The batch may still be large from before. */
	ok(allocated_is(512) && taken <= 32, "a touch in the middle: one block in use");
	munmap(p, bytes);
	close(fd);
	all_gone("one touch");
}

static void sizes(void)
{
	int fd = object(3 * MIB, 0);
	uint8_t *p = map(fd, 3 * MIB, 0, NULL, 0);

	p[0] = 1;
	ok(allocated_is(512), "3 MiB: a touch of the first 2 takes a block");
	p[2 * MIB + 5 * PAGE] = 1;
	ok(allocated_is(513), "3 MiB: a touch of the last one takes a page");
	touch(p, 3 * MIB);
	ok(allocated_is(768), "3 MiB: never more than its size");
	munmap(p, 3 * MIB);
	close(fd);

	fd = object(BLOCK - PAGE, 0);
	p = map(fd, BLOCK - PAGE, 0, NULL, 0);
	p[17] = 1;
	ok(allocated_is(1), "a page less than 2 MiB: pages only");
	munmap(p, BLOCK - PAGE);
	close(fd);

	/* A part that began as pages stays so when the object grows around it. */
	fd = um_open();
	p = map(fd, PAGE, 0, NULL, 0);
	fill(p, 0, PAGE);
	munmap(p, PAGE);
	p = map(fd, 2 * BLOCK, 0, NULL, 0);
	ok(damage(p, 0, PAGE) == 0 && is_zero(p + PAGE, 2 * BLOCK - PAGE),
	   "an object grows: the first page is kept");
	p[PAGE] = p[BLOCK] = 1;
	ok(allocated_is(512 + 512), "an object grows: pages stay pages");
	munmap(p, 2 * BLOCK);
	close(fd);
	all_gone("sizes");
}

/* --- other alignments, and advice ------------------------------------------ */

static void misaligned(void)
{
	int fd = object(BYTES, 0);
	uint8_t *p = map(fd, BYTES, 0, NULL, 0), *q, *r;
	long kb, nr;

	fill(p, 0, BYTES);
	kb = tables();
	nr = faults();
	q = map(fd, BYTES, 0, room(BYTES, PAGE), 0);
	ok(damage(q, 0, BYTES) == 0, "address off by 4 KiB: same data");
	nr = faults() - nr;
	kb = tables() - kb;
	ok(is_small(kb, BYTES), "address off by 4 KiB: with tables (%ld kB)", kb);
	ok(nr <= 3 * BLOCKS, "and few faults, as all is there (%ld)", nr);
	kb = tables();
	r = map(fd, BYTES - PAGE, PAGE, room(BYTES, 0), 0);
	ok(damage(r, PAGE, BYTES - PAGE) == 0, "offset off by 4 KiB: same data");
	kb = tables() - kb;
	ok(is_small(kb, BYTES - BLOCK), "offset off by 4 KiB: with tables (%ld kB)", kb);
	q[BLOCK + 17] = 0x77;
	ok(p[BLOCK + 17] == 0x77 && r[BLOCK - PAGE + 17] == 0x77,
	   "what is written through one is seen through the others");
	munmap(p, BYTES);
	munmap(q, BYTES);
	munmap(r, BYTES - PAGE);
	close(fd);

	/* Nothing there yet, and 4 KiB entries from the start. */
	fd = object(BYTES, 0);
	q = map(fd, BYTES, 0, room(BYTES, 7 * PAGE), 0);
	fill(q, 0, BYTES);
	ok(allocated_is(BYTES / PAGE), "misaligned first: as much is allocated");
	p = map(fd, BYTES, 0, NULL, 0);
	kb = tables();
	ok(damage(p, 0, BYTES) == 0, "misaligned first: same data");
	kb = tables() - kb;
	ok(is_huge(kb, BYTES), "and blocks, mapped whole where they can be (%ld kB)", kb);
	munmap(q, BYTES);
	munmap(p, BYTES);
	close(fd);
	all_gone("misaligned");
}

static void small_only(void)
{
	int fd = object(BYTES, UNMAPPED_CREATE_NOHUGE);
	uint8_t *p = map(fd, BYTES, 0, NULL, 0);
	long kb = tables();

	fill(p, 0, BYTES);
	kb = tables() - kb;
	ok(is_small(kb, BYTES), "UNMAPPED_CREATE_NOHUGE: with tables (%ld kB)", kb);
	ok(damage(p, 0, BYTES) == 0, "UNMAPPED_CREATE_NOHUGE: the data is there");
	munmap(p, BYTES);
	close(fd);

	fd = object(BYTES, 0);
	p = map(fd, BYTES, 0, NULL, 0);
	ok_errno(madvise(p, BYTES, MADV_NOHUGEPAGE), 0, "MADV_NOHUGEPAGE");
	kb = tables();
	fill(p, 0, BYTES / 2);
	ok(is_small(tables() - kb, BYTES / 2), "MADV_NOHUGEPAGE: with tables");
	/* One more has a table with the last page in it, which has to be used. */
	fill(p + BYTES / 2 + BLOCK - PAGE, BYTES / 2 + BLOCK - PAGE, PAGE);
	ok_errno(madvise(p, BYTES, MADV_HUGEPAGE), 0, "MADV_HUGEPAGE");
	kb = tables();
	fill(p, 0, BYTES);
	kb = tables() - kb;
	ok(is_huge(kb, BYTES / 2 - BLOCK), "MADV_HUGEPAGE: no more tables (%ld kB)", kb);
	ok(damage(p, 0, BYTES) == 0, "the data is there");
	munmap(p, BYTES);
	close(fd);
	all_gone("4 KiB entries only");
}

static void advice(void)
{
	static const struct {
		int advice, err;
		const char *name;
	} a[] = {
		{ MADV_DONTNEED, EINVAL, "DONTNEED" },
		{ MADV_FREE, EINVAL, "FREE" },
		{ MADV_REMOVE, ENODEV, "REMOVE" },
		{ MADV_COLD, EINVAL, "COLD" },
		{ MADV_PAGEOUT, EINVAL, "PAGEOUT" },
		{ MADV_POPULATE_WRITE, EINVAL, "POPULATE_WRITE" },
		{ MADV_COLLAPSE, EINVAL, "COLLAPSE" },
		{ MADV_DODUMP, EINVAL, "DODUMP" },
		{ MADV_DOFORK, EINVAL, "DOFORK" },
		{ MADV_WIPEONFORK, EINVAL, "WIPEONFORK" },
		{ MADV_MERGEABLE, 0, "MERGEABLE" },
		{ MADV_SEQUENTIAL, 0, "SEQUENTIAL" },
		{ MADV_HUGEPAGE, 0, "HUGEPAGE" },
		{ MADV_NOHUGEPAGE, 0, "NOHUGEPAGE" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(a); i++) {
		int fd = object(2 * BLOCK, 0), part;
		uint8_t *p = map(fd, 2 * BLOCK, 0, NULL, 0);

		fill(p, 0, 2 * BLOCK);
		/* Part of a block first, then all. */
		for (part = 1; part >= 0; part--) {
			size_t from = part ? BLOCK / 2 : 0;
			size_t len = part ? BLOCK : 2 * BLOCK;

			ok_errno(madvise(p + from, len, a[i].advice), a[i].err,
				 "MADV_%s of %s", a[i].name, part ? "a part" : "all");
		}
		ok(damage(p, 0, 2 * BLOCK) == 0, "MADV_%s: the data is there", a[i].name);
		munmap(p, 2 * BLOCK);
		close(fd);
	}
	all_gone("advice");
}

/* --- what takes a mapping apart -------------------------------------------- */

static void unmapped_in_part(void)
{
	int fd = object(3 * BLOCK, 0);
	uint8_t *p = map(fd, 3 * BLOCK, 0, NULL, 0);
	const size_t from = BLOCK + BLOCK / 4, to = BLOCK + BLOCK / 2;

	fill(p, 0, 3 * BLOCK);
	ok_errno(munmap(p + from, to - from), 0, "munmap in the middle of a block");
	ok(raises(p + from, false, SIGSEGV) && raises(p + to - 1, true, SIGSEGV),
	   "it is gone");
	ok(damage(p, 0, from) == 0, "the data before it is there");
	ok(damage(p + to, to, 3 * BLOCK - to) == 0, "and that behind it");
	fill(p, 0, from);
	fill(p + to, to, 3 * BLOCK - to);
	map(fd, to - from, from, p + from, 0);
	ok(damage(p, 0, 3 * BLOCK) == 0, "mapped again: all is there");
	/* Across the end of one block and the start of the next. */
	ok_errno(munmap(p + 2 * BLOCK - PAGE, 2 * PAGE), 0, "munmap across two blocks");
	ok(damage(p, 0, 2 * BLOCK - PAGE) == 0 &&
		   damage(p + 2 * BLOCK + PAGE, 2 * BLOCK + PAGE, BLOCK - PAGE) == 0,
	   "the data around it is there");
	ok(allocated_is(3 * 512), "what is not mapped is still the object's");
	munmap(p, 3 * BLOCK);
	close(fd);
	all_gone("munmap");
}

static void protected(void)
{
	int fd = object(BYTES, 0);
	uint8_t *p = map(fd, BYTES, 0, NULL, 0);
	const size_t from = BLOCK + 3 * PAGE, len = 5 * PAGE;
	volatile uint8_t sum = 0;
	long kb, nr;
	int i;

	kb = tables();
	fill(p, 0, BYTES);
	nr = faults();
	ok_errno(mprotect(p, BYTES, PROT_READ), 0, "mprotect of all to read-only");
	ok(damage(p, 0, BYTES) == 0, "it can be read");
	ok(raises(p + BLOCK + 1, true, SIGSEGV), "and not written");
	ok_errno(mprotect(p, BYTES, PROT_NONE), 0, "mprotect to none");
	ok(raises(p + BLOCK, false, SIGSEGV), "and it can't be read");
	ok_errno(mprotect(p, BYTES, RW), 0, "mprotect to read and write");
	fill(p, 0, BYTES);
	ok(damage(p, 0, BYTES) == 0, "it can be written again");
	kb = tables() - kb;
	ok(is_huge(kb, BYTES), "without tables (%ld kB)", kb);
	ok(faults() - nr <= 3, "and without faults, but for those on purpose (%ld)",
	   faults() - nr);

	ok_errno(mprotect(p + from, len, PROT_READ), 0, "mprotect of a part");
	ok(raises(p + from, true, SIGSEGV) && raises(p + from + len - 1, true, SIGSEGV),
	   "the part can't be written");
	p[from - 1] = p[from + len] = 9;
	ok(p[from - 1] == 9 && p[from + len] == 9, "what is around it can");
	ok(damage(p + from, from, len) == 0, "the part can be read");
	ok_errno(mprotect(p + from, len, RW), 0, "mprotect of the part back");
	fill(p, 0, BYTES);
	ok(damage(p, 0, BYTES) == 0, "all can be written");
	munmap(p, BYTES);
	close(fd);

	/* Read first: the entry must do for the write, or the first write get one. */
	fd = object(BYTES, 0);
	p = map(fd, BYTES, 0, NULL, 0);
	nr = faults();
	for (i = 0; i < BLOCKS; i++)
		sum |= p[i * BLOCK];
	fill(p, 0, BYTES);
	nr = faults() - nr;
	ok(!sum && nr <= BLOCKS + 2, "read, then written: a fault for a block (%ld)", nr);
	munmap(p, BYTES);
	p = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, fd, 0);
	ok(p != MAP_FAILED && damage(p, 0, BYTES) == 0, "a read-only mapping");
	ok(raises(p, true, SIGSEGV), "of which nothing can be written");
	mprotect(p, BYTES, RW);
	fill(p, 0, BYTES);
	ok(damage(p, 0, BYTES) == 0, "until mprotect says so");
	munmap(p, BYTES);
	close(fd);
	all_gone("mprotect");
}

static void moved(void)
{
	int fd = object(BYTES, 0);
	uint8_t *p = map(fd, BYTES, 0, NULL, 0), *to, *q;
	long kb, nr;

	kb = tables();
	fill(p, 0, BYTES);
	to = room(BYTES, 0);
	nr = faults();
	q = mremap(p, BYTES, BYTES, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	ok(q == to && damage(q, 0, BYTES) == 0, "mremap to an aligned address");
	ok(faults() - nr <= 2, "its entries went with it (%ld faults)", faults() - nr);
	ok(is_huge(tables() - kb, BYTES), "and there are no tables");
	ok(raises(p, false, SIGSEGV), "the old address is gone");
	p = q;

	to = room(BYTES, 9 * PAGE);
	q = mremap(p, BYTES, BYTES, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	ok(q == to && damage(q, 0, BYTES) == 0, "mremap to a misaligned one");
	fill(q, 0, BYTES);
	p = q;
	to = room(BYTES, 0);
	q = mremap(p, BYTES, BYTES, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	ok(q == to && damage(q, 0, BYTES) == 0, "and back");
	p = q;

	/* Part of a block, from the middle of a mapping. */
	to = room(BLOCK, 0);
	q = mremap(p + BLOCK / 2, BLOCK, BLOCK, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	ok(q == to && damage(q, BLOCK / 2, BLOCK) == 0, "halves of two blocks moved");
	ok(damage(p, 0, BLOCK / 2) == 0 &&
		   damage(p + 3 * BLOCK / 2, 3 * BLOCK / 2, BYTES - 3 * BLOCK / 2) == 0,
	   "the other halves have stayed");
	munmap(q, BLOCK);
	q = p + 3 * BLOCK / 2;
	ok_errno(mremap(q, BLOCK, 2 * BLOCK, MREMAP_MAYMOVE) == MAP_FAILED ? -1 : 0,
		 EFAULT, "mremap to grow");
	ok(mremap(q, 2 * BLOCK, BLOCK + PAGE, 0) == q, "mremap to shrink");
	ok(damage(q, 3 * BLOCK / 2, BLOCK + PAGE) == 0 &&
		   raises(q + BLOCK + PAGE, false, SIGSEGV),
	   "what is left is there");
	/* With old size 0 a shared mapping is duplicated. */
	to = mremap(p, 0, BLOCK / 2, MREMAP_MAYMOVE);
	ok(to == MAP_FAILED || damage(to, 0, BLOCK / 2) == 0,
	   "a duplicate has the same data or is refused");
	if (to != MAP_FAILED)
		munmap(to, BLOCK / 2);
	munmap(p, BYTES);
	close(fd);
	all_gone("mremap");
}

static void forked(void)
{
	int fd = object(BYTES, 0), status = -1;
	uint8_t *p = map(fd, BYTES, 0, NULL, 0);
	pid_t pid;

	fill(p, 0, BYTES);
	fflush(NULL);
	pid = fork();
	if (!pid) {
		long kb = tables(), nr = faults(), bad = damage(p, 0, BYTES);

		nr = faults() - nr;
		kb = tables() - kb;
		/* Some are for the child's copy of stack and data. */
		if (bad || nr > BLOCKS + 8 || !is_huge(kb, BYTES))
			_exit(2);
		p[BLOCK + 5] = 0x5a;
		if (munmap(p, BLOCK / 2) || damage(p + BLOCK / 2, BLOCK / 2, BLOCK / 2))
			_exit(3);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	ok(status == 0, "a child has the same data, mapped alike (status %#x)", status);
	ok(p[BLOCK + 5] == 0x5a && damage(p, 0, BLOCK) == 0,
	   "what it writes is seen, what it unmaps is not");
	munmap(p, BYTES);
	close(fd);
	all_gone("fork");
}

/* --- others who walk page tables ------------------------------------------- */

static bool read_all(const char *path)
{
	char buf[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	if (fd < 0)
		return false;
	while ((got = read(fd, buf, sizeof(buf))) > 0)
		;
	close(fd);
	return !got;
}

static void walked(void)
{
	int fd = object(BYTES, 0), pagemap;
	uint8_t *p = map(fd, BYTES, 0, NULL, 0);
	static uint64_t entries[BYTES / PAGE];
	unsigned char core[BYTES / PAGE];
	unsigned long node = 1;

	fill(p, 0, BYTES);
	ok(read_all("/proc/self/smaps") && read_all("/proc/self/numa_maps"),
	   "smaps and numa_maps can be read");
	pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	ok(pread(pagemap, entries, sizeof(entries),
		 (off_t)((uintptr_t)p / PAGE * sizeof(*entries))) == sizeof(entries),
	   "so can pagemap");
	close(pagemap);
	ok_errno(mincore(p, BYTES, core), 0, "mincore");
	ok_errno(mlock(p, BYTES), 0, "mlock");
	ok_errno(munlock(p, BYTES), 0, "munlock");
	/* Soft-dirty write-protects what it clears. */
	ok(!file_write("/proc/self/clear_refs", "4"), "soft-dirty bits cleared");
	fill(p, 0, BYTES);
	ok(damage(p, 0, BYTES) == 0, "and it can be written");
	syscall(SYS_mbind, p, BYTES, 2 /* MPOL_BIND */, &node, 8UL, 1 /* STRICT */);
	syscall(SYS_mbind, p, BYTES, 2, &node, 8UL, 2 /* MOVE */);
	file_write("/proc/sys/vm/compact_memory", "1");
	file_write("/proc/sys/vm/drop_caches", "3");
	ok(damage(p, 0, BYTES) == 0, "mbind, compaction, reclaim: the data is there");
	munmap(p, BYTES);
	close(fd);
	all_gone("walked");
}

int main(void)
{
	addresses();
	touched();
	sizes();
	misaligned();
	small_only();
	advice();
	unmapped_in_part();
	protected();
	moved();
	forked();
	walked();
	ok(um_stat("quarantined") == 0, "nothing in quarantine");
	return finish();
}
