// SPDX-License-Identifier: MIT
/*
 * debugfs - the files under /sys/kernel/debug/unmapped have the promised form,
 * and their numbers agree with each other and with the kernel's own.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define BYTES  (128 * MIB)
#define ORDERS 10 /* 0 to 9 */

static const char *const keys[] = {
	"refills",
	"flushes",
	"splits_2m",
	"splits_1g",
	"heals_2m",
	"heals_1g",
	"heal_asked",
	"heal_got",
	"heal_moved",
	"blocks_taken",
	"blocks_released",
	"pieces_taken",
	"pages_released",
	"failures",
	"quarantined",
	/* The rest are levels, not counters. */
	"pages_owned",
	"pages_free",
	"pages_allocated",
	"pages_poisoned",
	/* Only where the allocator is part of the kernel. */
	"stolen",
	"stolen_pending",
	"moved",
	"pages_to_save",
};

#define NR_IN_TREE 4

#define NR_COUNTERS 15

struct stats {
	long value[ARRAY_SIZE(keys)];
};

static long get(const struct stats *s, const char *key)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(keys); i++)
		if (!strcmp(key, keys[i]))
			return s->value[i];
	abort();
}

static size_t nr_keys(void)
{
	bool in_tree = !access("/sys/module/unmapped/parameters/steal", F_OK);

	return ARRAY_SIZE(keys) - (in_tree ? 0 : NR_IN_TREE);
}

/* Every key once, nothing else, "key number" on each line. */
static bool stats_read(struct stats *s)
{
	char line[128], key[64], end;
	bool good = true;
	long value;
	size_t i, nr = nr_keys();
	FILE *f = fopen(DEBUGFS "stats", "re");

	if (!f)
		die(DEBUGFS "stats");
	for (i = 0; i < nr; i++)
		s->value[i] = -1;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%63[a-z0-9_] %ld%c", key, &value, &end) != 3 ||
		    end != '\n' || value < 0) {
			note("not a line of stats: %s", line);
			good = false;
			continue;
		}
		for (i = 0; i < nr; i++)
			if (!strcmp(key, keys[i]))
				break;
		if (i == nr || s->value[i] >= 0) {
			note("unknown or twice: %s", line);
			good = false;
			continue;
		}
		s->value[i] = value;
	}
	fclose(f);
	for (i = 0; i < nr; i++) {
		if (s->value[i] < 0) {
			note("missing: %s", keys[i]);
			good = false;
		}
	}
	return good;
}

struct page_types {
	long order, per_block; /* of the head */
	long free_pages;       /* sum over nodes and orders */
	long whole, partial, full, fallback;
	int nodes, block_nodes;
};

static void page_types_read(struct page_types *t)
{
	char line[256];
	long count[ORDERS];
	int node, at, used, order;
	bool blocks = false;
	FILE *f = fopen(DEBUGFS "pagetypeinfo", "re");

	if (!f)
		die(DEBUGFS "pagetypeinfo");
	memset(t, 0, sizeof(*t));
	while (fgets(line, sizeof(line), f)) {
		sscanf(line, "Page block order: %ld", &t->order);
		sscanf(line, "Pages per block: %ld", &t->per_block);
		if (!strncmp(line, "Number of blocks", 16))
			blocks = true;
		if (blocks && sscanf(line, "Node %d, %ld %ld %ld %ld", &node, count,
				     count + 1, count + 2, count + 3) == 5) {
			t->block_nodes++;
			t->whole += count[0];
			t->partial += count[1];
			t->full += count[2];
			t->fallback += count[3];
			continue;
		}
		if (blocks || sscanf(line, "Node %d, type Unmapped%n", &node, &at) != 1)
			continue;
		for (order = 0; order < ORDERS; order++, at += used)
			if (sscanf(line + at, "%ld%n", &count[order], &used) != 1)
				break;
		if (order == ORDERS) {
			t->nodes++;
			while (order--)
				t->free_pages += count[order] << order;
		}
	}
	fclose(f);
}

