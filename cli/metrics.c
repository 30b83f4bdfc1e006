// SPDX-License-Identifier: MIT
/*
 * unmapped metrics - everything as Prometheus text, for the textfile collector of
 * node_exporter.
 *
 * A file is written beside its name and renamed, so that a reader finds the old
 * one or the new one, whole.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"
#include "snapshot.h"

static const char *const sizes[NR_ENTRY_SIZES] = { "4k", "2m", "1g" };

static void head(FILE *to, const char *name, const char *type, const char *help)
{
	fprintf(to, "# HELP unmapped_%s %s\n# TYPE unmapped_%s %s\n", name, help, name,
		type);
}

static void one(FILE *to, const char *name, const char *type, uint64_t value,
		const char *help)
{
	head(to, name, type, help);
	fprintf(to, "unmapped_%s %" PRIu64 "\n", name, value);
}

static void by_size(FILE *to, const char *name, const char *label, uint64_t value)
{
	fprintf(to, "unmapped_%s{entry=\"%s\"} %" PRIu64 "\n", name, label, value);
}

static void kernel_counters(FILE *to, const struct counters *c)
{
	unsigned int i;

	head(to, "direct_map_counted_bytes", "gauge",
	     "Direct map by size of its entries, as /proc/meminfo counts it.");
	for (i = 0; i < NR_ENTRY_SIZES; i++)
		if (c->has[i])
			by_size(to, "direct_map_counted_bytes", sizes[i], c->direct[i]);
	if (c->has_splits) {
		head(to, "direct_map_splits_total", "counter",
		     "Entries that became smaller ones since boot, by their size.");
		by_size(to, "direct_map_splits_total", "2m", c->splits_2m);
		by_size(to, "direct_map_splits_total", "1g", c->splits_1g);
	}
	if (c->has_collapses) {
		head(to, "direct_map_collapses_total", "counter",
		     "Entries that the kernel made of smaller ones since boot.");
		by_size(to, "direct_map_collapses_total", "2m", c->collapses_2m);
		by_size(to, "direct_map_collapses_total", "1g", c->collapses_1g);
	}
}

static void page_tables(FILE *to, const struct snapshot *s)
{
	const struct walk_totals *m = &s->map;
	unsigned int i;

	one(to, "page_tables_read", "gauge", s->walked,
	    "Whether the page tables of the direct map could be read.");
	if (!s->walked)
		return;
	one(to, "memory_bytes", "gauge", m->ram, "Memory of this machine.");
	head(to, "direct_map_mapped_bytes", "gauge",
	     "Memory that is mapped, by size of the entries.");
	for (i = 0; i < NR_ENTRY_SIZES; i++)
		by_size(to, "direct_map_mapped_bytes", sizes[i], m->mapped[i]);
	head(to, "direct_map_absent_bytes", "gauge",
	     "Memory that is not mapped, by size of the entries.");
	for (i = 0; i < NR_ENTRY_SIZES; i++)
		by_size(to, "direct_map_absent_bytes", sizes[i], m->absent[i]);
	head(to, "direct_map_healable_bytes", "gauge",
	     "Memory that entries of this size could map, and smaller ones do.");
	by_size(to, "direct_map_healable_bytes", "2m", m->healable_2m);
	by_size(to, "direct_map_healable_bytes", "1g", m->healable_1g);
}

/* The module's counters; those of pages are gauges, in bytes. */
static void stats(FILE *to, const struct stats *stats)
{
	const struct stat_line *l;
	char name[64];
	size_t n;

	for (l = stats->lines; l < stats->lines + stats->nr; l++) {
		if (!strncmp(l->name, "pages_", 6) && strcmp(l->name, "pages_released"))
			continue;
		for (n = 0; isalnum((unsigned char)l->name[n]) || l->name[n] == '_'; n++)
			;
		if (!n || l->name[n])
			continue; /* no name of a metric */
		snprintf(name, sizeof(name), "allocator_%s_total", l->name);
		one(to, name, "counter", l->value,
		    "The counter of this name in debugfs unmapped/stats.");
	}
}

