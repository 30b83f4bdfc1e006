// SPDX-License-Identifier: MIT
/*
 * module-code - what modules and BPF programs do to the direct map.
 *
 *	module-code splits modules|bpf	50 modules, or 500 programs, three times over
 *	module-code attack modules|bpf	is their code in the direct map?
 *	module-code wx modules|bpf	is anything writable and executable?
 *
 * SERIES in the environment says whether the kernel has the patches: without
 * them the same must be seen to break what it is known to break.
 */
#define _GNU_SOURCE
#include "code.h"
#include "guest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ROUNDS 3
#define TABLES "/sys/kernel/debug/page_tables/kernel"

static bool series;

/* --- splits ----------------------------------------------------------------- */

static void rounds(const char *what, void (*change)(bool in))
{
	struct direct_map start, used, end;
	long pages = 0, most = 0;
	int round;

	direct_map_read(&start);
	direct_map_note("start", &start);
	if (series)
		pages = um_stat("pages_allocated");
	for (round = 1; round <= ROUNDS; round++) {
		change(true);
		direct_map_read(&used);
		if (series) {
			most = um_stat("pages_allocated");
			ok(most > pages, "%s, round %d: have unmapped pages", what,
			   round);
			ok(direct_map_same(&start, &used) &&
				   used.splits2m == start.splits2m,
			   "%s, round %d: DirectMap is unchanged in use", what, round);
		}
		change(false);
		/* They are freed by workers, after a grace period. */
		if (series)
			ok(um_stat_becomes("pages_allocated", pages, 20),
			   "%s, round %d: all pages are free again", what, round);
		else
			sleep(2);
		direct_map_read(&end);
		if (series)
			ok(direct_map_same(&start, &end) &&
				   end.splits2m == start.splits2m,
			   "%s, round %d: DirectMap is what it was", what, round);
	}
	direct_map_note("end", &end);
	if (series)
		note("%s: %ld pages", what, most - pages);
	note("row %s-splits %ld", what, end.splits2m - start.splits2m);
	note("row %s-4k-kB %ld", what, end.kb4 - start.kb4);
	if (!series)
		ok(end.splits2m > start.splits2m,
		   "%s: control: without the patches the direct map is split", what);
}

/* --- attack ----------------------------------------------------------------- */

/* Take 32 bytes as a secret, and leave no copy here. */
static void keep(struct secret *s, volatile uint8_t *from)
{
	int i;

	for (i = 0; i < SECRET_BYTES; i++) {
		s->masked[i] = from[i] ^ SECRET_MASK;
		from[i] = 0;
	}
}

/*
 * Bytes of a module's text that are nowhere else: they have addresses in them,
 * so that the file does not have them.
 */
static int of_module(struct secret *s, int nr)
{
	static uint8_t text[PAGE] __attribute__((aligned(64)));
	size_t file_size, size, text_size;
	uint8_t *ko = file_map(STOCK "brd.ko", &file_size);
	uint64_t at;
	int n = 0;
	size_t i;

	module_section(ko, ".text", &text_size);
	module_load(ko, file_size, "brd", "rd_nr=1 rd_size=1024");
	at = module_at("brd", &size);
	kernel_read(at, text, PAGE);
	for (i = 0; i + SECRET_BYTES <= text_size && i < PAGE && n < nr;
	     i += SECRET_ALIGN)
		if (!memmem(ko, file_size, text + i, SECRET_BYTES))
			keep(&s[n++], text + i);
	memset(text, 0, PAGE);
	munmap(ko, file_size);
	return n;
}

static int of_program(struct secret *s, int nr)
{
	static uint8_t code[PROGRAM_BYTES];
	uint64_t at;
	int n = 0;
	size_t i, len = program_code(program(4711), code, &at);

	ok(len > 4 * INSNS, "a BPF program is %zu bytes of code", len);
	for (i = -at % SECRET_ALIGN + 64; i + 64 < len && n < nr; i += SECRET_ALIGN)
		keep(&s[n++], code + i);
	memset(code, 0, sizeof(code));
	return n;
}

static void attack_code(const char *what, int (*take)(struct secret *s, int nr))
{
	struct secret s[8];
	long found[8], bytes, sum = 0;
	int i, nr;

	/* Addresses as they are. */
	if (file_write("/proc/sys/kernel/kptr_restrict", "1"))
		die("kptr_restrict");
	nr = take(s, ARRAY_SIZE(s));
	bytes = attack(s, nr, found);
	ok(nr > 0 && bytes > (long)(512 * MIB), "%s: %d patterns of code, %ld MiB read",
	   what, nr, bytes / (long)MIB);
	for (i = 0; i < nr; i++)
		sum += found[i];
	if (series)
		ok(sum == 0, "%s: none is in the direct map: found %ld", what, sum);
	else
		ok(sum >= nr, "%s: control: all are in the direct map: found %ld", what,
		   sum);
}

/* --- permissions ------------------------------------------------------------ */

/* Entries of the kernel's page tables that are executable; and writable, too. */
static long executable(long *writable, long *large)
{
	FILE *f = fopen(TABLES, "re");
	bool modules = false;
	char line[256];
	long nr = 0;

	*writable = *large = 0;
	if (!f)
		die(TABLES);
	while (fgets(line, sizeof(line), f)) {
		if (!strncmp(line, "---[", 4))
			modules = strstr(line, "Modules");
		if (!strstr(line, " x "))
			continue;
		if (strstr(line, " RW ")) {
			(*writable)++;
			note("%s", line);
		}
		nr += modules;
		if (modules && strstr(line, " PSE "))
			(*large)++;
	}
	fclose(f);
	return nr;
}

static void wx(const char *what, void (*change)(bool in), bool large_ones)
{
	long none, nr, writable, large;

	none = executable(&writable, &large);
	ok(writable == 0, "%s: at first nothing is writable and executable", what);
	change(true);
	nr = executable(&writable, &large);
	ok(nr > none, "%s: control: %ld executable ranges, %ld before", what, nr, none);
	ok(writable == 0, "%s: nothing is writable and executable", what);
	note("row %s-large-entries %ld", what, large);
	if (series && large_ones)
		ok(large > 0, "%s: code stands in entries of 2 MiB: %ld", what, large);
	change(false);
	executable(&writable, &large);
	ok(writable == 0, "%s: nor is anything afterwards", what);
}

int main(int argc, char **argv)
{
	const char *with = getenv("SERIES");
	const char *what = argc == 3 ? argv[2] : "";
	bool modules = !strcmp(what, "modules");

	series = with && !strcmp(with, "yes");
	if (!modules && strcmp(what, "bpf"))
		die("%s: modules or bpf", what);
	if (!strcmp(argv[1], "splits"))
		rounds(what, modules ? all_modules : all_programs);
	else if (!strcmp(argv[1], "attack"))
		attack_code(what, modules ? of_module : of_program);
	else if (!strcmp(argv[1], "wx"))
		wx(what, modules ? all_modules : all_programs, !modules);
	else
		die("%s: splits, attack or wx", argv[1]);
	return finish();
}
