// SPDX-License-Identifier: MIT
/*
 * access - the ways by which one process, or the kernel for it, reads another's
 * memory are closed for /dev/unmapped, each with its own errno.
 *
 * All of it is done twice: with memory mapped by 4 KiB entries, and by 2 MiB ones,
 * which get_user_pages_fast() treats in another way.
 *
 * Each way is first tried on ordinary memory of the same process: a control that
 * must succeed, or the refusal would prove nothing.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/io_uring.h>

#define BYTES (4 * PAGE)
#define HUGE  (8 * BLOCK)

static uint8_t *secret_memory, *ordinary;
static struct secret secret, control;

static pid_t victim;

/* Only tells a status, for which no reference need be taken for long. */
static void page_status(void)
{
	void *page = ordinary;
	int status = -1;

	ok(!syscall(SYS_move_pages, 0, 1UL, &page, NULL, &status, 0) && status == 0,
	   "control: move_pages finds ordinary memory");
	page = secret_memory;
	status = 0;
	ok(!syscall(SYS_move_pages, 0, 1UL, &page, NULL, &status, 0) && status < 0,
	   "move_pages does not (%d)", status);
}

static void other_process(void)
{
	uint8_t buf[64];
	struct iovec mine = { buf, sizeof(buf) };
	struct iovec his = { ordinary, sizeof(buf) };
	char path[64];
	long word;
	int fd;

	victim = fork();
	if (!victim) {
		for (;;)
			pause();
	}
	if (ptrace(PTRACE_ATTACH, victim, 0, 0) || waitpid(victim, NULL, 0) != victim)
		die("ptrace attach");

	errno = 0;
	word = ptrace(PTRACE_PEEKDATA, victim, ordinary, 0);
	ok(errno == 0 && word, "control: PTRACE_PEEKDATA of ordinary memory");
	errno = 0;
	word = ptrace(PTRACE_PEEKDATA, victim, secret_memory, 0);
	ok_errno(errno ? -1 : 0, EIO, "PTRACE_PEEKDATA");
	ok_errno(ptrace(PTRACE_POKEDATA, victim, ordinary + PAGE, word), 0,
		 "control: PTRACE_POKEDATA of ordinary memory");
	ok_errno(ptrace(PTRACE_POKEDATA, victim, secret_memory + PAGE, 1), EIO,
		 "PTRACE_POKEDATA");

	snprintf(path, sizeof(path), "/proc/%d/mem", victim);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		die("%s", path);
	ok_errno(pread(fd, buf, sizeof(buf), (off_t)ordinary), 0,
		 "control: read of /proc/PID/mem, ordinary memory");
	ok_errno(pread(fd, buf, sizeof(buf), (off_t)secret_memory), EIO,
		 "read of /proc/PID/mem");
	ok_errno(pwrite(fd, buf, sizeof(buf), (off_t)ordinary + PAGE), 0,
		 "control: write to /proc/PID/mem, ordinary memory");
	ok_errno(pwrite(fd, buf, sizeof(buf), (off_t)secret_memory + PAGE), EIO,
		 "write to /proc/PID/mem");
	close(fd);

	ok_errno(process_vm_readv(victim, &mine, 1, &his, 1, 0), 0,
		 "control: process_vm_readv of ordinary memory");
	his.iov_base = secret_memory;
	ok_errno(process_vm_readv(victim, &mine, 1, &his, 1, 0), EFAULT,
		 "process_vm_readv");
	his.iov_base = secret_memory + PAGE;
	ok_errno(process_vm_writev(victim, &mine, 1, &his, 1, 0), EFAULT,
		 "process_vm_writev");
	kill(victim, SIGKILL);
	waitpid(victim, NULL, 0);
	ok(is_zero(secret_memory + PAGE, PAGE), "nothing was written to it");

	/* Own memory goes the same way. */
	fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		die("/proc/self/mem");
	ok_errno(pread(fd, buf, sizeof(buf), (off_t)secret_memory), EIO,
		 "read of /proc/self/mem");
	close(fd);
}

static void direct_io(const char *disk)
{
	int fd = open(disk, O_RDWR | O_DIRECT | O_CLOEXEC), plain;
	struct iovec iov = { ordinary, PAGE };
	int fds[2];
	uint8_t *page;

	if (fd < 0)
		die("%s", disk);
	ok_errno(pwrite(fd, ordinary, PAGE, 0), 0,
		 "control: O_DIRECT write from ordinary memory");
	ok_errno(pwrite(fd, secret_memory, PAGE, 0), EFAULT, "O_DIRECT write from it");
	ok_errno(pread(fd, ordinary + 2 * PAGE, PAGE, 0), 0,
		 "control: O_DIRECT read into ordinary memory");
	ok(secret_at(ordinary + 2 * PAGE, &control),
	   "control: and it is what was written");
	ok_errno(pread(fd, secret_memory + 2 * PAGE, PAGE, 0), EFAULT,
		 "O_DIRECT read into it");
	ok(is_zero(secret_memory + 2 * PAGE, PAGE), "and nothing was written there");
	close(fd);

	if (pipe2(fds, O_CLOEXEC))
		die("pipe");
	ok_errno(vmsplice(fds[1], &iov, 1, 0), 0, "control: vmsplice of ordinary memory");
	iov.iov_base = secret_memory;
	ok_errno(vmsplice(fds[1], &iov, 1, 0), EFAULT, "vmsplice");
	close(fds[0]);
	close(fds[1]);

	/* What the owner copies out with ordinary calls is the owner's affair. */
	plain = open("/tmp/plain", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	page = ordinary + 3 * PAGE;
	ok_errno(pwrite(plain, secret_memory, PAGE, 0), 0,
		 "an ordinary write() from it works");
	ok_errno(pread(plain, page, PAGE, 0), 0, "and can be read back");
	ok(secret_at(page, &secret), "unchanged");
	memset(page, 0, PAGE);
	if (pwrite(plain, page, PAGE, 0) != (ssize_t)PAGE)
		die("wiping");
	close(plain);
	unlink("/tmp/plain");
}

static void io_uring_buffers(void)
{
	struct io_uring_params params = { 0 };
	struct iovec iov = { ordinary, PAGE };
	int ring = syscall(SYS_io_uring_setup, 4, &params);

	if (ring < 0)
		die("io_uring_setup");
	ok_errno(syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS, &iov, 1),
		 0, "control: io_uring fixed buffer in ordinary memory");
	syscall(SYS_io_uring_register, ring, IORING_UNREGISTER_BUFFERS, NULL, 0);
	iov.iov_base = secret_memory;
	ok_errno(syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS, &iov, 1),
		 EFAULT, "io_uring fixed buffer");
	close(ring);
}