static void block_kind(FILE *to, unsigned int node, const char *kind, uint64_t value)
{
	fprintf(to, "unmapped_allocator_blocks{node=\"%u\",kind=\"%s\"} %" PRIu64 "\n",
		node, kind, value);
}

static void allocator(FILE *to, const struct snapshot *s)
{
	size_t i;

	one(to, "module_loaded", "gauge", s->loaded, "Whether the module is loaded.");
	if (s->debugfs_err)
		return;
	one(to, "allocator_held_bytes", "gauge", snapshot_bytes(s, "pages_owned"),
	    "Memory that the allocator has out of the direct map.");
	one(to, "allocator_allocated_bytes", "gauge",
	    snapshot_bytes(s, "pages_allocated"), "Memory of that in use.");
	one(to, "allocator_limit_bytes", "gauge", s->limit,
	    "What the allocator may hold; 0 is no limit.");
	one(to, "allocator_objects", "gauge", s->holders.nr ? s->holders.nr - 1 : 0,
	    "Objects of programs.");
	stats(to, &s->stats);
	if (!s->blocks.nr)
		return;
	head(to, "allocator_blocks", "gauge",
	     "Blocks of 2 MiB, by what is free of them.");
	for (i = 0; i < s->blocks.nr; i++) {
		const struct node_blocks *n = &s->blocks.nodes[i];

		block_kind(to, n->node, "whole", n->whole);
		block_kind(to, n->node, "partial", n->partial);
		block_kind(to, n->node, "full", n->full);
		block_kind(to, n->node, "fallback", n->fallback);
	}
}

static void write_all(FILE *to, const struct snapshot *s)
{
	kernel_counters(to, &s->counters);
	page_tables(to, s);
	allocator(to, s);
}

/* The new file must not end in .prom, or the collector would read it. */
static void write_file(const char *path, const struct snapshot *s)
{
	char *name = check_memory(malloc(strlen(path) + sizeof(".XXXXXX")));
	FILE *to;
	int fd, err;

	strcpy(name, path);
	strcat(name, ".XXXXXX");
	fd = mkstemp(name);
	to = fd < 0 ? NULL : fdopen(fd, "w");
	if (!to)
		give_up("%s: %s", name, strerror(errno));
	write_all(to, s);
	err = ferror(to) || fflush(to) || fchmod(fd, 0644) ? errno : 0;
	if (fclose(to) && !err)
		err = errno;
	if (!err && rename(name, path))
		err = errno;
	if (err) {
		unlink(name);
		give_up("%s: %s", path, strerror(err));
	}
	free(name);
}

static int metrics(int argc, char **argv)
{
	enum { OPT_NO_KCORE = OPT_OWN };
	static const struct option options[] = {
		COMMON_OPTIONS,
		{ "output", required_argument, NULL, 'o' },
		{ "no-kcore", no_argument, NULL, OPT_NO_KCORE },
		{}
	};
	struct style style = {};
	const char *file = NULL;
	bool walk = true;
	struct snapshot s;
	int c;

	while ((c = getopt_long(argc, argv, "ho:", options, NULL)) >= 0) {
		if (c == 'o')
			file = optarg;
		else if (c == OPT_NO_KCORE)
			walk = false;
		else
			option_common(c, &verb_metrics, &style);
	}
	no_arguments(argc, argv, &verb_metrics);
	snapshot_take(&s, walk);
	if (file)
		write_file(file, &s);
	else
		write_all(stdout, &s);
	snapshot_free(&s);
	return EXIT_DONE;
}

const struct verb verb_metrics = {
	.name = "metrics",
	.synopsis = "[OPTION...]",
	.summary = "Print everything as Prometheus text",
	.help = "  -o, --output FILE   write FILE, which is replaced as a whole\n"
		"      --no-kcore      do not read page tables\n",
	.run = metrics,
};
