// SPDX-License-Identifier: MIT
/*
 * faults - allocations of the kernel fail, and nothing is lost or half done.
 *
 *	faults nth	each of the first allocations of an operation in turn,
 *			by /proc/self/fail-nth, until it needs no more of them
 *	faults random	a share of them, those of this task only, then all
 *
 * For debugging kernels: FAULT_INJECTION of pages and of slab.
 */
#define _GNU_SOURCE
#include "code.h"
#include "gmem.h"
#include "guest.h"
#include "machine.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <linux/bpf.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define INJECT	    "/sys/kernel/debug/"
#define MAKE_IT	    "/proc/self/make-it-fail"
#define NTH	    "/proc/self/fail-nth"
#define MOST	    3000 /* allocations of one operation, at most */
#define LEAK_KB	    2048 /* free memory goes up and down by so much anyway */
#define OBJECT	    (128 * PAGE)
#define GUEST	    (16 * PAGE)
#define DMA	    (13 * PAGE) /* the rest of 16 goes back at once */
#define DMA_BYTES   "/sys/module/dma_buffer/parameters/bytes"
#define MODULE	    "/vm/stock/test_module.ko"
#define RANDOM	    60
#define RANDOM_MOST BLOCK

static const char *const kinds[] = { "fail_page_alloc", "failslab" };

static void set(const char *kind, const char *key, const char *value)
{
	char path[128];
	int err, tries = 1000;

	snprintf(path, sizeof(path), INJECT "%s/%s", kind, key);
	/* This may be what fails. */
	do
		err = file_write(path, value);
	while (err == -ENOMEM && tries--);
	errno = -err;
	if (err)
		die("%s to %s", value, path);
}

/* Of which allocations: also those that may wait, and single pages. */
static void setup(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		set(kinds[i], "probability", "0");
		set(kinds[i], "interval", "1");
		set(kinds[i], "times", "-1");
		set(kinds[i], "space", "0");
		set(kinds[i], "verbose", "0");
		set(kinds[i], "task-filter", "Y");
		set(kinds[i], "ignore-gfp-wait", "N");
	}
	set("fail_page_alloc", "ignore-gfp-highmem", "N");
	set("fail_page_alloc", "min-order", "0");
}

static void probability(const char *percent, bool this_task_only)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		set(kinds[i], "task-filter", this_task_only ? "Y" : "N");
		set(kinds[i], "probability", percent);
	}
}

/* --- operations: each gives 0 or an errno, and holds nothing afterwards ------- */

/* It needs memory, too. */
static void unmap(void *p, size_t bytes)
{
	int tries;

	for (tries = 0; munmap(p, bytes); tries++)
		if (errno != ENOMEM || tries == 1000)
			die("munmap");
}

/*
 * A fault that fails for want of memory is tried again, and is a signal only where
 * the handler says so.
 */
static int populate(int fd, size_t bytes)
{
	size_t at;
	int err = 0;
	uint8_t *p;

	if (fd < 0)
		return errno;
	p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED) {
		err = errno;
	} else {
		for (at = 0; at < bytes && !err; at += PAGE)
			if (raises(p + at, true, SIGBUS))
				err = EFAULT;
		unmap(p, bytes);
	}
	close(fd);
	return err;
}

static int secret_page(void)
{
	return populate(secretmem_open(PAGE), PAGE);
}

static int device_page(void)
{
	return populate(um_open(), PAGE);
}

static int device_object(void)
{
	return populate(um_create(OBJECT, 0, -1), OBJECT);
}

/* As one fault, where that is to be had. */
static int secret_block(void)
{
	return populate(secretmem_open(BLOCK), BLOCK);
}

/* Of a machine that is there; -1 where there is no memory of guests that is unmapped. */
static int guest = -1;

static void guest_create(void)
{
	struct machine m;
	uint64_t known = gmem_flags(machine_kvm());

	if (!(known & FLAG_UNMAPPED)) {
		note("this kernel has no guest_memfd");
		return;
	}
	machine_create(&m, gmem_machine_type(known));
	guest = m.fd;
}

