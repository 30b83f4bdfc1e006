// SPDX-License-Identifier: MIT
/* Why something failed, in words, for each thread; and what goes to stderr. */
#include <stdarg.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib.h"

static __thread char reason[224];

int failed(int err, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(reason, sizeof(reason), fmt, args);
	va_end(args);
	errno = -err;
	return err;
}

int failed_limit(size_t bytes)
{
	struct rlimit limit = { 0, 0 };

	getrlimit(RLIMIT_MEMLOCK, &limit);
	return failed(-ENOMEM,
		      "RLIMIT_MEMLOCK is %llu kB, too low for %zu kB more: raise it "
		      "(ulimit -l, LimitMEMLOCK=, limits.conf), or give CAP_IPC_LOCK",
		      (unsigned long long)limit.rlim_cur / 1024, bytes / 1024);
}

/*
 * Kernels of 2026 count memfd_secret(2) by page and user when it is touched, with
 * no exception for CAP_IPC_LOCK; they do not say whether it was that.
 */
int failed_touch(void)
{
	struct rlimit limit = { 0, 0 };

	getrlimit(RLIMIT_MEMLOCK, &limit);
	if (limit.rlim_cur == RLIM_INFINITY)
		return failed(-ENOMEM, "the system has no memory left");
	return failed(-ENOMEM,
		      "RLIMIT_MEMLOCK is %llu kB, and the user has reached it (raise it: "
		      "ulimit -l, LimitMEMLOCK=, limits.conf), or no memory is left",
		      (unsigned long long)limit.rlim_cur / 1024);
}

EXPORT const char *unmapped_strerror(void)
{
	return reason[0] ? reason : "nothing has failed in this thread";
}

void say(const char *fmt, ...)
{
	char line[600];
	va_list args;
	ssize_t done;
	int n;

	va_start(args, fmt);
	n = vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	done = write(STDERR_FILENO, line, (size_t)min(n, (int)sizeof(line) - 1));
	(void)done;
}
