// SPDX-License-Identifier: MIT
/*
 * unmapped map - the direct map as a picture, or as a table of ranges.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli.h"
#include "counters.h"
#include "debugfs.h"
#include "map.h"
#include "root.h"
#include "table.h"

static const char *const size_names[NR_ENTRY_SIZES] = { "4K", "2M", "1G" };

enum { COL_START, COL_END, COL_SIZE, COL_ENTRY, COL_STATE, COL_ABSENT, COL_HEALABLE };

static const struct column columns[] = {
	[COL_START] = { "START", "first physical address", COLUMN_TEXT, false },
	[COL_END] = { "END", "last physical address", COLUMN_TEXT, false },
	[COL_SIZE] = { "SIZE", "how much that is", COLUMN_SIZE, false },
	[COL_ENTRY] = { "ENTRY", "size of the entries: 4K, 2M or 1G", COLUMN_TEXT,
			false },
	[COL_STATE] = { "STATE", "mapped; absent; or partly, some of the pages",
			COLUMN_TEXT, false },
	[COL_ABSENT] = { "ABSENT", "memory in it that is absent", COLUMN_SIZE, false },
	[COL_HEALABLE] = { "HEALABLE", "could be mapped by larger entries", COLUMN_BOOL,
			   false },
};

static void say_doubts(const struct walk_totals *t)
{
	if (t->foreign)
		complain("%" PRIu64
			 " entries do not map their own address; the kernel was "
			 "changing its tables",
			 t->foreign);
	if (t->blank)
		complain("%" PRIu64
			 " page tables read as zeros; what they map is shown as "
			 "absent",
			 t->blank);
}

int map_read(struct walk *w, char why[MAP_WHY])
{
	struct kcore k;
	int fd, err;

	memset(w, 0, sizeof(*w));
	fd = root_open("/proc/kcore");
	if (fd < 0) {
		snprintf(why, MAP_WHY, "/proc/kcore: %s%s", strerror(-fd),
			 fd == -EPERM ? " (needs CAP_SYS_RAWIO and no lockdown)" : "");
		return fd;
	}
	err = kcore_open(&k, fd);
	if (!err)
		err = walk_read(w, &k, 0, NULL, NULL);
	if (err)
		snprintf(why, MAP_WHY, "/proc/kcore: %s", k.error);
	else
		say_doubts(&w->totals);
	kcore_close(&k);
	return err;
}

static int range_line(void *arg, const struct walk_range *r)
{
	struct table *t = arg;
	char text[32];

	table_line(t);
	snprintf(text, sizeof(text), "0x%010" PRIx64, r->start);
	table_text(t, COL_START, text);
	snprintf(text, sizeof(text), "0x%010" PRIx64, r->end - 1);
	table_text(t, COL_END, text);
	table_number(t, COL_SIZE, r->end - r->start);
	table_text(t, COL_ENTRY, size_names[r->size]);
	table_text(t, COL_STATE,
		   !r->absent		 ? "mapped"
		   : r->size == ENTRY_4K ? "partly"
					 : "absent");
	table_number(t, COL_ABSENT, r->absent_bytes);
	table_bool(t, COL_HEALABLE, r->healable);
	return 0;
}

static unsigned int width_for_terminal(void)
{
	struct winsize ws = {};
	unsigned int width = 64;

	if (isatty(STDOUT_FILENO) && !ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws))
		while (width < 512 && ws.ws_col >= 2 * width + 10)
			width *= 2;
	return width;
}

/* What of the absent memory is the allocator's. */
static void say_owner(const struct walk_totals *t, bool bytes)
{
	uint64_t absent = t->absent[0] + t->absent[1] + t->absent[2], owned;
	char s[2][SIZE_TEXT];
	struct stats stats;
	int err = stats_read(&stats);

	if (err) {
		if (module_loaded())
			printf("Allocator: unknown, %s\n", debugfs_why(err));
		return;
	}
	owned = stats_value(&stats, "pages_owned") * KCORE_PAGE;
	free(stats.lines);
	printf("Allocator: %s of that is the module's", size_text(s[0], owned, bytes));
	if (absent > owned)
		printf(", %s of others, as memfd_secret(2) and KFENCE",
		       size_text(s[1], absent - owned, bytes));
	putchar('\n');
}

