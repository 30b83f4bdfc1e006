// SPDX-License-Identifier: MIT
/*
 * numa - pages come from the node that was asked for, and go back to it.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#define BYTES (128 * MIB)

int main(void)
{
	const long kb = BYTES / 1024, tolerance = 24 * 1024;
	int flags, node, other, fd;
	long before[2], used[2];
	uint8_t *p;

	plain_page_allocator();
	for (flags = 0; flags < 2; flags++) {
		for (node = 0; node < 2; node++) {
			other = 1 - node;
			if (um_shrink())
				die("shrink");
			before[0] = memory_free(0);
			before[1] = memory_free(1);
			fd = um_create(BYTES, flags ? UNMAPPED_CREATE_THISNODE : 0, node);
			p = fd < 0 ? NULL : map_shared(fd, BYTES);
			if (!p)
				die("object on node %d", node);
			touch(p, BYTES);
			used[0] = before[0] - memory_free(0);
			used[1] = before[1] - memory_free(1);
			ok(used[node] > kb - tolerance && used[other] < tolerance,
			   "node %d%s: its memory is taken (%ld and %ld kB)", node,
			   flags ? ", this only" : "", used[0], used[1]);
			munmap(p, BYTES);
			close(fd);
			if (um_shrink())
				die("shrink");
			used[node] = before[node] - memory_free(node);
			ok(labs(used[node]) < tolerance,
			   "node %d: and given back (but for %ld kB)", node, used[node]);
		}
	}

	/* More than the node has: elsewhere, or not at all. */
	for (flags = 0; flags < 2; flags++) {
		size_t n = (before[1] / 1024 + 16) * MIB, at;

		fd = um_create(n, flags ? UNMAPPED_CREATE_THISNODE : 0, 1);
		p = fd < 0 ? NULL : map_shared(fd, n);
		if (!p)
			die("large object");
		for (at = 0; at < n; at += PAGE)
			if (raises(p + at, true, SIGBUS))
				break;
		note("%zu of %zu MiB touched", at / MIB, n / MIB);
		if (flags)
			ok(at < n,
			   "this node only: SIGBUS when it is full (%zu of %zu MiB)",
			   at / MIB, n / MIB);
		else
			ok(at >= n, "a preferred node: others serve when it is full");
		munmap(p, n);
		close(fd);
	}
	if (um_shrink())
		die("shrink");
	ok(um_stat_becomes("pages_owned", 0, 5), "nothing is kept");
	return finish();
}
