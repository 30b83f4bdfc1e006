// SPDX-License-Identifier: MIT
/*
 * numa - pages come from the node that was asked for, and go back to it.
 *
 *	numa			objects of the device
 *	numa secretmem		memfd_secret(2), in small pages and in large ones
 *	numa secretmem-full	more of that than a node has
 *
 * Where a page of memfd_secret(2) is its physical address says: that is in
 * /proc/self/pagemap, and what nodes have of memory in /proc/zoneinfo.  Pagemap has
 * none of the device's pages: there it is what nodes have lost of free memory.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <fcntl.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BYTES	(128 * MIB)
#define NODES	2
#define BEYOND	1000 /* pages that don't fit on a node */
#define CGROUPS "/tmp/cgroup"
#define GROUP	CGROUPS "/group"
#define THP	"/sys/kernel/mm/transparent_hugepage/enabled"

static bool secretmem;
static size_t touched; /* bytes */

static uint8_t *memory(size_t bytes, int *fd)
{
	uint8_t *p;

	*fd = secretmem ? secretmem_open(bytes) : um_create(bytes, 0, UNMAPPED_ANY_NODE);
	p = *fd < 0 ? NULL : map_shared(*fd, bytes);
	if (!p)
		die("%zu bytes", bytes);
	return p;
}

/* --- where pages are --------------------------------------------------------- */

static struct span {
	unsigned long start, end;
	int node;
} spans[8];

static void read_zones(void)
{
	FILE *f = fopen("/proc/zoneinfo", "re");
	unsigned long pages = 0, start;
	char line[256];
	int node = -1;
	size_t nr = 0;

	while (f && fgets(line, sizeof(line), f)) {
		sscanf(line, "Node %d, zone", &node);
		sscanf(line, " spanned %lu", &pages);
		if (sscanf(line, " start_pfn: %lu", &start) != 1 || !pages)
			continue;
		if (nr == ARRAY_SIZE(spans))
			die("too many zones");
		spans[nr++] = (struct span){ start, start + pages, node };
	}
	if (node != NODES - 1)
		die("/proc/zoneinfo has %d nodes", node + 1);
	fclose(f);
}

static int node_of_entry(uint64_t entry)
{
	unsigned long pfn = entry & ((1ULL << 55) - 1);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(spans); i++)
		if (entry >> 63 && pfn >= spans[i].start && pfn < spans[i].end)
			return spans[i].node;
	die("no node has %#lx", (unsigned long)entry);
}

struct places {
	long on[NODES]; /* pages */
	bool by_blocks; /* each 2 MiB on another node than those before */
};

static struct places places_of(const uint8_t *p, size_t bytes)
{
	int map = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	struct places where = { .by_blocks = true };
	uint64_t entries[BLOCK / PAGE];
	size_t at, i;
	int node;

	for (at = 0; at < bytes; at += BLOCK) {
		if (pread(map, entries, sizeof(entries),
			  ((uintptr_t)p + at) / PAGE * sizeof(*entries)) !=
		    sizeof(entries))
			die("pagemap");
		for (i = 0; i < BLOCK / PAGE; i++) {
			node = node_of_entry(entries[i]);
			where.on[node]++;
			if (node != (int)(at / BLOCK % NODES))
				where.by_blocks = false;
		}
	}
	close(map);
	return where;
}

/* Pages that nodes have lost since they had @before, in kB. */
static struct places places_lost(const long before[NODES])
{
	struct places where = {};
	int node;

	for (node = 0; node < NODES; node++)
		where.on[node] = (before[node] - memory_free(node)) / (long)(PAGE / 1024);
	return where;
}

/* Others take and free memory, too. */
static long tolerance(void)
{
	return secretmem ? 0 : 24 * MIB / PAGE;
}

static bool all_on(const struct places *where, int node)
{
	return where->on[node] >= (long)(BYTES / PAGE) - tolerance() &&
	       where->on[!node] <= tolerance();
}

static bool interleaved(const struct places *where)
{
	return secretmem ? where->by_blocks
			 : labs(where->on[0] - where->on[1]) <= tolerance();
}

/* --- policies ---------------------------------------------------------------- */

enum {
	OF_TASK,    /* set_mempolicy() */
	OF_MAPPING, /* mbind() */
	OF_NOBODY,
};

static void set_policy(int of, int mode, unsigned long nodes, void *p, size_t bytes)
{
	unsigned long bits = 8 * sizeof(nodes);
	long err = 0;

	if (of == OF_TASK)
		err = syscall(SYS_set_mempolicy, mode, nodes ? &nodes : NULL, bits);
	else if (of == OF_MAPPING)
		err = syscall(SYS_mbind, p, bytes, mode, &nodes, bits, 0);
	if (err)
		die("policy %d", mode);
}

