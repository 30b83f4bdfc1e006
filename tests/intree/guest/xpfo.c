// SPDX-License-Identifier: MIT
/*
 * xpfo - memory of programs that the direct map does not have.
 *
 *	xpfo			root looks for secrets; then all that uses them
 *	xpfo rows SUFFIX	ns for a fault, a read() and a write(), which with
 *				-icount are instructions
 */
#define _GNU_SOURCE
#include "guest.h"

#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PIPE, ANON, COPIED, TMPFS, NR };
#define PAGES 600 /* more than one block */
#define BYTES (16 * MIB)

static uint8_t *map_anon(size_t bytes)
{
	uint8_t *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		die("mmap of %zu bytes", bytes);
	return p;
}

static int open_tmpfs(const char *name, size_t bytes)
{
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, (off_t)bytes))
		die("%s", name);
	unlink(name);
	return fd;
}

static void write_all(uint8_t *p, const struct secret *s)
{
	int i;

	for (i = 0; i < PAGES; i++)
		secret_write(p + i * PAGE + i % 64 * SECRET_ALIGN, s);
}

static int all_there(const uint8_t *p, const struct secret *s)
{
	int i, there = 0;

	for (i = 0; i < PAGES; i++)
		there += secret_at(p + i * PAGE + i % 64 * SECRET_ALIGN, s);
	return there;
}

/* Pages of programs that have ended are on their way back for a moment. */
static long settled(void)
{
	long now, before = -1;
	int tries;

	file_write("/proc/sys/vm/compact_memory", "1"); /* drains the LRU lists */
	for (tries = 0; tries < 20; tries++) {
		now = um_stat("pages_allocated");
		if (now == before)
			break;
		before = now;
		usleep(500000);
	}
	return before;
}

/* What a pipe holds is in pages of the kernel's: the control. */
static void secrets(void)
{
	struct secret s[NR];
	long found[NR], bytes, before = settled(), held;
	uint8_t *p[NR];
	int k, fd, pipes[2], go[2];
	char c;
	pid_t pid;

	for (k = 0; k < NR; k++) {
		secret_new(&s[k]);
		p[k] = map_anon(PAGES * PAGE);
	}
	held = um_stat("pages_allocated");
	ok(before > 0, "this program's memory is of the allocator (%ld pages)", before);
	secret_write(p[PIPE], &s[PIPE]);
	if (pipe2(pipes, O_CLOEXEC) || write(pipes[1], p[PIPE], PAGE) != (ssize_t)PAGE)
		die("pipe");
	write_all(p[ANON], &s[ANON]);
	ok(um_stat("pages_allocated") - held >= PAGES, "each touched page is one more");

	/* A child writes beside the secret, and gets copies of the pages. */
	write_all(p[COPIED], &s[COPIED]);
	if (pipe2(go, O_CLOEXEC))
		die("pipe");
	fflush(stdout);
	pid = fork();
	if (!pid) {
		for (k = 0; k < PAGES; k++)
			p[COPIED][k * PAGE + PAGE - 1] = 1;
		close(go[1]);
		_exit(read(go[0], &c, 1) < 0 ||
		      all_there(p[COPIED], &s[COPIED]) != PAGES);
	}
	fd = open_tmpfs("/tmp/secrets", PAGES * PAGE);
	p[TMPFS] = map_shared(fd, PAGES * PAGE);
	if (!p[TMPFS])
		die("mmap of a file");
	write_all(p[TMPFS], &s[TMPFS]);
	/* The child may still be at it. */
	for (k = 0; k < 100 && um_stat("pages_allocated") - held < 4 * PAGES; k++)
		usleep(100000);
	held = um_stat("pages_allocated") - held;
	ok(held >= 4 * PAGES, "copies and a file's pages are, too (%ld)", held);

	bytes = attack(s, NR, found);
	note("%ld MiB of direct map read", bytes / (long)MIB);
	ok(bytes / 1024 >= meminfo("MemTotal"), "all RAM was looked at");
	ok(found[PIPE] > 0, "control: found in a pipe (%ld times)", found[PIPE]);
	ok(found[ANON] == 0, "not found in anonymous memory (%ld times)", found[ANON]);
	ok(found[COPIED] == 0, "not in what was copied on write (%ld times)",
	   found[COPIED]);
	ok(found[TMPFS] == 0, "not in tmpfs (%ld times)", found[TMPFS]);
	for (k = ANON; k < NR; k++)
		ok(all_there(p[k], &s[k]) == PAGES, "kind %d: still there for its owner",
		   k);
	close(go[1]);
	ok(waitpid(pid, &k, 0) == pid && !k, "and for the child");
	close(fd);
	for (k = 0; k < NR; k++)
		munmap(p[k], PAGES * PAGE);
}

