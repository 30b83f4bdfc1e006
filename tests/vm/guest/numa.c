// SPDX-License-Identifier: MIT
/*
 * numa - pages come from the node that was asked for, and go back to it.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <linux/mempolicy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BYTES	(128 * MIB)
#define CGROUPS "/tmp/cgroup"
#define GROUP	CGROUPS "/group"

enum {
	OF_TASK,    /* set_mempolicy() */
	OF_MAPPING, /* mbind() */
};

static void set_policy(int of, int mode, unsigned long nodes, void *p)
{
	unsigned long bits = 8 * sizeof(nodes);
	long err;

	if (of == OF_TASK)
		err = syscall(SYS_set_mempolicy, mode, nodes ? &nodes : NULL, bits);
	else
		err = syscall(SYS_mbind, p, BYTES, mode, &nodes, bits, 0);
	if (err)
		die("policy %d", mode);
}

/* How many MiB of an object come from node 1? */
static long on_node1(int of, int mode, unsigned long nodes)
{
	long before, used;
	uint8_t *p;
	int fd;

	if (um_shrink())
		die("shrink");
	before = memory_free(1);
	fd = um_create(BYTES, 0, UNMAPPED_ANY_NODE);
	p = fd < 0 ? NULL : map_shared(fd, BYTES);
	if (!p)
		die("object");
	if (mode != MPOL_DEFAULT)
		set_policy(of, mode, nodes, p);
	touch(p, BYTES);
	used = (before - memory_free(1)) / 1024;
	munmap(p, BYTES);
	close(fd);
	if (mode != MPOL_DEFAULT && of == OF_TASK)
		set_policy(OF_TASK, MPOL_DEFAULT, 0, NULL);
	return used;
}

static void policies(void)
{
	static const char *const whose[] = { "set_mempolicy", "mbind" };
	const long all = BYTES / MIB, tolerance = 24;
	long used;
	int of;

	for (of = OF_TASK; of <= OF_MAPPING; of++) {
		used = on_node1(of, MPOL_BIND, 1UL << 1);
		ok(used > all - tolerance, "%s: bound to node 1 (%ld MiB there)",
		   whose[of], used);
		used = on_node1(of, MPOL_BIND, 1UL << 0);
		ok(used < tolerance, "%s: bound to node 0 (%ld MiB elsewhere)", whose[of],
		   used);
		used = on_node1(of, MPOL_PREFERRED, 1UL << 1);
		ok(used > all - tolerance, "%s: node 1 preferred (%ld MiB there)",
		   whose[of], used);
		used = on_node1(of, MPOL_INTERLEAVE, 3);
		ok(labs(used - all / 2) < tolerance, "%s: interleaved (%ld of %ld MiB)",
		   whose[of], used, all);
	}
}

static void cpuset(void)
{
	const long all = BYTES / MIB, tolerance = 24;
	long used;
	char pid[16];
	uint8_t *p;
	int fd;

	mkdir(CGROUPS, 0755);
	if (mount("cgroup2", CGROUPS, "cgroup2", 0, NULL) || mkdir(GROUP, 0755) ||
	    file_write(CGROUPS "/cgroup.subtree_control", "+cpuset") ||
	    file_write(GROUP "/cpuset.mems", "1"))
		die("cgroup");
	snprintf(pid, sizeof(pid), "%d", getpid());
	if (file_write(GROUP "/cgroup.procs", pid))
		die("cgroup.procs");
	used = on_node1(OF_TASK, MPOL_DEFAULT, 0);
	ok(used > all - tolerance, "cpuset of node 1: all of it there (%ld MiB)", used);
	if (file_write(GROUP "/cpuset.mems", "0"))
		die("cpuset.mems");
	used = on_node1(OF_TASK, MPOL_DEFAULT, 0);
	ok(used < tolerance, "then of node 0: none of it (%ld MiB)", used);
	fd = um_create(PAGE, UNMAPPED_CREATE_THISNODE, 1);
	p = fd < 0 ? NULL : map_shared(fd, PAGE);
	ok(p && raises(p, true, SIGBUS), "not even for an object of node 1 only");
	munmap(p, PAGE);
	close(fd);
	if (file_write(CGROUPS "/cgroup.procs", pid))
		die("cgroup.procs");
}

static size_t node_bytes(int node)
{
	char path[64], key[32];

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/meminfo", node);
	snprintf(key, sizeof(key), "Node %d MemTotal", node);
	return (size_t)file_value(path, key) * 1024;
}

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

	policies();
	cpuset();
	if (um_shrink())
		die("shrink");

	/* More than the node has: elsewhere, or not at all. */
	for (flags = 0; flags < 2; flags++) {
		size_t n = node_bytes(1) + 16 * MIB, at;

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