static int guest_memory(void)
{
	int err = 0, fd = gmem_create(guest, GUEST, FLAG_UNMAPPED);

	if (fd < 0)
		return errno;
	if (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, GUEST))
		err = errno;
	close(fd);
	return err;
}

/* The size of the buffer of the module dma_buffer, from now on. Return: 0 or an errno. */
static int dma_bytes(size_t bytes)
{
	char text[24];

	snprintf(text, sizeof(text), "%zu", bytes);
	return -file_write(DMA_BYTES, text);
}

/* Where there are no unmapped pages for it, it is of others. */
static int dma_buffer(void)
{
	int err = dma_bytes(DMA), tries;

	/* Writing to a file needs memory, too. */
	for (tries = 0; !err && dma_bytes(0); tries++)
		if (tries == 1000)
			die("0 to " DMA_BYTES);
	return err;
}

/* That they are from here where nothing fails. */
static void dma_is_unmapped(void)
{
	long before = um_stat("pages_allocated");

	ok(dma_bytes(DMA) == 0 &&
		   um_stat("pages_allocated") == before + (long)(DMA / PAGE),
	   "DMA: a buffer is of unmapped pages");
	ok(dma_bytes(0) == 0 && um_stat("pages_allocated") == before,
	   "DMA: they are freed with it");
}