static void fill(uint8_t *p, size_t bytes, unsigned int seed)
{
	size_t i;

	for (i = 0; i < bytes; i++)
		p[i] = (uint8_t)((i ^ i >> 12) + seed);
}

/* The ways by which the kernel copies from and to a program's pages. */
static void copies(void)
{
	const size_t bytes = 2 * MIB + 3 * PAGE + 77;
	uint8_t *from = map_anon(BYTES), *to = map_anon(BYTES), *q;
	struct iovec local = { to, bytes }, remote = { from, bytes };
	int fd = open_tmpfs("/tmp/a", 0), other = open_tmpfs("/tmp/b", 0), pipes[2];
	ssize_t n;
	off_t at = 0;

	fill(from, bytes, 1);
	ok(pwrite(fd, from, bytes, 5) == (ssize_t)bytes &&
		   pread(fd, to, bytes, 5) == (ssize_t)bytes && !memcmp(from, to, bytes),
	   "write() and read() of tmpfs");
	fill(from, bytes, 2);
	memset(to, 0, bytes);
	ok(process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)bytes &&
		   !memcmp(from, to, bytes),
	   "process_vm_readv()");
	memset(to, 0, bytes);
	do {
		n = sendfile(other, fd, &at, bytes);
	} while (n > 0);
	fill(from, bytes, 1);
	ok(pread(other, to, bytes, 5) == (ssize_t)bytes && !memcmp(from, to, bytes),
	   "sendfile() from tmpfs to tmpfs");
	q = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	if (q == MAP_FAILED)
		die("mmap");
	q[5] ^= 1; /* copied on write */
	ok(q[5] == (from[0] ^ 1) && !memcmp(q + 6, from + 1, bytes - 1),
	   "a private mapping");
	munmap(q, BYTES);
	ok(!ftruncate(fd, 4096 + 100) && !ftruncate(fd, 8192) &&
		   pread(fd, to, 8192, 0) == 8192 && is_zero(to + 4096 + 100, 4096 - 100),
	   "the rest of a truncated page is zero");
	memset(to, 0, bytes);
	if (pipe2(pipes, O_CLOEXEC))
		die("pipe");
	local = (struct iovec){ from, 4 * PAGE };
	ok(vmsplice(pipes[1], &local, 1, 0) == 4 * PAGE &&
		   read(pipes[0], to, 4 * PAGE) == 4 * PAGE &&
		   !memcmp(from, to, 4 * PAGE),
	   "vmsplice()");
	ok(!file_write("/proc/sys/vm/compact_memory", "1"), "compaction");
	fill(to, bytes, 1);
	ok(!memcmp(from, to, bytes), "what was moved is the same");
	close(fd);
	close(other);
	munmap(from, BYTES);
	munmap(to, BYTES);
}

/*
 * Rings in the program's own memory (IORING_SETUP_NO_MMAP): the kernel keeps a
 * mapping of them, other than those that kmap_local_page() makes.
 */