static struct places touched_with(int of, int mode, unsigned long nodes)
{
	struct places where;
	long before[NODES];
	uint8_t *p;
	int fd;

	if (!secretmem && um_shrink())
		die("shrink");
	before[0] = memory_free(0);
	before[1] = memory_free(1);
	p = memory(BYTES, &fd);
	set_policy(of, mode, nodes, p, BYTES);
	touch(p, BYTES);
	touched += BYTES;
	where = secretmem ? places_of(p, BYTES) : places_lost(before);
	munmap(p, BYTES);
	close(fd);
	if (of == OF_TASK)
		set_policy(of, MPOL_DEFAULT, 0, NULL, 0);
	return where;
}

/* Ordinary memory is where it should be, and unmapped memory where nobody asked. */
static void controls(void)
{
	struct places where;
	uint8_t *p;
	int node;

	for (node = 0; node < NODES; node++) {
		run_on(!node);
		p = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
		if (p == MAP_FAILED)
			die("mmap");
		set_policy(OF_MAPPING, MPOL_BIND, 1UL << node, p, BLOCK);
		touch(p, BLOCK);
		where = places_of(p, BLOCK);
		ok(where.on[node] == (long)(BLOCK / PAGE),
		   "control: ordinary memory bound to node %d is there", node);
		munmap(p, BLOCK);
		run_on(node);
		where = touched_with(OF_NOBODY, MPOL_DEFAULT, 0);
		ok(all_on(&where, node),
		   "control: no policy, CPU %d: node %d (%ld and %ld pages)", node, node,
		   where.on[0], where.on[1]);
	}
}

static void policies(void)
{
	static const struct {
		int mode, node;
		const char *what;
	} modes[] = {
		{ MPOL_BIND, 0, "bound to node 0" },
		{ MPOL_BIND, 1, "bound to node 1" },
		{ MPOL_PREFERRED, 0, "node 0 preferred" },
		{ MPOL_PREFERRED, 1, "node 1 preferred" },
	};
	static const char *const whose[] = { "set_mempolicy", "mbind" };
	struct places where;
	size_t i;
	int of;

	for (of = OF_TASK; of <= OF_MAPPING; of++) {
		for (i = 0; i < ARRAY_SIZE(modes); i++) {
			int node = modes[i].node;

			run_on(!node);
			where = touched_with(of, modes[i].mode, 1UL << node);
			ok(all_on(&where, node), "%s: %s (%ld and %ld pages)", whose[of],
			   modes[i].what, where.on[0], where.on[1]);
		}
		where = touched_with(of, MPOL_INTERLEAVE, 3);
		ok(interleaved(&where), "%s: interleaved (%ld and %ld pages)", whose[of],
		   where.on[0], where.on[1]);
	}
}

static void cpuset(void)
{
	struct places where;
	char pid[16];
	uint8_t *p;
	int fd, node;

	mkdir(CGROUPS, 0755);
	if (mount("cgroup2", CGROUPS, "cgroup2", 0, NULL) || mkdir(GROUP, 0755) ||
	    file_write(CGROUPS "/cgroup.subtree_control", "+cpuset") ||
	    file_write(GROUP "/cpuset.mems", "1"))
		die("cgroup");
	snprintf(pid, sizeof(pid), "%d", getpid());
	if (file_write(GROUP "/cgroup.procs", pid))
		die("cgroup.procs");
	for (node = 1; node >= 0; node--) {
		if (file_write(GROUP "/cpuset.mems", node ? "1" : "0"))
			die("cpuset.mems");
		run_on(!node);
		where = touched_with(OF_NOBODY, MPOL_DEFAULT, 0);
		ok(all_on(&where, node),
		   "cpuset of node %d: all of it there (%ld and %ld pages)", node,
		   where.on[0], where.on[1]);
		where = touched_with(OF_TASK, MPOL_INTERLEAVE, 3);
		ok(all_on(&where, node),
		   "interleaved over both: still there (%ld and %ld pages)", where.on[0],
		   where.on[1]);
	}
	if (!secretmem) {
		fd = um_create(PAGE, UNMAPPED_CREATE_THISNODE, 1);
		p = fd < 0 ? NULL : map_shared(fd, PAGE);
		ok(p && raises(p, true, SIGBUS), "not even for an object of node 1 only");
		munmap(p, PAGE);
		close(fd);
	}
	if (file_write(CGROUPS "/cgroup.procs", pid) || rmdir(GROUP) || umount(CGROUPS))
		die("cgroup.procs");
}

static size_t node_bytes(int node)
{
	char path[64], key[32];

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/meminfo", node);
	snprintf(key, sizeof(key), "Node %d MemTotal", node);
	return (size_t)file_value(path, key) * 1024;
}

/* An object of one node. */
static void objects(void)
{
	const long kb = BYTES / 1024, tolerance = 24 * 1024;
	int flags, node, other, fd;
	long before[2], used[2];
	uint8_t *p;

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
}