/* What the kernel can't compile for want of memory it interprets. */
static int a_program(void)
{
	struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
		.insns = (uintptr_t)insns,
		.insn_cnt = ARRAY_SIZE(insns),
		.license = (uintptr_t) "GPL",
	};
	int fd = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static int a_module(void)
{
	int fd = open(MODULE, O_RDONLY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return errno;
	if (syscall(SYS_finit_module, fd, "", 0))
		err = errno;
	else if (syscall(SYS_delete_module, "test_module", 0))
		die("unloading test_module");
	close(fd);
	return err;
}

static int give_back(void)
{
	return -um_shrink();
}

static int read_figures(void)
{
	char text[4096];
	int fd = open(DEBUGFS "pagetypeinfo", O_RDONLY | O_CLOEXEC), err = 0;
	ssize_t n;

	if (fd < 0)
		return errno;
	do
		n = read(fd, text, sizeof(text));
	while (n > 0);
	if (n < 0)
		err = errno;
	close(fd);
	return err;
}

struct operation {
	const char *name;
	int (*run)(void);
	bool cached; /* pages are in the cache when it begins */
};

static const struct operation of_memory[] = {
	{ "memfd_secret, a page, none in the cache", secret_page, false },
	{ "memfd_secret, a page of the cache", secret_page, true },
	{ "/dev/unmapped, a page, none in the cache", device_page, false },
	{ "/dev/unmapped, a page of the cache", device_page, true },
	{ "/dev/unmapped, an object of 128 pages", device_object, false },
	{ "memfd_secret, 2 MiB", secret_block, false },
	{ "shrink", give_back, true },
	{ "pagetypeinfo", read_figures, true },
	{ "DMA, 13 pages, none in the cache", dma_buffer, false },
	{ "DMA, 13 pages of the cache", dma_buffer, true },
	/* The last, as it may be left out. */
	{ "guest_memfd, 16 pages", guest_memory, true },
};

static const struct operation of_code[] = {
	{ "a BPF program", a_program, false },
	{ "a module", a_module, false },
};

/* --- code that stays ------------------------------------------------------------ */

/* From before there was an allocator. */
static long first_areas;

static long stays(void)
{
	return pages_of_areas() - first_areas;
}

/* Nothing is allocated but what is below areas for code. */
static bool none_is_kept(int seconds)
{
	int i;

	for (i = 0; i < 10 * seconds; i++) {
		if (um_stat("pages_allocated") == stays())
			return true;
		usleep(100000);
	}
	return um_stat("pages_allocated") == stays();
}

/* What the allocator may own for that at most, in pages. */
static long blocks_that_stay(void)
{
	return stays() * (long)(BLOCK / PAGE);
}

/* --- afterwards ---------------------------------------------------------------- */

static void all_is_back(const char *what)
{
	int tries;

	/* CPUs' lists of pages on their way to the LRU lists. */
	ok(file_write("/proc/sys/vm/compact_memory", "1") == 0 && none_is_kept(10),
	   "%s: no page is allocated but %ld of code", what, stays());
	/* A refill ahead of need may still be under way. */
	for (tries = 0; tries < 20; tries++)
		if (um_shrink() == 0 && um_stat("pages_owned") <= blocks_that_stay() &&
		    um_stat_becomes("pages_allocated", stays(), 1))
			break;
	ok(um_stat("pages_owned") <= blocks_that_stay(),
	   "%s: all blocks are given back (%ld pages are not)", what,
	   um_stat("pages_owned"));
	ok(um_stat("quarantined") == 0, "%s: nothing in quarantine", what);
}

/* KASAN keeps what was freed for a while, up to 1/32 of memory. */
static void empty_quarantine(void)
{
	glob_t caches;
	size_t i;

	if (glob("/sys/kernel/slab/*/shrink", 0, NULL, &caches))
		die("/sys/kernel/slab");
	for (i = 0; i < caches.gl_pathc; i++)
		file_write(caches.gl_pathv[i], "1");
	globfree(&caches);
}

/* Free memory, when what is freed later has been and caches are empty. */
static long settled_kb(void)
{
	usleep(500000);
	file_write("/proc/sys/vm/drop_caches", "3");
	empty_quarantine();
	usleep(500000);
	return memory_free(-1);
}

static void memory_is_back(const char *what, long before)
{
	long lost = LONG_MAX, now;
	int tries;

	for (tries = 0; tries < 10 && lost > LEAK_KB; tries++) {
		now = before - settled_kb() -
		      um_stat("pages_owned") * (long)(PAGE / 1024);
		if (now < lost)
			lost = now;
	}
	ok(lost <= LEAK_KB, "%s: free memory is what it was (%ld kB less)", what, lost);
}

/*
 * Not after code: when it can have no unmapped pages it takes ordinary ones, and
 * these are split as ever.
 */
static void direct_map_is_back(const struct direct_map *start)
{
	struct direct_map now;

	direct_map_read(&now);
	direct_map_note("start", start);
	direct_map_note("end", &now);
	ok(direct_map_same(start, &now), "memory: DirectMap is what it was");
}

/* --- each in turn -------------------------------------------------------------- */

/* Return: whether the @n-th allocation came and failed; *@err of the operation. */
static bool fails(const struct operation *op, int n, int *err)
{
	char text[16];
	int left, fd = open(NTH, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		die(NTH);
	snprintf(text, sizeof(text), "%d", n);
	if (write(fd, text, strlen(text)) < 0)
		die(NTH);
	*err = op->run();
	memset(text, 0, sizeof(text));
	if (pread(fd, text, sizeof(text) - 1, 0) < 0)
		die(NTH);
	left = atoi(text);
	if (pwrite(fd, "0", 1, 0) < 0)
		die(NTH);
	close(fd);
	return !left;
}

static bool may_be(const struct operation *op, int err)
{
	/* What bpf(2) says when it has no memory for a program: of 6.1, ENOTSUPP. */
	if (op->run == a_program && (err == EINVAL || err == 524))
		return true;
	return err == 0 || err == ENOMEM || err == EAGAIN || err == EFAULT;
}

static void each(const struct operation *op)
{
	int n, err = 0, failed = 0, odd = 0, kept = 0;

	for (n = 1; n <= MOST; n++) {
		if (!op->cached)
			um_shrink();
		else if (device_page())
			die("a page for the cache");
		if (!fails(op, n, &err))
			break;
		failed += err != 0;
		if (!may_be(op, err) && !odd++)
			note("%s, allocation %d: %s", op->name, n, strerror(err));
		if (!none_is_kept(0) &&
		    !(file_write("/proc/sys/vm/compact_memory", "1") == 0 &&
		      none_is_kept(5)) &&
		    !kept++)
			note("%s, allocation %d: %ld pages are still allocated, not %ld",
			     op->name, n, um_stat("pages_allocated"), stays());
	}
	ok(n <= MOST && !err, "%s: succeeds when none fails", op->name);
	ok(!odd,
	   "%s: each of %d allocations failed, %d times it says so, with a plain error",
	   op->name, n - 1, failed);
	ok(!kept, "%s: no page is kept then", op->name);
}

static void each_of(const char *what, const struct operation *ops, unsigned int nr)
{
	unsigned int i, round;
	long before = 0;

	/* The first time, slabs and tables are made that stay. */
	for (round = 1; round <= 2; round++) {
		if (round == 2)
			before = settled_kb();
		for (i = 0; i < nr; i++)
			each(&ops[i]);
		all_is_back(what);
	}
	memory_is_back(what, before);
}

static void nth(void)
{
	struct direct_map start;

	um_shrink();
	direct_map_read(&start);
	each_of("memory", of_memory, ARRAY_SIZE(of_memory) - (guest < 0));
	direct_map_is_back(&start);
	each_of("code", of_code, ARRAY_SIZE(of_code));
}

/* --- a share of them ------------------------------------------------------------ */

static long done, refused;

static int of_a_size(unsigned int *seed)
{
	size_t bytes = PAGE + (size_t)rand_r(seed) % RANDOM_MOST / PAGE * PAGE;

	switch (rand_r(seed) % (guest < 0 ? 5 : 6)) {
	case 0:
		return populate(secretmem_open(bytes), bytes);
	case 1:
		return populate(um_open(), bytes);
	case 2:
		return populate(um_create(bytes, 0, -1), bytes);
	case 3:
		return dma_buffer();
	case 5:
		return guest_memory();
	default:
		return rand_r(seed) % 4 ? secret_page() : give_back();
	}
}

static int program_or_module(unsigned int *seed)
{
	return rand_r(seed) % 2 ? a_program() : a_module();
}

static void share(const char *what, int (*one)(unsigned int *seed), const char *percent,
		  bool this_task_only)
{
	unsigned int seed = 1;
	int i;

	probability(percent, this_task_only);
	for (i = 0; i < RANDOM; i++)
		if (one(&seed))
			refused++;
		else
			done++;
	probability("0", true);
	note("%s, %s %%, %s: until now %ld done, %ld refused", what, percent,
	     this_task_only ? "this task" : "all tasks", done, refused);
	all_is_back(what);
}

static void shares(const char *what, int (*one)(unsigned int *seed))
{
	long before;

	done = refused = 0;
	share(what, one, "1", true); /* slabs and tables that stay */
	before = settled_kb();
	share(what, one, "1", true);
	share(what, one, "10", true);
	share(what, one, "30", true);
	share(what, one, "2", false);
	ok(done && refused, "%s: control: some fail, some do not", what);
	memory_is_back(what, before);
}

static void random_share(void)
{
	struct direct_map start;

	um_shrink();
	direct_map_read(&start);
	if (file_write(MAKE_IT, "1"))
		die(MAKE_IT);
	shares("memory", of_a_size);
	direct_map_is_back(&start);
	shares("code", program_or_module);
	file_write(MAKE_IT, "0");
}

int main(int argc, char **argv)
{
	const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	const char *what = argc > 1 ? argv[1] : "";

	if (setrlimit(RLIMIT_MEMLOCK, &unlimited))
		die("setrlimit");
	setup();
	guest_create();
	first_areas = pages_of_areas() - um_stat("pages_allocated");
	dma_is_unmapped();
	if (!strcmp(what, "nth"))
		nth();
	else if (!strcmp(what, "random"))
		random_share();
	else
		die("unknown argument '%s'", what);
	return finish();
}