/* Without page tables to read, there are the counters. */
static int counters_only(const char *why, bool bytes)
{
	struct counters c;
	char s[SIZE_TEXT];
	const char *path;
	int i, err;

	complain("%s; only counters are shown", why);
	err = counters_read(&c, &path);
	if (err)
		give_up("%s: %s", path, strerror(-err));
	for (i = NR_ENTRY_SIZES - 1; i >= 0; i--)
		if (c.has[i])
			printf("By %s entries: %s\n", size_names[i],
			       size_text(s, c.direct[i], bytes));
	printf("What is absent is in these numbers, and where it is they do not say.\n");
	return EXIT_DONE;
}

static bool colour_wanted(const char *when)
{
	const char *no = getenv("NO_COLOR");

	if (!strcmp(when, "always"))
		return true;
	if (!strcmp(when, "never"))
		return false;
	if (strcmp(when, "auto")) {
		complain("--color takes always, never or auto, not '%s'", when);
		try_help(&verb_map);
	}
	return isatty(STDOUT_FILENO) && !(no && *no);
}

static unsigned int width_wanted(const char *text)
{
	uint64_t width;

	if (number_parse(text, 8, REGION_BLOCKS, &width) || width & (width - 1)) {
		complain("--width takes " MAP_WIDTHS ", not '%s'", text);
		try_help(&verb_map);
	}
	return (unsigned int)width;
}

static int map(int argc, char **argv)
{
	enum { OPT_COLOR = OPT_OWN, OPT_WIDTH, OPT_SUMMARY };
	static const struct option options[] = {
		COMMON_OPTIONS,
		TABLE_OPTIONS,
		{ "list", no_argument, NULL, 'l' },
		{ "summary", no_argument, NULL, OPT_SUMMARY },
		{ "color", required_argument, NULL, OPT_COLOR },
		{ "width", required_argument, NULL, OPT_WIDTH },
		{}
	};
	bool list = false, summary = false, colour;
	const char *color = "auto";
	unsigned int width = 0;
	struct style style = {};
	char why[MAP_WHY];
	struct table t;
	struct walk w;
	int c;

	while ((c = getopt_long(argc, argv, TABLE_LETTERS "l", options, NULL)) >= 0) {
		switch (c) {
		case 'l':
			list = true;
			break;
		case OPT_SUMMARY:
			summary = true;
			break;
		case OPT_COLOR:
			color = optarg;
			break;
		case OPT_WIDTH:
			width = width_wanted(optarg);
			break;
		default:
			option_common(c, &verb_map, &style);
		}
	}
	no_arguments(argc, argv, &verb_map);
	colour = colour_wanted(color);
	list |= style.json || style.raw || style.noheadings || style.columns;
	if (list)
		table_init(&t, "ranges", columns, sizeof(columns) / sizeof(columns[0]),
			   &style);
	if (map_read(&w, why)) {
		if (list)
			give_up("%s", why);
		return counters_only(why, style.bytes);
	}
	if (list) {
		walk_ranges(&w, range_line, &t);
		table_print(&t);
		walk_free(&w);
		return EXIT_DONE;
	}
	if (!summary) {
		width = width ? width : width_for_terminal();
		map_draw(stdout, &w, width, colour);
		map_legend(stdout, width, colour);
		putchar('\n');
	}
	map_totals(stdout, &w.totals, style.bytes);
	say_owner(&w.totals, style.bytes);
	walk_free(&w);
	return EXIT_DONE;
}

const struct verb verb_map = {
	.name = "map",
	.synopsis = "[OPTION...]",
	.summary = "Show how the direct map is mapped, and what is absent",
	.help = "  -l, --list          a table of ranges instead of the picture\n"
		"      --summary       no picture, only the sums\n"
		"      --color WHEN    always, never or auto\n"
		"      --width N       cells in a GiB: " MAP_WIDTHS "\n",
	.table = true,
	.run = map,
};
