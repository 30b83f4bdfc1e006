// SPDX-License-Identifier: MIT
/*
 * hibernate-code modules|bpf - a hibernation with code outside of the direct map,
 * with swap on /dev/nvme0n1: refused while unmapped memory is held besides, then
 * done.  Afterwards all code is what it was, and runs; the direct map is as it
 * was; and of what somebody left in the cache uncleared, beside the code, the
 * image has nothing (the host looks).
 */
#define _GNU_SOURCE
#include "code.h"
#include "guest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define STATE "/sys/power/state"
#define SMALL (32 * PAGE)
#define LEFT  (3 * BLOCK)

static struct secret secret, control;

static uint64_t mix(uint64_t hash, const uint8_t *p, size_t len)
{
	while (len--)
		hash = (hash ^ *p++) * 0x100000001b3;
	return hash;
}

static uint64_t of_modules(void)
{
	static uint8_t text[PAGE];
	char name[MODULE_NAME];
	uint64_t hash = 0;
	size_t size;
	int i;

	for (i = 0; i < MODULES; i++) {
		module_name(name, i);
		kernel_read(module_at(name, &size), text, PAGE);
		hash = mix(hash, text, PAGE);
	}
	return hash;
}

static uint64_t of_programs(void)
{
	static uint8_t code[PROGRAM_BYTES];
	uint64_t at, hash = 0;
	size_t len;
	int i;

	for (i = 0; i < PROGRAMS; i++) {
		len = program_code(program_fds[i], code, &at);
		hash = mix(hash, code, len);
		/* As it is in memory: by the JIT's own report it might be a copy. */
		kernel_read(at, code, len);
		hash = mix(hash, code, len);
	}
	return hash;
}

static void write_all(uint8_t *p, size_t bytes, const struct secret *s)
{
	size_t i;

	for (i = 0; i < bytes; i += PAGE)
		secret_write(p + i, s);
}

static void limit(const char *kb)
{
	if (file_write("/sys/kernel/mm/unmapped/limit_kb", kb))
		die("limit_kb");
}

/*
 * Blocks that are not zeroed when they are freed, and all that the cache may have:
 * modules come to stand in the middle of what is left there.
 */
static void leave_behind(void)
{
	uint8_t *p;
	int fd;

	if (um_shrink())
		die("shrink");
	limit("8192");
	p = um_object(LEFT, UNMAPPED_CREATE_NO_ZERO, &fd);
	write_all(p, LEFT, &secret);
	munmap(p, LEFT);
	close(fd);
}

static void refused(void)
{
	int fd, err;
	uint8_t *p = um_object(SMALL, UNMAPPED_CREATE_NOHUGE, &fd);

	touch(p, SMALL);
	err = file_write(STATE, "disk");
	ok(err == -EBUSY, "while an object is held: EBUSY, got %d", -err);
	ok(log_has("32 pages of unmapped memory are in use"),
	   "the log names its 32 pages, and no code");
	munmap(p, SMALL);
	close(fd);
}

static void restored(const char *what, void (*all)(bool in), uint64_t (*of)(void))
{
	uint64_t hash = of();
	struct direct_map before, after;
	long pages = um_stat("pages_to_save");
	int err;

	direct_map_read(&before);
	direct_map_note("before", &before);
	err = hibernate(&secret, &control);
	ok(!err, "%s: hibernated and restored: %d", what, -err);
	ok(of() == hash, "%s: the code is what it was", what);
	ok(um_stat("pages_to_save") == pages, "%s: on %ld unmapped pages", what, pages);
	direct_map_read(&after);
	direct_map_note("restored", &after);
	ok(direct_map_same(&before, &after) && before.splits2m == after.splits2m,
	   "%s: the direct map has the entries that it had", what);
	ok(um_stat("quarantined") == 0, "nothing in quarantine");
	all(false);
	all(true);
	ok(um_stat("pages_to_save") > 0, "%s: they go, and come again", what);
}

int main(int argc, char **argv)
{
	bool modules = argc == 2 && !strcmp(argv[1], "modules");
	void (*all)(bool in) = modules ? all_modules : all_programs;
	const char *what = modules ? "modules" : "BPF programs";
	uint8_t *ordinary;
	long pages;
	int i;

	if (argc != 2 || (!modules && strcmp(argv[1], "bpf")))
		die("modules or bpf");
	secret_new(&secret);
	secret_new(&control);
	ordinary = mmap(NULL, SMALL, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);
	if (ordinary == MAP_FAILED)
		die("mmap");
	write_all(ordinary, SMALL, &control);
	pages = um_stat("pages_allocated");
	leave_behind();
	all(true);
	/* What a module needs at its start only is freed by a worker. */
	for (i = 0; i < 300 && um_stat("pages_to_save") != um_stat("pages_allocated");
	     i++)
		usleep(100000);
	ok(um_stat("pages_to_save") > pages &&
		   um_stat("pages_to_save") == um_stat("pages_allocated"),
	   "%s: %ld unmapped pages, all of them code", what, um_stat("pages_to_save"));
	limit("0");
	refused();
	restored(what, all, modules ? of_modules : of_programs);
	all(false);
	ok(um_stat_becomes("pages_allocated", pages, 20), "%s: all pages are free again",
	   what);
	ok(um_stat("pages_to_save") == pages, "and none counts as code");
	return finish();
}
