// SPDX-License-Identifier: MIT
/*
 * nested - QEMU runs a virtual machine on unmapped memory, by
 *
 *	-object memory-backend-file,mem-path=/dev/unmapped,share=on,...
 *
 * and nothing else is special about it.  A stock kernel boots there to its init,
 * which writes a secret; then the attacker looks for that in the direct map of
 * the machine that QEMU runs in.  The control is the same machine on a memfd.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <glob.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DIR	"/vm/nested/"
#define RAM	"192M"
#define SECONDS 300
/*
 * KVM itself accesses a clock of its own in the memory of the guest.  And no more of
 * a CPU than that: newer kernels stumble over much of what KVM in TCG tells them.
 */
#define CPU "qemu64,-svm,-kvmclock,-kvmclock-stable-bit"

struct machine {
	pid_t pid;
	int in, out;
	char said[65536];
	size_t len;
};

static void start(struct machine *m, const char *cpu, const char *backend,
		  const struct secret *secret)
{
	char append[256], hex[2 * SECRET_BYTES + 1];
	int in[2], out[2], i;

	for (i = 0; i < SECRET_BYTES; i++)
		sprintf(hex + 2 * i, "%02x", secret->masked[i]);
	snprintf(
		append, sizeof(append),
		"console=ttyS0 earlyprintk=ttyS0 edd=off nokaslr tsc_early_khz=1000000 lpj=4000000 loglevel=7 panic=-1 reboot=t secret=%s",
		hex);
	if (pipe(in) || pipe(out))
		die("pipe");
	memset(m, 0, sizeof(*m));
	fflush(stdout);
	m->pid = fork();
	if (!m->pid) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		dup2(out[1], 2);
		execl(DIR "qemu", "qemu", "-L", DIR "share", "-M",
		      "microvm,memory-backend=ram,isa-serial=on,pit=on,pic=on,rtc=on",
		      "-accel", "kvm", "-cpu", cpu, "-m", RAM, "-object", backend,
		      "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		      "-serial", "stdio", "-kernel", DIR "vmlinuz", "-initrd",
		      DIR "initramfs", "-append", append, (char *)NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	m->in = in[1];
	m->out = out[0];
}

/* Read what it says until it says @what, or ends, or takes too long. */
static bool says(struct machine *m, const char *what)
{
	time_t end = time(NULL) + SECONDS;
	struct pollfd p = { .fd = m->out, .events = POLLIN };
	ssize_t n;

	while (!strstr(m->said, what)) {
		if (time(NULL) > end || poll(&p, 1, 1000) < 0)
			return false;
		if (!p.revents)
			continue;
		n = read(m->out, m->said + m->len, sizeof(m->said) - 1 - m->len);
		if (n <= 0)
			return false;
		m->len += (size_t)n;
	}
	return true;
}

static void tell_lines(const char *what, const char *text)
{
	char *copy = strdup(text), *line, *rest = copy;

	while ((line = strsep(&rest, "\r\n")))
		if (*line)
			note("%s| %s", what, line);
	free(copy);
}

/* What the machine said, and what each thread of QEMU's does. */
static void tell(const struct machine *m)
{
	static const char *const files[] = { "comm", "stat", "stack" };
	char pattern[64], text[4096];
	glob_t found;
	size_t i;

	tell_lines("", m->said);
	for (size_t f = 0; f < sizeof(files) / sizeof(*files); f++) {
		snprintf(pattern, sizeof(pattern), "/proc/%d/task/*/%s", m->pid,
			 files[f]);
		if (glob(pattern, 0, NULL, &found))
			continue;
		for (i = 0; i < found.gl_pathc; i++) {
			FILE *from = fopen(found.gl_pathv[i], "r");
			size_t n = from ? fread(text, 1, sizeof(text) - 1, from) : 0;

			text[n] = 0;
			tell_lines(found.gl_pathv[i], text);
			if (from)
				fclose(from);
		}
		globfree(&found);
	}
}

static bool gone(const struct machine *m, int *status)
{
	time_t end = time(NULL) + SECONDS;
	pid_t pid;

	while (!(pid = waitpid(m->pid, status, WNOHANG)) && time(NULL) < end)
		usleep(10000);
	return pid == m->pid;
}

/*
 * QEMU ends with its machine, which has been told to reboot.  Where the machine does not
 * come to that (it is a machine in a machine, none of which is a real one), QEMU is told
 * to end; where that does not help, it is in the kernel that is tested.
 */
static bool ends(const struct machine *m)
{
	int status = -1;

	if (!gone(m, &status)) {
		note("the machine does not reboot");
		tell(m);
		kill(m->pid, SIGTERM);
		if (!gone(m, &status)) {
			tell(m);
			kill(m->pid, SIGKILL);
			waitpid(m->pid, NULL, 0);
			return false;
		}
	}
	return WIFEXITED(status) && !WEXITSTATUS(status);
}

static void machine(const char *what, const char *backend, bool found_wanted)
{
	struct timespec from, to;
	struct secret secret;
	struct machine m;
	long found;
	bool good;

	secret_new(&secret);
	clock_gettime(CLOCK_MONOTONIC, &from);
	start(&m, CPU, backend, &secret);
	good = says(&m, "inner: up");
	clock_gettime(CLOCK_MONOTONIC, &to);
	ok(good, "%s: a kernel boots to its init", what);
	if (good) {
		note("%s: after %ld s; %ld pages are allocated", what,
		     (long)(to.tv_sec - from.tv_sec), um_stat("pages_allocated"));
		if (attack(&secret, 1, &found) <= 0)
			die("attack");
		ok((found > 0) == found_wanted,
		   "%s: its secret is %sfound in the direct map (%ld)", what,
		   found_wanted ? "" : "not ", found);
		if (write(m.in, "\n", 1) != 1)
			die("write");
		ok(says(&m, "inner: kept"), "%s: which it still has", what);
		says(&m, "nothing more");
		ok(ends(&m), "%s: QEMU ends well", what);
	} else {
		tell(&m);
		kill(m.pid, SIGKILL);
		waitpid(m.pid, NULL, 0);
	}
	close(m.in);
	close(m.out);
}

/*
 * A guest that has the clock all the same, or would: its host is to live on, and to
 * say what it refused.
 */
static void with_clock(const char *backend)
{
	struct secret secret;
	struct machine m;
	int status, i;

	secret_new(&secret);
	start(&m, "qemu64,-svm", backend, &secret);
	for (i = 0; i < 1200 && !log_has("is not in the direct map: refused"); i++)
		usleep(100000);
	ok(log_has("is not in the direct map: refused"),
	   "kvm-clock on unmapped memory: refused, and the log says so");
	sleep(2);
	kill(m.pid, SIGKILL);
	waitpid(m.pid, &status, 0);
	close(m.in);
	close(m.out);
}

int main(void)
{
	machine("control, memfd", "memory-backend-memfd,id=ram,share=on,size=" RAM, true);
	machine("/dev/unmapped",
		"memory-backend-file,id=ram,mem-path=/dev/unmapped,share=on,size=" RAM,
		false);
	with_clock(
		"memory-backend-file,id=ram,mem-path=/dev/unmapped,share=on,size=" RAM);
	ok(um_stat_becomes("pages_allocated", 0, 10), "all of it is freed");
	ok(!um_shrink() && um_splits() == 0, "and nothing was split");
	return finish();
}
