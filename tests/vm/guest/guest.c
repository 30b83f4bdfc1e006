// SPDX-License-Identifier: MIT
/*
 * Shared by the guest programs; guest.h says what each function is for.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int points, failures;

static void point(bool good, const char *tail, const char *fmt, va_list ap)
{
	points++;
	if (!good)
		failures++;
	printf("%sok %d - ", good ? "" : "not ", points);
	vprintf(fmt, ap);
	printf("%s\n", tail);
	fflush(stdout);
}

bool ok(bool good, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	point(good, "", fmt, ap);
	va_end(ap);
	return good;
}

bool ok_errno(long got, int want, const char *fmt, ...)
{
	int err = got < 0 ? errno : 0;
	char tail[120];
	va_list ap;

	snprintf(tail, sizeof(tail), ": %s", want ? strerrorname_np(want) : "succeeds");
	if (err != want) {
		size_t used = strlen(tail);

		snprintf(tail + used, sizeof(tail) - used, ", got %s",
			 err ? strerrorname_np(err) : "success");
	}
	va_start(ap, fmt);
	point(err == want, tail, fmt, ap);
	va_end(ap);
	return err == want;
}

void skip(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	printf("ok %d # SKIP ", ++points);
	vprintf(fmt, ap);
	printf("\n");
	fflush(stdout);
	va_end(ap);
}

void note(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	printf("# ");
	vprintf(fmt, ap);
	printf("\n");
	fflush(stdout);
	va_end(ap);
}

int finish(void)
{
	printf("1..%d\n", points);
	fflush(stdout);
	return failures ? 1 : 0;
}

void die(const char *fmt, ...)
{
	char tail[80];
	va_list ap;

	snprintf(tail, sizeof(tail), ": %s", strerror(errno));
	va_start(ap, fmt);
	point(false, tail, fmt, ap);
	va_end(ap);
	finish();
	exit(1);
}

long file_value(const char *path, const char *key)
{
	size_t len = strlen(key);
	char line[256];
	long value = -1;
	FILE *f;

	f = fopen(path, "re");
	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, key, len) || !strchr(" \t:", line[len]))
			continue;
		value = strtol(line + len + strspn(line + len, ": \t"), NULL, 10);
		break;
	}
	fclose(f);
	return value;
}

long file_number(const char *path)
{
	long value = -1;
	FILE *f;

	f = fopen(path, "re");
	if (!f)
		return -1;
	if (fscanf(f, "%ld", &value) != 1)
		value = -1;
	fclose(f);
	return value;
}

static int put(const char *path, const char *text, int flag)
{
	ssize_t len = strlen(text);
	int fd, err = 0;

	fd = open(path, O_WRONLY | flag | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, text, len) != len)
		err = errno ? -errno : -EIO;
	close(fd);
	return err;
}

int file_write(const char *path, const char *text)
{
	return put(path, text, O_TRUNC);
}

int file_append(const char *path, const char *text)
{
	return put(path, text, O_APPEND);
}

long meminfo(const char *key)
{
	return file_value("/proc/meminfo", key);
}

long memory_free(int node)
{
	FILE *f = fopen("/proc/zoneinfo", "re");
	long pages = 0, count;
	char line[256];
	int n = -1;

	if (!f)
		die("/proc/zoneinfo");
	while (fgets(line, sizeof(line), f)) {
		sscanf(line, "Node %d, zone", &n);
		if ((node == -1 || n == node) &&
		    (sscanf(line, " pages free %ld", &count) == 1 ||
		     sscanf(line, " count: %ld", &count) == 1))
			pages += count;
	}
	fclose(f);
	return pages * (long)(PAGE / 1024);
}

long vmstat(const char *key)
{
	return file_value("/proc/vmstat", key);
}

void trace_write(const char *file, const char *text)
{
	char path[120];
	int err;

	snprintf(path, sizeof(path), TRACEFS "%s", file);
	err = file_write(path, text);
	errno = -err;
	if (err)
		die("%s to %s", text, path);
}

long um_stat(const char *key)
{
	long value = file_value(DEBUGFS "stats", key);

	if (value < 0) {
		errno = ENOENT;
		die("no %s in %s", key, DEBUGFS "stats");
	}
	return value;
}

long um_splits(void)
{
	return um_stat("splits_2m") + um_stat("splits_1g");
}

int um_shrink(void)
{
	return file_write(DEBUGFS "shrink", "all");
}

void plain_page_allocator(void)
{
	int err = file_write("/proc/sys/vm/percpu_pagelist_high_fraction", "100000");

	if (!err)
		err = file_write("/proc/sys/vm/watermark_boost_factor", "0");
	errno = -err;
	if (err)
		die("plain_page_allocator");
}

void direct_map_read(struct direct_map *map)
{
	map->kb4 = meminfo("DirectMap4k");
	map->kb2m = meminfo("DirectMap2M");
	map->kb1g = meminfo("DirectMap1G");
	map->splits2m = vmstat("direct_map_level2_splits");
	map->splits1g = vmstat("direct_map_level3_splits");
	if (map->kb4 < 0 || map->kb2m < 0 || map->splits2m < 0 || map->splits1g < 0) {
		errno = ENOENT;
		die("counters of the direct map");
	}
	if (map->kb1g < 0) /* a CPU without 1 GiB pages */
		map->kb1g = 0;
}

