// SPDX-License-Identifier: MIT
/* policy - /sys/kernel/mm/unmapped/: each file, and what it does. */
#include "guest.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SYS "/sys/kernel/mm/unmapped/"

static long value(const char *name)
{
	char path[80];

	snprintf(path, sizeof(path), SYS "%s", name);
	return file_number(path);
}

static int set(const char *name, const char *text)
{
	char path[80];

	snprintf(path, sizeof(path), SYS "%s", name);
	return file_write(path, text);
}

static void bad(const char *name, const char *text, int want)
{
	long before = value(name);
	int err = set(name, text);

	ok(err == -want && value(name) == before, "%s: '%s' is refused (%s)", name, text,
	   strerror(-err));
}

static void files(void)
{
	static const char *const names[] = { "floor",	"batch_limit", "decay_ms",
					     "heal_ms", "limit_kb",    "device_mode" };
	struct stat st;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		bad(names[i], "some", EINVAL);
		bad(names[i], "-1", EINVAL);
		bad(names[i], "\n", EINVAL);
		bad(names[i], "7 7", EINVAL);
	}
	bad("floor", "99999999999999999999", ERANGE);
	bad("floor", "9999999999999999999", ERANGE);
	bad("batch_limit", "0", ERANGE);
	bad("batch_limit", "33", ERANGE);
	bad("decay_ms", "86400001", ERANGE);
	bad("heal_ms", "86400001", ERANGE);
	bad("device_mode", "1000", ERANGE);
	bad("device_mode", "8", EINVAL);
	ok(set("owned_kb", "0") < 0, "owned_kb can't be written");

	ok(!set("device_mode", "0640") && !stat(DEVICE, &st) &&
		   (st.st_mode & 07777) == 0640,
	   "device_mode: the node has it");
	ok(!set("device_mode", "600") && !stat(DEVICE, &st) &&
		   (st.st_mode & 07777) == 0600,
	   "and has it no more");
}

/* How much of @bytes can be touched? */
static size_t touchable(uint8_t *p, size_t bytes)
{
	size_t at;

	for (at = 0; at < bytes; at += PAGE)
		if (raises(p + at, true, SIGBUS))
			break;
	return at;
}

static bool owned_becomes(long kb, int seconds)
{
	int i;

	for (i = 0; i < seconds * 10 && value("owned_kb") != kb; i++)
		usleep(100000);
	return value("owned_kb") == kb;
}

static bool owned_at_most(long kb, int seconds)
{
	int i;

	for (i = 0; i < seconds * 10 && value("owned_kb") > kb; i++)
		usleep(100000);
	return value("owned_kb") <= kb;
}

static void limit(void)
{
	const size_t bytes = 64 * MIB;
	int fd = um_create(bytes, 0, UNMAPPED_ANY_NODE);
	uint8_t *p = fd < 0 ? NULL : map_shared(fd, bytes);
	size_t got;

	if (!p)
		die("object");
	ok(!set("limit_kb", "32768"), "limit_kb: 32 MiB");
	got = touchable(p, bytes);
	ok(got == 32 * MIB, "so much can be touched, then SIGBUS (%zu MiB)", got / MIB);
	ok(value("owned_kb") == 32768, "so much is owned (%ld kB)", value("owned_kb"));
	ok(um_splits() == 0, "nothing is split for the last bit of it");
	munmap(p, bytes);
	close(fd);
	if (!um_stat_becomes("pages_allocated", 0, 10))
		die("free");
	ok(!set("limit_kb", "8192") && value("owned_kb") <= 8192,
	   "lowered: what is free above it goes at once (%ld kB)", value("owned_kb"));
	ok(!set("limit_kb", "0"), "no limit");
	p = map_shared(fd = um_create(bytes, 0, UNMAPPED_ANY_NODE), bytes);
	if (!p)
		die("object");
	touch(p, bytes);
	ok(!set("limit_kb", "8192") && value("owned_kb") >= (long)(bytes / 1024),
	   "lowered: what is in use stays (%ld kB)", value("owned_kb"));
	munmap(p, bytes);
	close(fd);
	/* Each CPU is on a block. */
	ok(owned_at_most(8192 + 2 * 2048, 10), "and goes when it is freed (%ld kB)",
	   value("owned_kb"));
	ok(!set("limit_kb", "0"), "no limit again");
	ok(!um_shrink() && owned_becomes(0, 5), "nothing is owned");
}

static void fill_and_free(size_t bytes)
{
	int fd = um_create(bytes, 0, UNMAPPED_ANY_NODE);
	uint8_t *p = fd < 0 ? NULL : map_shared(fd, bytes);

	if (!p)
		die("object");
	touch(p, bytes);
	munmap(p, bytes);
	close(fd);
	if (!um_stat_becomes("pages_allocated", 0, 10))
		die("free");
}

static void decay(void)
{
	long owned;

	if (set("decay_ms", "0"))
		die("decay_ms");
	fill_and_free(32 * MIB);
	owned = value("owned_kb");
	sleep(2);
	ok(owned >= 32 * 1024 && value("owned_kb") == owned,
	   "decay_ms 0: what is idle stays (%ld kB)", owned);
	ok(!set("floor", "4") && !set("decay_ms", "500"), "decay_ms 500, floor 4");
	/* The block that a CPU is on is not idle: two CPUs. */
	sleep(6);
	owned = value("owned_kb");
	ok(owned >= 4 * 2048 && owned <= 6 * 2048,
	   "what is idle has gone, but for the floor (%ld kB)", owned);
	sleep(2);
	ok(value("owned_kb") == owned, "which stays");
	ok(!um_shrink() && value("owned_kb") == 0, "but not under pressure");
	ok(!set("floor", "0"), "floor 0");
	fill_and_free(32 * MIB);
	sleep(6);
	ok(value("owned_kb") <= 2 * 2048, "what is idle has gone (%ld kB)",
	   value("owned_kb"));
	ok(!um_shrink() && owned_becomes(0, 5), "nothing is owned");
}

static void batches(void)
{
	long refills, taken;

	if (set("batch_limit", "2") || set("decay_ms", "0"))
		die("batch_limit");
	refills = um_stat("refills");
	taken = um_stat("blocks_taken");
	fill_and_free(32 * MIB);
	refills = um_stat("refills") - refills;
	taken = um_stat("blocks_taken") - taken;
	ok(taken >= 16 && refills >= (taken + 1) / 2,
	   "batch_limit 2: %ld refills for %ld blocks", refills, taken);
	if (set("batch_limit", "32") || set("decay_ms", "30000"))
		die("batch_limit");
}

int main(void)
{
	if (um_shrink())
		die("shrink");
	files();
	limit();
	batches();
	decay();
	return finish();
}