/* More than the node has: elsewhere, or not at all. */
static void more_than_a_node(void)
{
	size_t n = node_bytes(1) + 16 * MIB, at;
	enum { PREFERRED, THIS_ONLY, BOUND } how;
	uint8_t *p;
	int fd;

	for (how = PREFERRED; how <= BOUND; how++) {
		fd = um_create(n, how == THIS_ONLY ? UNMAPPED_CREATE_THISNODE : 0,
			       how == BOUND ? UNMAPPED_ANY_NODE : 1);
		p = fd < 0 ? NULL : map_shared(fd, n);
		if (!p)
			die("large object");
		if (how == BOUND)
			set_policy(OF_MAPPING, MPOL_BIND, 1UL << 1, p, n);
		for (at = 0; at < n; at += PAGE)
			if (raises(p + at, true, SIGBUS))
				break;
		if (how == PREFERRED)
			ok(at >= n, "a preferred node: others serve when it is full");
		else
			ok(at < n, "%s: SIGBUS when it is full (%zu of %zu MiB)",
			   how == BOUND ? "bound" : "this node only", at / MIB, n / MIB);
		munmap(p, n);
		close(fd);
	}
}

/* --- memfd_secret(2) --------------------------------------------------------- */

static int touch_bound(void *bytes)
{
	uint8_t *p;
	int fd;

	p = memory(*(size_t *)bytes, &fd);
	set_policy(OF_TASK, MPOL_BIND, 1UL << 1, NULL, 0);
	touch(p, *(size_t *)bytes);
	return 0;
}

/*
 * A node is full.  The page allocator, which is asked last, knows the task's policy,
 * and has the OOM killer; that of the mapping it does not know.
 */
static void secretmem_full(void)
{
	size_t n = (node_bytes(1) + 16 * MIB) / BLOCK * BLOCK;
	struct places where = {}, block;
	uint64_t begin = now_ns();
	uint8_t *p;
	size_t at;
	int fd, status;

	run_on(0);
	p = memory(n, &fd);
	set_policy(OF_MAPPING, MPOL_BIND, 1UL << 1, p, n);
	/* No more than it takes: each fault looks for memory on the full node first. */
	for (at = 0; at < n && where.on[0] < BEYOND; at += BLOCK) {
		touch(p + at, BLOCK);
		block = places_of(p + at, BLOCK);
		where.on[0] += block.on[0];
		where.on[1] += block.on[1];
	}
	ok(where.on[1] > (long)(n / PAGE / 2) && where.on[0] > 0,
	   "mbind: others serve when it is full (%ld and %ld pages)", where.on[0],
	   where.on[1]);
	munmap(p, n);
	close(fd);
	note("%lu ms", (now_ns() - begin) / 1000000);
	status = in_child(touch_bound, &n);
	ok(status == 128 + SIGKILL, "set_mempolicy: who takes all of it is killed (%d)",
	   status);
}

/* Pages that CPUs hold on their way to LRU lists are free when compaction has been. */
static void given_back(void)
{
	int tries;

	if (secretmem && file_write("/proc/sys/vm/compact_memory", "1"))
		die("compact_memory");
	ok(um_stat_becomes("pages_allocated", 0, 5), "all pages are free");
	/* A refill ahead of need may still be under way. */
	for (tries = 0; tries < 10; tries++)
		if (um_shrink() == 0 && um_stat_becomes("pages_owned", 0, 1))
			break;
	ok(um_stat("pages_owned") == 0, "nothing is kept");
}

/* In pages, then in 2 MiB. */
static void secretmem_nodes(void)
{
	static const char *const sizes[] = { "never", "always" };
	long entries;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		if (file_write(THP, sizes[i]))
			die(THP);
		note("large pages: %s", sizes[i]);
		entries = vmstat("thp_file_mapped");
		touched = 0;
		controls();
		policies();
		entries = vmstat("thp_file_mapped") - entries;
		ok(entries == (i ? (long)(touched / BLOCK) : 0),
		   "large pages: %s: %ld for %zu MiB", sizes[i], entries, touched / MIB);
		cpuset();
	}
}

int main(int argc, char **argv)
{
	const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	const char *what = argc > 1 ? argv[1] : "";

	secretmem = !strncmp(what, "secretmem", 9);
	if (setrlimit(RLIMIT_MEMLOCK, &unlimited))
		die("setrlimit");
	plain_page_allocator();
	read_zones();
	if (!strcmp(what, "secretmem")) {
		secretmem_nodes();
	} else if (!strcmp(what, "secretmem-full")) {
		secretmem_full();
	} else if (argc == 1) {
		objects();
		controls();
		policies();
		cpuset();
		if (um_shrink())
			die("shrink");
		more_than_a_node();
	} else {
		die("unknown argument %s", what);
	}
	given_back();
	return finish();
}