bool direct_map_same(const struct direct_map *a, const struct direct_map *b)
{
	return a->kb4 == b->kb4 && a->kb2m == b->kb2m && a->kb1g == b->kb1g;
}

void direct_map_note(const char *when, const struct direct_map *map)
{
	note("%s: DirectMap 4k %ld, 2M %ld, 1G %ld kB; splits 2M %ld, 1G %ld", when,
	     map->kb4, map->kb2m, map->kb1g, map->splits2m, map->splits1g);
}

void snapshot_device(const char *path)
{
	unsigned int major, minor;
	FILE *f = fopen("/sys/class/misc/snapshot/dev", "re");

	unlink(path);
	if (!f || fscanf(f, "%u:%u", &major, &minor) != 2 ||
	    mknod(path, S_IFCHR | 0600, makedev(major, minor)))
		die("/dev/snapshot");
	fclose(f);
}

int um_open(void)
{
	return open(DEVICE, O_RDWR | O_CLOEXEC);
}

int um_create(uint64_t bytes, uint32_t flags, int32_t node)
{
	struct unmapped_create arg = {
		.argsz = sizeof(arg),
		.flags = flags,
		.bytes = bytes,
		.node = node,
	};
	int dev, fd, err;

	dev = um_open();
	if (dev < 0)
		return -1;
	fd = ioctl(dev, UNMAPPED_IOC_CREATE, &arg);
	err = errno;
	close(dev);
	errno = err;
	return fd;
}

int secretmem_open(size_t bytes)
{
	int fd = syscall(SYS_memfd_secret, O_CLOEXEC);

	if (fd >= 0 && ftruncate(fd, bytes)) {
		int err = errno;

		close(fd);
		errno = err;
		return -1;
	}
	return fd;
}

void *map_shared(int fd, size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return p == MAP_FAILED ? NULL : p;
}

uint8_t *um_object(uint64_t bytes, uint32_t flags, int *fd)
{
	uint8_t *p;

	*fd = um_create(bytes, flags, UNMAPPED_ANY_NODE);
	p = *fd < 0 ? NULL : map_shared(*fd, bytes);
	if (!p)
		die("object of %lu bytes", (unsigned long)bytes);
	return p;
}

void touch(void *p, size_t bytes)
{
	volatile uint8_t *byte = p;
	size_t i;

	for (i = 0; i < bytes; i += PAGE)
		byte[i] = (uint8_t)(i / PAGE) | 1;
}

