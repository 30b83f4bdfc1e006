// SPDX-License-Identifier: MIT
/*
 * unmapped status - the direct map and the allocator at a glance.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "snapshot.h"
#include "table.h"

enum { COL_PART, COL_ITEM, COL_VALUE, COL_UNIT, COL_TEXT };

static const struct column columns[] = {
	[COL_PART] = { "PART", "what it is about", COLUMN_TEXT, false },
	[COL_ITEM] = { "ITEM", "its name", COLUMN_TEXT, false },
	[COL_VALUE] = { "VALUE", "in JSON and with --bytes in bytes", COLUMN_SIZE,
			false },
	[COL_UNIT] = { "UNIT", "of VALUE: bytes, or number", COLUMN_TEXT, true },
	[COL_TEXT] = { "MEANING", "what it says", COLUMN_TEXT, false },
};

static const struct {
	const char *name, *text;
} stat_texts[] = {
	{ "refills", "times that memory was taken from the system" },
	{ "flushes", "of the TLBs of all CPUs" },
	{ "splits_2m", "2 MiB entries that the allocator split" },
	{ "splits_1g", "1 GiB entries that the allocator split" },
	{ "heals_2m", "2 MiB entries that it made whole again" },
	{ "heals_1g", "1 GiB entries that it made whole again" },
	{ "heal_asked", "blocks asked for, to move pages to" },
	{ "heal_got", "and had" },
	{ "heal_moved", "pages moved out of blocks owned in part" },
	{ "blocks_taken", "2 MiB blocks taken from the system" },
	{ "blocks_released", "2 MiB blocks given back" },
	{ "pieces_taken", "smaller pieces taken, for want of blocks" },
	{ "pages_released", "pages given back" },
	{ "failures", "requests that could not be served" },
	{ "quarantined", "blocks withdrawn after something broken was seen" },
};

static void row(struct table *t, const char *part, const char *item, uint64_t value,
		bool bytes, const char *text)
{
	char number[SIZE_TEXT];

	table_line(t);
	table_text(t, COL_PART, part);
	table_text(t, COL_ITEM, item);
	if (bytes) {
		table_number(t, COL_VALUE, value);
	} else {
		size_text(number, value, true);
		table_text(t, COL_VALUE, number);
	}
	table_text(t, COL_UNIT, bytes ? "bytes" : "number");
	table_text(t, COL_TEXT, text);
}

static void direct_map(struct table *t, const struct snapshot *s)
{
	static const char part[] = "direct-map";
	const struct counters *c = &s->counters;

	if (s->walked)
		row(t, part, "memory", s->map.ram, true, "all memory");
	row(t, part, "1g", snapshot_mapped(s, ENTRY_1G), true, "mapped by 1 GiB entries");
	row(t, part, "2m", snapshot_mapped(s, ENTRY_2M), true, "mapped by 2 MiB entries");
	row(t, part, "4k", snapshot_mapped(s, ENTRY_4K), true, "mapped by 4 KiB entries");
	if (s->walked) {
		row(t, part, "absent", snapshot_absent(s), true, "not mapped");
		row(t, part, "healable-2m", s->map.healable_2m, true,
		    "4 KiB entries that could be 2 MiB ones");
		row(t, part, "healable-1g", s->map.healable_1g, true,
		    "2 MiB entries that could be 1 GiB ones");
	}
	if (c->has_splits) {
		row(t, part, "splits-2m", c->splits_2m, false,
		    "2 MiB entries split since boot");
		row(t, part, "splits-1g", c->splits_1g, false,
		    "1 GiB entries split since boot");
	}
	if (c->has_collapses) {
		row(t, part, "collapses-2m", c->collapses_2m, false,
		    "2 MiB entries healed by the kernel");
		row(t, part, "collapses-1g", c->collapses_1g, false,
		    "1 GiB entries healed by the kernel");
	}
}

static const char *stat_text(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(stat_texts) / sizeof(stat_texts[0]); i++)
		if (!strcmp(stat_texts[i].name, name))
			return stat_texts[i].text;
	return "";
}

static void allocator(struct table *t, const struct snapshot *s)
{
	static const char part[] = "allocator";
	const struct stat_line *l;

	row(t, part, "loaded", s->loaded, false,
	    s->loaded ? "the module is" : "the module is not");
	if (s->debugfs_err)
		return;
	row(t, part, "held", snapshot_bytes(s, "pages_owned"), true,
	    "out of the direct map by it");
	row(t, part, "allocated", snapshot_bytes(s, "pages_allocated"), true, "in use");
	row(t, part, "free", snapshot_bytes(s, "pages_free"), true, "in its caches");
	if (s->limit)
		row(t, part, "limit", s->limit, true, "of what it may hold");
	for (l = s->stats.lines; l < s->stats.lines + s->stats.nr; l++)
		if (strncmp(l->name, "pages_", 6) || !strcmp(l->name, "pages_released"))
			row(t, part, l->name, l->value, false, stat_text(l->name));
	row(t, part, "objects", s->holders.nr ? s->holders.nr - 1 : 0, false,
	    "of programs; see unmapped blocks --holders");
}

static int status(int argc, char **argv)
{
	static const struct option options[] = { COMMON_OPTIONS, TABLE_OPTIONS, {} };
	struct style style = {};
	struct snapshot s;
	struct table t;
	int c;

	while ((c = getopt_long(argc, argv, TABLE_LETTERS, options, NULL)) >= 0)
		option_common(c, &verb_status, &style);
	no_arguments(argc, argv, &verb_status);
	/* One column for sizes and numbers: in JSON they must all be numbers. */
	style.bytes |= style.json;
	table_init(&t, "status", columns, sizeof(columns) / sizeof(columns[0]), &style);
	snapshot_take(&s, true);
	if (!s.walked)
		complain("%s; sizes are what the kernel counts", s.why_not_walked);
	if (s.loaded && s.debugfs_err)
		complain("%s", debugfs_why(s.debugfs_err));
	direct_map(&t, &s);
	allocator(&t, &s);
	table_print(&t);
	snapshot_free(&s);
	return EXIT_DONE;
}

const struct verb verb_status = {
	.name = "status",
	.synopsis = "[OPTION...]",
	.summary = "Show the direct map and the allocator at a glance",
	.help = "",
	.table = true,
	.run = status,
};