static void consistent(const char *when)
{
	struct page_types t;
	struct stats s;
	long owned;

	ok(stats_read(&s), "%s: form of stats", when);
	page_types_read(&t);
	owned = get(&s, "pages_owned");
	ok(owned == get(&s, "pages_free") + get(&s, "pages_allocated"),
	   "%s: owned %ld = free %ld + allocated %ld", when, owned, get(&s, "pages_free"),
	   get(&s, "pages_allocated"));
	ok(owned == 512 * (get(&s, "blocks_taken") - get(&s, "blocks_released")),
	   "%s: owned pages are those of blocks taken, not released", when);
	ok(t.order == 9 && t.per_block == 512 && t.nodes == 1 && t.block_nodes == 1,
	   "%s: form of pagetypeinfo", when);
	/* The one CPU may keep up to a word of pages in its magazine. */
	ok(t.free_pages <= get(&s, "pages_free") &&
		   t.free_pages + 64 >= get(&s, "pages_free"),
	   "%s: free per order, and magazines, sum up to pages_free (%ld, %ld)", when,
	   t.free_pages, get(&s, "pages_free"));
	ok(t.fallback == 0 && 512 * (t.whole + t.partial + t.full) == owned,
	   "%s: blocks whole %ld, partial %ld, full %ld hold what is owned", when,
	   t.whole, t.partial, t.full);
	ok(512 * t.whole <= get(&s, "pages_free") &&
		   512 * t.full <= get(&s, "pages_allocated"),
	   "%s: whole blocks are free, full ones are not", when);
}

static void bad_shrink(const char *text)
{
	int err = file_write(DEBUGFS "shrink", text);

	errno = -err;
	ok_errno(err ? -1 : 0, EINVAL, "shrink '%s'", text);
}

int main(void)
{
	static const char *const files[] = {
		"stats",
		"pagetypeinfo",
		"shrink",
	};
	struct stats before, after;
	long free_kb, used_kb;
	bool grows = true;
	struct stat st;
	uint8_t *p;
	size_t i;
	int fd;

	for (i = 0; i < ARRAY_SIZE(files); i++) {
		char path[80];

		snprintf(path, sizeof(path), DEBUGFS "%s", files[i]);
		ok(!stat(path, &st) && !(st.st_mode & 077), "%s is there, for root only",
		   files[i]);
	}
	plain_page_allocator();
	if (um_shrink())
		die("shrink");
	stats_read(&before);
	consistent("empty");
	ok(get(&before, "pages_owned") == 0, "empty: nothing is owned");

	free_kb = memory_free(-1);
	fd = um_open();
	p = fd < 0 ? NULL : map_shared(fd, BYTES);
	if (!p)
		die("object");
	touch(p, BYTES);
	consistent("in use");
	stats_read(&after);
	ok(get(&after, "pages_allocated") == BYTES / PAGE,
	   "in use: as many allocated as touched");
	used_kb = free_kb - memory_free(-1);
	ok(labs(used_kb - get(&after, "pages_owned") * 4) < 8 * 1024,
	   "in use: MemFree is less by what is owned (%ld kB of %ld)", used_kb,
	   get(&after, "pages_owned") * 4);
	for (i = 0; i < NR_COUNTERS; i++)
		grows &= after.value[i] >= before.value[i];
	ok(grows, "no counter goes back");
	ok(get(&after, "refills") > get(&before, "refills") &&
		   get(&after, "flushes") > get(&before, "flushes"),
	   "refills and flushes are counted");

	munmap(p, BYTES);
	close(fd);
	consistent("freed");
	stats_read(&before);
	ok(get(&before, "pages_allocated") == 0, "freed: nothing allocated");
	ok(get(&before, "pages_free") >= 1024,
	   "control: the cache holds two blocks or more");
	if (file_write(DEBUGFS "shrink", "512\n"))
		die("shrink 512");
	stats_read(&after);
	used_kb = get(&before, "pages_owned") - get(&after, "pages_owned");
	ok(used_kb >= 512 && used_kb <= 1024, "shrink 512: that much is given back (%ld)",
	   used_kb);
	ok(get(&after, "pages_released") - get(&before, "pages_released") == used_kb,
	   "shrink 512: and counted as released");
	consistent("after shrink 512");
	ok(file_write(DEBUGFS "shrink", "all\n") == 0, "shrink all");
	consistent("after shrink all");
	ok(um_stat("pages_owned") == 0, "shrink all: nothing is owned");
	ok(memory_free(-1) > free_kb - 8 * 1024, "shrink all: free memory is back");
	bad_shrink("some");
	bad_shrink("-1");
	bad_shrink("12x");
	bad_shrink("al");
	bad_shrink("all of the pages that there are");
	return finish();
}
