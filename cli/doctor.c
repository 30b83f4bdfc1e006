// SPDX-License-Identifier: MIT
/*
 * unmapped doctor - what works here, and how to get what does not.
 *
 * What can be tried is tried: the device is opened and mapped, memfd_secret(2)
 * called.  Nothing is allocated and nothing is changed.  Of a recorded machine only
 * files are looked at.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cli.h"
#include "counters.h"
#include "debugfs.h"
#include "kcore.h"
#include "root.h"
#include "table.h"

#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447
#endif

enum { COL_FEATURE, COL_STATUS, COL_DETAIL, COL_FIX };

static const struct column columns[] = {
	[COL_FEATURE] = { "FEATURE", "what is looked for", COLUMN_TEXT, false },
	[COL_STATUS] = { "STATUS", "ok, missing, or unknown", COLUMN_TEXT, false },
	[COL_DETAIL] = { "DETAIL", "what was found", COLUMN_TEXT, false },
	[COL_FIX] = { "FIX", "what would help", COLUMN_TEXT, false },
};

enum status { OK, MISSING, UNKNOWN };

struct exam {
	struct table t;
	char release[128]; /* of the kernel */
	bool backend;	   /* something here gives unmapped memory */
};

static void row(struct exam *x, const char *feature, enum status status, const char *fix,
		const char *fmt, ...) __attribute__((format(printf, 5, 6)));

