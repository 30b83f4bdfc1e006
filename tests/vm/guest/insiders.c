// SPDX-License-Identifier: MIT
/* See insiders.h. */
#define _GNU_SOURCE
#include "insiders.h"
#include "code.h"
#include "guest.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define FILES	      3
#define BYTES_MOST    (2 * BLOCK)
#define MODULES_MOST  3 /* at a time */
#define PROGRAMS_MOST 24
#define INTERPRETED   255 /* among exit codes that are errno's */

bool insiders(void)
{
	return !access(DEBUGFS "stats", F_OK) &&
	       access("/sys/module/unmapped/initstate", F_OK);
}

/* --- memfd_secret(2) --------------------------------------------------------- */

struct secret_file {
	uint64_t *p;
	size_t bytes;
	int fd;
};

static uint64_t *word(const struct secret_file *f, size_t at)
{
	return f->p + at / sizeof(*f->p);
}

static bool holds(const struct secret_file *f)
{
	size_t at;

	for (at = 0; at < f->bytes; at += PAGE)
		if (*word(f, at) != (uint64_t)f->p + at ||
		    *word(f, at + PAGE - sizeof(*f->p)) != ~at)
			return false;
	return true;
}

/* Zero at first, page by page or by one fault for 2 MiB. */
static int secret_make(struct secret_file *f, unsigned int *seed)
{
	size_t at;
	int err;

	f->bytes = (1 + (size_t)rand_r(seed) % (BYTES_MOST / PAGE)) * PAGE;
	f->fd = secretmem_open(f->bytes);
	if (f->fd < 0)
		return -errno;
	f->p = map_shared(f->fd, f->bytes);
	if (!f->p) {
		err = -errno;
		close(f->fd);
		return err;
	}
	madvise(f->p, f->bytes, rand_r(seed) % 2 ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	for (at = 0; at < f->bytes; at += PAGE) {
		if (!is_zero(word(f, at), PAGE))
			return -EIO;
		*word(f, at) = (uint64_t)f->p + at;
		*word(f, at + PAGE - sizeof(*f->p)) = ~at;
	}
	return 0;
}

/* The file goes with its descriptor or with its mapping, which goes in parts. */
static void secret_end(struct secret_file *f, unsigned int *seed)
{
	size_t part = (size_t)rand_r(seed) % (f->bytes / PAGE) * PAGE;
	bool by_close = rand_r(seed) % 2;

	if (!by_close)
		close(f->fd);
	if (part)
		munmap(f->p, part);
	munmap((char *)f->p + part, f->bytes - part);
	if (by_close)
		close(f->fd);
	f->p = NULL;
}

/* A child that sees the same, and may be killed while it holds them. */
static int secret_child(const struct secret_file *files, int nr, unsigned int *seed)
{
	bool killed = rand_r(seed) % 2;
	pid_t pid = fork();
	int i, status;

	if (pid < 0)
		return -errno;
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (i = 0; i < nr; i++)
			if (!holds(&files[i]))
				_exit(1);
		/* Not for ever: nobody may be left to kill it. */
		if (killed)
			sleep(1);
		_exit(0);
	}
	if (killed) {
		usleep(rand_r(seed) % 20000);
		kill(pid, SIGKILL);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) && WEXITSTATUS(status) ? -EIO : 0;
}

int insider_secrets(unsigned int *seed)
{
	struct secret_file files[FILES];
	int nr, err = 0;

	for (nr = 0; nr < FILES && !err; nr++) {
		files[nr].p = NULL;
		err = secret_make(&files[nr], seed);
	}
	if (!err)
		err = secret_child(files, nr, seed);
	while (nr--) {
		if (!err && !holds(&files[nr]))
			err = -EIO;
		if (files[nr].p)
			secret_end(&files[nr], seed);
	}
	return err;
}

/* --- code -------------------------------------------------------------------- */

/* Return: how many are there still. */
static int remove_modules(void)
{
	char name[MODULE_NAME];
	int i, err, nr = 0;

	for (i = 0; i < MODULES_MOST; i++) {
		module_name(name, i);
		err = module_remove(name);
		nr += err && err != -ENOENT;
	}
	return nr;
}

int insider_modules(unsigned int *seed)
{
	int i, nr = 1 + rand_r(seed) % MODULES_MOST, err = 0;
	char name[MODULE_NAME];
	size_t size;
	void *ko;

	for (i = 0; i < nr && !err; i++) {
		module_name(name, i);
		ko = module_copy(name, &size);
		err = module_try(ko, size, "");
		munmap(ko, size);
	}
	return remove_modules() ? -EBUSY : err;
}

/* Return: 0, an errno, or INTERPRETED. */
static int load_programs(unsigned int *seed)
{
	int i, fd, most = 1 + rand_r(seed) % PROGRAMS_MOST, result = 0;

	for (i = 0; i < most; i++) {
		fd = program_try(rand_r(seed));
		/* 524 is what bpf(2) of 6.1 says without memory. */
		if (fd < 0)
			return errno == 524 ? ENOMEM : errno;
		if (!program_is_code(fd))
			result = INTERPRETED;
	}
	return result;
}

/*
 * A child has them, and ends by itself or is killed while it does, but not while it
 * loads one: who is being killed is refused memory early, and the JIT may be left
 * without.
 */
int insider_programs(unsigned int *seed)
{
	int status, result;
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		result = load_programs(seed);
		if (result)
			_exit(result);
		raise(SIGSTOP);
		_exit(0);
	}
	waitpid(pid, &status, WUNTRACED);
	if (WIFSTOPPED(status)) {
		kill(pid, rand_r(seed) % 2 ? SIGKILL : SIGCONT);
		waitpid(pid, &status, 0);
		return 0;
	}
	if (!WIFEXITED(status)) /* the OOM killer's */
		return -ENOMEM;
	result = WEXITSTATUS(status);
	return result == INTERPRETED ? 1 : -result;
}