/* Is @s anywhere in the file? */
static bool file_has(const char *path, const struct secret *s, long *size)
{
	uint8_t *buf;
	size_t at, len;
	bool has = false;
	FILE *f = fopen(path, "re");

	*size = -1;
	if (!f)
		return false;
	fseek(f, 0, SEEK_END);
	*size = ftell(f);
	rewind(f);
	buf = malloc(*size);
	len = buf ? fread(buf, 1, *size, f) : 0;
	for (at = 0; at + SECRET_BYTES <= len && !has; at++)
		has = secret_at(buf + at, s);
	free(buf);
	fclose(f);
	return has;
}

static int crash(void *arg)
{
	const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };

	(void)arg;
	setrlimit(RLIMIT_CORE, &unlimited);
	prctl(PR_SET_DUMPABLE, 1);
	/* All kinds of memory, shared and file-backed too. */
	file_write("/proc/self/coredump_filter", "0x1ff");
	abort();
}

static bool dump_flag(void)
{
	unsigned long start, end;
	char line[512];
	bool here = false, dd = false;
	FILE *f = fopen("/proc/self/smaps", "re");

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			here = start <= (unsigned long)secret_memory &&
			       (unsigned long)secret_memory < end;
		if (here && !strncmp(line, "VmFlags:", 8))
			dd = strstr(line, " dd");
	}
	if (f)
		fclose(f);
	return dd;
}

static void core_dump(const char *when)
{
	long size;
	int status;

	unlink("/tmp/core");
	status = in_child(crash, NULL);
	ok(status == 128 + SIGABRT, "%s: a process dies", when);
	ok(file_has("/tmp/core", &control, &size),
	   "%s: control: its core has the ordinary memory", when);
	ok(size > 0 && !file_has("/tmp/core", &secret, &size), "%s: but not the secret",
	   when);
	unlink("/tmp/core");
}

static void core_dumps(void)
{
	if (file_write("/proc/sys/kernel/core_pattern", "/tmp/core"))
		die("core_pattern");
	ok(dump_flag(), "smaps says dd: not dumped");
	core_dump("core");
	/* On a mapping of special pages the flag can't be taken away. */
	madvise(secret_memory, BYTES, MADV_DODUMP);
	core_dump("core after MADV_DODUMP");
}

/* All ways, with @bytes of an object mapped by entries of one kind. */
static void all_ways(int fd, size_t bytes, const char *disk)
{
	secret_memory = fd < 0 ? NULL : map_shared(fd, bytes);
	ordinary = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			-1, 0);
	if (!secret_memory || ordinary == MAP_FAILED)
		die("memory");
	touch(ordinary, BYTES);
	secret_new(&secret);
	secret_new(&control);
	secret_write(secret_memory, &secret);
	secret_write(ordinary, &control);
	ok(is_zero(secret_memory + PAGE, bytes - PAGE), "the rest is zero");

	other_process();
	page_status();
	direct_io(disk);
	io_uring_buffers();
	core_dumps();
	ok(secret_at(secret_memory, &secret), "the secret is still there");
	munmap(ordinary, BYTES);
	munmap(secret_memory, bytes);
	close(fd);
}

int main(int argc, char **argv)
{
	long tables;
	int fd;

	if (argc < 2)
		return 2;
	note("4 KiB entries");
	all_ways(um_open(), BYTES, argv[1]);

	note("2 MiB entries");
	fd = um_create(HUGE, 0, UNMAPPED_ANY_NODE);
	secret_memory = fd < 0 ? NULL : map_shared(fd, HUGE);
	if (!secret_memory)
		die("2 MiB entries");
	tables = file_value("/proc/self/status", "VmPTE");
	touch(secret_memory, HUGE);
	tables = file_value("/proc/self/status", "VmPTE") - tables;
	ok(tables < 4 * 4, "control: touched without tables of 4 KiB entries (%ld kB)",
	   tables);
	munmap(secret_memory, HUGE);
	close(fd);
	all_ways(um_create(HUGE, 0, UNMAPPED_ANY_NODE), HUGE, argv[1]);
	/* Whoever had taken a reference would be noticed now. */
	ok(um_shrink() == 0, "the cache is shrunk");
	return finish();
}
