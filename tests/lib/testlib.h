/* SPDX-License-Identifier: MIT */
/*
 * What the library's tests share.  What is to end a process, or to change what it
 * may do, is done in a child; the library is a new one there.
 */
#ifndef TESTLIB_H
#define TESTLIB_H

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "unmapped.h"

#define PAGE 4096UL
#define MIB  (1UL << 20)

/* Does TSan watch?  It takes a child's only thread to race with its parent's others. */
#if defined(__SANITIZE_THREAD__)
#define RACES_SEEN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RACES_SEEN 1
#endif
#endif

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

/* Run @fn in a child, with its stderr in @said.  Exit status, or 128 + signal. */
static inline int in_child(int (*fn)(void *arg), void *arg, char *said, size_t size)
{
	struct rlimit no_core = { 0, 0 };
	int pipes[2], status;
	size_t got = 0;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(pipes), 0);
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		/* No sanitizer's opinion of the signals that are meant to come. */
		signal(SIGSEGV, SIG_DFL);
		signal(SIGBUS, SIG_DFL);
		signal(SIGABRT, SIG_DFL);
		setrlimit(RLIMIT_CORE, &no_core);
		dup2(pipes[1], STDERR_FILENO);
		close(pipes[0]);
		close(pipes[1]);
		_exit(fn(arg));
	}
	close(pipes[1]);
	while ((n = read(pipes[0], said + got, size - 1 - got)) > 0)
		got += (size_t)n;
	said[got] = '\0';
	close(pipes[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

#define assert_child(fn, arg, want, text) \
	do { \
		char said__[4096]; \
		int got__ = in_child(fn, arg, said__, sizeof(said__)); \
		const char *text__ = text; \
		if (got__ != (want) || (text__ && !strstr(said__, text__))) \
			print_error("child: %d, said: %s\n", got__, said__); \
		assert_int_equal(got__, want); \
		assert_true(!text__ || strstr(said__, text__)); \
	} while (0)

/*
 * "small" as the argument: with so much less of everything, for tests/lib/memcheck,
 * which runs what touches no memory on purpose that it must not.
 */
#define SMALLER 50
static unsigned int smaller __attribute__((unused)) = 1;

#define run_or_small(name, tests, small) \
	(argc > 1 && !strcmp(argv[1], "small") \
		 ? (smaller = SMALLER, \
		    cmocka_run_group_tests_name(name, small, NULL, NULL)) \
		 : cmocka_run_group_tests_name(name, tests, NULL, NULL))

static inline bool is_zero(const void *p, size_t n)
{
	const unsigned char *c = p;

	while (n--)
		if (*c++)
			return false;
	return true;
}

static inline struct unmapped_stats stats(void)
{
	struct unmapped_stats s;

	assert_int_equal(unmapped_stats(&s, sizeof(s)), 0);
	return s;
}

static inline uint64_t rng(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

#endif /* TESTLIB_H */