bool is_zero(const void *p, size_t bytes)
{
	const uint64_t *word = p;
	size_t i;

	for (i = 0; i < bytes / sizeof(*word); i++)
		if (word[i])
			return false;
	return true;
}

static sigjmp_buf fault_return;

static void on_fault(int sig)
{
	siglongjmp(fault_return, sig);
}

bool raises(volatile uint8_t *p, bool write, int signal)
{
	struct sigaction act = { .sa_handler = on_fault }, old_segv, old_bus;
	int got;

	sigaction(SIGSEGV, &act, &old_segv);
	sigaction(SIGBUS, &act, &old_bus);
	got = sigsetjmp(fault_return, 1);
	if (!got) {
		if (write)
			*p = 1;
		else
			(void)*p;
	}
	sigaction(SIGSEGV, &old_segv, NULL);
	sigaction(SIGBUS, &old_bus, NULL);
	return got == signal;
}

void secret_new(struct secret *s)
{
	if (getrandom(s->masked, sizeof(s->masked), 0) != sizeof(s->masked))
		die("getrandom");
}

static void print_masked(const struct secret *s)
{
	int i;

	printf(" ");
	for (i = 0; i < SECRET_BYTES; i++)
		printf("%02x", s->masked[i]);
}

int hibernate(const struct secret *secret, const struct secret *control)
{
	printf("@hibernate");
	print_masked(secret);
	print_masked(control);
	printf("\n");
	fflush(stdout);
	return file_write("/sys/power/state", "disk");
}

void secret_write(void *where, const struct secret *s)
{
	volatile uint8_t *to = where;
	int i;

	for (i = 0; i < SECRET_BYTES; i++)
		to[i] = s->masked[i] ^ SECRET_MASK;
}

bool secret_at(const void *where, const struct secret *s)
{
	const volatile uint8_t *from = where;
	int i, same = 0;

	for (i = 0; i < SECRET_BYTES; i++)
		same += from[i] == (s->masked[i] ^ SECRET_MASK);
	return same == SECRET_BYTES;
}

long attack(const struct secret *s, int nr, long *found)
{
	char hex[nr][2 * SECRET_BYTES + 1], line[256];
	char *argv[nr + 2];
	long bytes = -1, number, times;
	int i, k, fds[2], status;
	pid_t pid;
	FILE *f;

	argv[0] = "attacker";
	for (k = 0; k < nr; k++) {
		for (i = 0; i < SECRET_BYTES; i++)
			sprintf(hex[k] + 2 * i, "%02x", s[k].masked[i]);
		argv[k + 1] = hex[k];
		found[k] = -1;
	}
	argv[nr + 1] = NULL;

	if (pipe2(fds, O_CLOEXEC))
		return -1;
	fflush(stdout);
	pid = fork();
	if (!pid) {
		dup2(fds[1], STDOUT_FILENO);
		execv("/vm/bin/attacker", argv);
		_exit(127);
	}
	close(fds[1]);
	f = fdopen(fds[0], "r");
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "found %ld %ld", &number, &times) == 2 && number < nr)
			found[number] = times;
		else
			sscanf(line, "read_bytes %ld", &bytes);
	}
	if (f)
		fclose(f);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		return -1;
	return bytes;
}

int in_child(int (*fn)(void *arg), void *arg)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid)
		_exit(fn(arg));
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool log_has(const char *text)
{
	static char log[1 << 20];
	int len = klogctl(3 /* SYSLOG_ACTION_READ_ALL */, log, sizeof(log) - 1);

	if (len < 0)
		die("klogctl");
	log[len] = 0;
	return strstr(log, text);
}

void run_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("CPU %d", cpu);
}

uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_RAW, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

bool um_stat_becomes(const char *key, long value, int seconds)
{
	int i;

	for (i = 0; i < seconds * 20; i++) {
		if (um_stat(key) == value)
			return true;
		usleep(50000);
	}
	return false;
}
