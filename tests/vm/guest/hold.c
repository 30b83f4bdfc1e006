// SPDX-License-Identifier: MIT
/*
 * hold KIND MIB COMMAND... - run a command while so much secret memory is in use.
 *
 * KIND is memfd_secret or unmapped.  Exit code of the command.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static int run(void *arg)
{
	char **argv = arg;

	execvp(argv[0], argv);
	perror(argv[0]);
	return 127;
}

int main(int argc, char **argv)
{
	const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	size_t bytes;
	void *p;
	int fd;

	if (argc < 4) {
		fprintf(stderr, "Usage: hold memfd_secret|unmapped MIB COMMAND...\n");
		return 125;
	}
	bytes = strtoul(argv[2], NULL, 10) * MIB;
	if (setrlimit(RLIMIT_MEMLOCK, &unlimited))
		die("setrlimit");
	fd = strcmp(argv[1], "unmapped") ? secretmem_open(bytes) : um_open();
	p = fd < 0 ? NULL : map_shared(fd, bytes);
	if (!p)
		die("%s", argv[1]);
	touch(p, bytes);
	return in_child(run, argv + 3);
}
