// SPDX-License-Identifier: MIT
/*
 * attack - what root finds in the direct map of secrets in each kind of memory.
 *
 * Each kind has its own secret in many pages; the attacker looks for all of them
 * in one pass.  Control: the secret in ordinary memory is found.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

enum { ANON, SECRETMEM, UNMAPPED, CREATED, NEVER, NR };
#define PAGES 600 /* more than one block */

int main(void)
{
	struct secret s[NR];
	struct direct_map map;
	long found[NR], bytes;
	uint8_t *p[NR] = { 0 };
	int fd[NR] = { [0 ... NR - 1] = -1 };
	int i, k, copies;

	for (k = 0; k < NR; k++)
		secret_new(&s[k]);
	p[ANON] = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	fd[SECRETMEM] = secretmem_open(PAGES * PAGE);
	fd[UNMAPPED] = um_open();
	fd[CREATED] = um_create(PAGES * PAGE, 0, UNMAPPED_ANY_NODE);
	for (k = SECRETMEM; k <= CREATED; k++) {
		if (fd[k] < 0)
			die("open of kind %d", k);
		p[k] = map_shared(fd[k], PAGES * PAGE);
		if (!p[k])
			die("mmap of kind %d", k);
	}
	for (k = ANON; k <= CREATED; k++)
		for (i = 0; i < PAGES; i++)
			secret_write(p[k] + i * PAGE + i % 64 * SECRET_ALIGN, &s[k]);

	bytes = attack(s, NR, found);
	note("%ld MiB of direct map read", bytes / (long)MIB);
	direct_map_read(&map);
	ok(bytes / 1024 >= meminfo("MemTotal"), "all RAM was looked at");
	ok(found[ANON] >= PAGES, "control: found in ordinary memory (%ld times)",
	   found[ANON]);
	ok(found[NEVER] == 0, "a secret never written is not found");
	ok(found[SECRETMEM] == 0, "not found in memfd_secret memory (%ld times)",
	   found[SECRETMEM]);
	ok(found[UNMAPPED] == 0, "not found in a mapping of /dev/unmapped (%ld times)",
	   found[UNMAPPED]);
	ok(found[CREATED] == 0, "not found in a created object (%ld times)",
	   found[CREATED]);
	for (k = ANON; k <= CREATED; k++) {
		copies = 0;
		for (i = 0; i < PAGES; i++)
			copies +=
				secret_at(p[k] + i * PAGE + i % 64 * SECRET_ALIGN, &s[k]);
		ok(copies == PAGES, "kind %d: still there for its owner", k);
	}

	/* Freed, and given back to the system: present again, and clean. */
	for (k = ANON; k <= CREATED; k++) {
		munmap(p[k], PAGES * PAGE);
		if (fd[k] >= 0)
			close(fd[k]);
	}
	ok(um_shrink() == 0, "the cache is shrunk");
	ok(um_stat_becomes("pages_owned", 0, 5), "all memory is given back");
	bytes = attack(s, NR, found);
	ok(bytes / 1024 >= meminfo("MemTotal"), "all RAM was looked at again");
	for (k = SECRETMEM; k <= CREATED; k++)
		ok(found[k] == 0, "kind %d: not found after it was freed (%ld times)", k,
		   found[k]);
	return finish();
}