static void rings(void)
{
	const unsigned int no_mmap = 1U << 14; /* and user_addr, in newer headers */
	struct io_uring_params p = { .flags = no_mmap };
	uint8_t *ring = map_anon(PAGE);
	struct io_uring_sqe *sqes = (void *)map_anon(PAGE);
	const struct io_uring_cqe *cqe;
	long fd;

	touch(ring, PAGE);
	touch(sqes, PAGE);
	p.sq_off.resv2 = (uintptr_t)sqes;
	p.cq_off.resv2 = (uintptr_t)ring;
	fd = syscall(SYS_io_uring_setup, 4, &p);
	if (!ok(fd >= 0, "io_uring with rings in this program's memory"))
		return;
	memset(sqes, 0, sizeof(*sqes));
	sqes->opcode = IORING_OP_NOP;
	sqes->user_data = 77;
	*(uint32_t *)(void *)(ring + p.sq_off.array) = 0;
	__atomic_store_n((uint32_t *)(void *)(ring + p.sq_off.tail), 1, __ATOMIC_RELEASE);
	ok(syscall(SYS_io_uring_enter, fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) == 1,
	   "a request is taken from there");
	cqe = (const void *)(ring + p.cq_off.cqes);
	ok(cqe->user_data == 77, "and answered there");
	close((int)fd);
	munmap(ring, PAGE);
	munmap(sqes, PAGE);
}

static int deep(void *arg)
{
	uint8_t *p = map_anon(BYTES);
	int depth = *(int *)arg - 1;

	fill(p, BYTES, 3);
	if (depth && in_child(deep, &depth))
		return 1;
	execl("/bin/busybox", "busybox", "sh", "-c",
	      "a=; for i in 1 2 3 4 5 6 7 8; do a=$a$(busybox uname -a); done; "
	      "echo \"$a\" >/tmp/sh.$$; busybox grep -q Linux /tmp/sh.$$ && "
	      "busybox cp /bin/busybox /tmp/busybox.$$ && /tmp/busybox.$$ true && "
	      "busybox cmp /bin/busybox /tmp/busybox.$$; r=$?; busybox rm /tmp/*.$$; exit $r",
	      NULL);
	return 2;
}

static void programs(void)
{
	long before = settled();
	int round, failed = 0, depth = 4;

	for (round = 0; round < 3; round++)
		failed += in_child(deep, &depth) != 0;
	ok(!failed, "programs fork, run and copy programs (%d failed)", failed);
	before = settled() - before;
	ok(before < 512, "their pages went back (%ld are still out)", before);
	ok(um_stat("quarantined") == 0, "nothing in quarantine");
	ok(!log_has("WARNING") && !log_has("BUG:"), "no warning");
}

static void rows(const char *suffix)
{
	const size_t pages = BYTES / PAGE;
	uint8_t *p, *buffer = map_anon(PAGE);
	uint64_t before;
	int round, fd;
	size_t i;

	memset(buffer, 1, PAGE);
	/* The second round is the one that counts. */
	for (round = 1; round <= 2; round++) {
		p = map_anon(BYTES);
		before = now_ns();
		touch(p, BYTES);
		note("row fault%d%s %lu", round, suffix, (now_ns() - before) / pages);
		before = now_ns();
		munmap(p, BYTES);
		note("row free%d%s %lu", round, suffix, (now_ns() - before) / pages);
		fd = open_tmpfs("/tmp/rows", 0);
		before = now_ns();
		for (i = 0; i < pages; i++)
			if (pwrite(fd, buffer, PAGE, (off_t)(i * PAGE)) != (ssize_t)PAGE)
				die("write");
		note("row write%d%s %lu", round, suffix, (now_ns() - before) / pages);
		before = now_ns();
		for (i = 0; i < pages; i++)
			if (pread(fd, buffer, PAGE, (off_t)(i * PAGE)) != (ssize_t)PAGE)
				die("read");
		note("row read%d%s %lu", round, suffix, (now_ns() - before) / pages);
		before = now_ns();
		close(fd);
		note("row truncate%d%s %lu", round, suffix, (now_ns() - before) / pages);
	}
	ok(true, "measured");
}

int main(int argc, char **argv)
{
	/* Single pages are what is taken. */
	file_write("/sys/kernel/mm/transparent_hugepage/enabled", "never");
	if (argc == 3 && !strcmp(argv[1], "rows")) {
		rows(argv[2]);
	} else if (argc == 1) {
		secrets();
		copies();
		rings();
		programs();
	} else {
		die("unknown argument %s", argv[1]);
	}
	return finish();
}