static void row(struct exam *x, const char *feature, enum status status, const char *fix,
		const char *fmt, ...)
{
	static const char *const names[] = { "ok", "missing", "unknown" };
	char detail[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(detail, sizeof(detail), fmt, ap);
	va_end(ap);
	table_line(&x->t);
	table_text(&x->t, COL_FEATURE, feature);
	table_text(&x->t, COL_STATUS, names[status]);
	table_text(&x->t, COL_DETAIL, detail);
	table_text(&x->t, COL_FIX, fix);
}

/* The first line of a file, or "". */
static void first_line(const char *path, char *line, size_t size)
{
	char *text = root_read(path, NULL);

	snprintf(line, size, "%.*s", text ? (int)strcspn(text, "\n") : 0,
		 text ? text : "");
	free(text);
}

/* Is @word one of those in @text, which spaces separate? */
static bool has_word(const char *text, const char *word)
{
	size_t len = strlen(word);
	const char *p = text;

	while (p && (p = strstr(p, word))) {
		if ((p == text || p[-1] == ' ') &&
		    (!p[len] || p[len] == ' ' || p[len] == '\n'))
			return true;
		p += len;
	}
	return false;
}

/* --- the CPU and the kernel ------------------------------------------------- */

static void cpu(struct exam *x)
{
	char *text = root_read("/proc/cpuinfo", NULL), *flags;

	flags = text ? strstr(text, "\nflags") : NULL;
	if (!flags) {
		row(x, "cpu-2m", UNKNOWN, "", "/proc/cpuinfo has no flags");
		free(text);
		return;
	}
	flags++;
	flags[strcspn(flags, "\n")] = 0;
	if (has_word(flags, "pse"))
		row(x, "cpu-2m", OK, "", "pages of 2 MiB (pse)");
	else
		row(x, "cpu-2m", MISSING, "none: the module needs such a CPU",
		    "no pages of 2 MiB (pse)");
	if (has_word(flags, "pdpe1gb"))
		row(x, "cpu-1g", OK, "", "pages of 1 GiB (pdpe1gb)");
	else
		row(x, "cpu-1g", MISSING, "none needed: the direct map has 2 MiB entries",
		    "no pages of 1 GiB (pdpe1gb)");
	free(text);
}

static void kernel(struct exam *x)
{
	char cmdline[4096];
	struct counters c;
	const char *path;

	first_line("/proc/sys/kernel/osrelease", x->release, sizeof(x->release));
	first_line("/proc/cmdline", cmdline, sizeof(cmdline));
	row(x, "kernel", *x->release ? OK : UNKNOWN, "", "%s", x->release);
	if (has_word(cmdline, "debug_pagealloc=on") ||
	    has_word(cmdline, "debug_pagealloc"))
		row(x, "direct-map", MISSING, "boot without debug_pagealloc",
		    "debug_pagealloc keeps it in 4 KiB entries");
	else if (counters_read(&c, &path) || !c.has[ENTRY_4K])
		row(x, "direct-map", UNKNOWN, "", "/proc/meminfo has no DirectMap lines");
	else if (!c.direct[ENTRY_2M] && !c.direct[ENTRY_1G])
		row(x, "direct-map", MISSING, "see the kernel's log for why",
		    "has 4 KiB entries only");
	else
		row(x, "direct-map", OK, "", "has large entries");
	if (!counters_read(&c, &path) && c.has_splits)
		row(x, "split-counters", OK, "", "/proc/vmstat counts splits%s",
		    c.has_collapses ? " and collapses" : "");
	else
		row(x, "split-counters", MISSING, "Linux 5.13 or later",
		    "/proc/vmstat does not count splits");
}

/* --- the module ------------------------------------------------------------- */

static bool installed(const struct exam *x)
{
	char path[256];

	snprintf(path, sizeof(path), "/lib/modules/%s/updates/unmapped.ko", x->release);
	if (!root_access(path))
		return true;
	snprintf(path, sizeof(path), "/lib/modules/%s/updates/dkms/unmapped.ko",
		 x->release);
	return !root_access(path);
}

static void module(struct exam *x)
{
	char text[128];

	if (module_loaded())
		row(x, "module", OK, "", "loaded");
	else if (root_recorded())
		row(x, "module", MISSING, "modprobe unmapped", "not loaded");
	else if (installed(x))
		row(x, "module", MISSING, "modprobe unmapped; dmesg if that fails",
		    "installed for %s, not loaded", x->release);
	else
		row(x, "module", MISSING, "make install, then modprobe unmapped",
		    "not installed for %s", x->release);
	first_line("/sys/kernel/security/lockdown", text, sizeof(text));
	if (*text && !strstr(text, "[none]"))
		row(x, "lockdown", MISSING,
		    "sign the module; map needs integrity at most",
		    "the kernel is locked down: %s", text);
	first_line("/sys/module/module/parameters/sig_enforce", text, sizeof(text));
	if (*text == 'Y')
		row(x, "signatures", MISSING, "sign the module with an enrolled key",
		    "only signed modules load");
}

/* --- ways to unmapped memory ------------------------------------------------ */

static const char *map_one_page(int fd)
{
	void *p = mmap(NULL, KCORE_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return errno == EAGAIN ? "RLIMIT_MEMLOCK is used up" : strerror(errno);
	munmap(p, KCORE_PAGE);
	return NULL;
}

static void device(struct exam *x)
{
	const char *why;
	int fd;

	if (root_recorded()) {
		row(x, "/dev/unmapped", UNKNOWN, "",
		    "can't be tried in what was recorded");
		return;
	}
	fd = open("/dev/unmapped", O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		row(x, "/dev/unmapped", MISSING,
		    errno == ENOENT   ? "load the module"
		    : errno == EACCES ? "chmod, or /sys/kernel/mm/unmapped/device_mode"
				      : "",
		    "%s", strerror(errno));
		return;
	}
	why = map_one_page(fd);
	close(fd);
	if (why) {
		row(x, "/dev/unmapped", MISSING, "ulimit -l; dmesg", "opens, but: %s",
		    why);
		return;
	}
	row(x, "/dev/unmapped", OK, "", "opens and maps");
	x->backend = true;
}

static void secretmem_missing(struct exam *x, const char *why)
{
	static const char name[] = "memfd_secret";

	if (!root_access("/sys/module/secretmem/parameters/enable"))
		row(x, name, MISSING, "boot with secretmem.enable=1",
		    "built in, but not enabled");
	else
		row(x, name, MISSING, "a kernel with CONFIG_SECRETMEM, 5.14 or later",
		    "%s", why);
}

static void secretmem(struct exam *x)
{
	static const char name[] = "memfd_secret";
	const char *why;
	char text[16];
	int fd;

	if (root_recorded()) {
		first_line("/sys/module/secretmem/parameters/enable", text, sizeof(text));
		if (*text == 'Y') {
			row(x, name, OK, "", "enabled");
			x->backend = true;
		} else {
			secretmem_missing(x, "not there");
		}
		return;
	}
	fd = (int)syscall(SYS_memfd_secret, O_CLOEXEC);
	if (fd < 0 && errno == ENOSYS) {
		secretmem_missing(x, strerror(ENOSYS));
		return;
	}
	if (fd < 0) {
		row(x, name, MISSING, "a seccomp filter may forbid it", "%s",
		    strerror(errno));
		return;
	}
	why = ftruncate(fd, KCORE_PAGE) ? strerror(errno) : map_one_page(fd);
	close(fd);
	if (why) {
		row(x, name, MISSING, "ulimit -l", "there, but: %s", why);
		return;
	}
	row(x, name, OK, "", "maps");
	x->backend = true;
}

static void memlock(struct exam *x)
{
	char text[2][SIZE_TEXT];
	struct rlimit r;

	if (root_recorded() || getrlimit(RLIMIT_MEMLOCK, &r))
		return;
	if (r.rlim_cur == RLIM_INFINITY)
		row(x, "RLIMIT_MEMLOCK", OK, "", "no limit");
	else
		row(x, "RLIMIT_MEMLOCK", r.rlim_cur >= KCORE_PAGE ? OK : MISSING,
		    "ulimit -l, limits.conf(5), or LimitMEMLOCK= of the unit",
		    "%s of unmapped memory for this user (hard limit %s)",
		    size_text(text[0], r.rlim_cur, false),
		    r.rlim_max == RLIM_INFINITY ? "none"
						: size_text(text[1], r.rlim_max, false));
}

/* --- what this program looks at --------------------------------------------- */

static void kcore(struct exam *x)
{
	struct kcore k;
	int fd = root_open("/proc/kcore"), err;

	if (fd < 0) {
		row(x, "kcore", MISSING,
		    fd == -ENOENT ? "a kernel with CONFIG_PROC_KCORE"
				  : "CAP_SYS_RAWIO, and no lockdown",
		    "/proc/kcore: %s", strerror(-fd));
		return;
	}
	err = kcore_open(&k, fd);
	if (err)
		row(x, "kcore", MISSING, "", "/proc/kcore: %s", k.error);
	else
		row(x, "kcore", OK, "", "unmapped map can read the page tables");
	kcore_close(&k);
}

static void debugfs(struct exam *x)
{
	struct stats s;
	int err = stats_read(&s);

	free(s.lines);
	if (!err)
		row(x, "debugfs", OK, "", "the allocator's counters can be read");
	else if (err == -ENOENT && !module_loaded())
		row(x, "debugfs", UNKNOWN, "load the module",
		    "nothing of the module's there");
	else if (err == -ENOENT)
		row(x, "debugfs", MISSING, "mount -t debugfs debugfs /sys/kernel/debug",
		    "not mounted");
	else
		row(x, "debugfs", MISSING, "be root", "%s", strerror(-err));
}

static int doctor(int argc, char **argv)
{
	static const struct option options[] = { COMMON_OPTIONS, TABLE_OPTIONS, {} };
	struct style style = {};
	struct exam x = {};
	int c;

	while ((c = getopt_long(argc, argv, TABLE_LETTERS, options, NULL)) >= 0)
		option_common(c, &verb_doctor, &style);
	no_arguments(argc, argv, &verb_doctor);
	table_init(&x.t, "doctor", columns, sizeof(columns) / sizeof(columns[0]), &style);
	cpu(&x);
	kernel(&x);
	module(&x);
	device(&x);
	secretmem(&x);
	memlock(&x);
	kcore(&x);
	debugfs(&x);
	table_print(&x.t);
	return x.backend ? EXIT_DONE : EXIT_MISSING;
}

const struct verb verb_doctor = {
	.name = "doctor",
	.synopsis = "[OPTION...]",
	.summary = "Say what works here, and how to get what does not",
	.help = "",
	.table = true,
	.run = doctor,
};
