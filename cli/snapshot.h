/* SPDX-License-Identifier: MIT */
/*
 * All that can be known at a moment, for the verbs that show a bit of everything.
 */
#ifndef CLI_SNAPSHOT_H
#define CLI_SNAPSHOT_H

#include "counters.h"
#include "debugfs.h"
#include "map.h"
#include "walk.h"

struct snapshot {
	struct counters counters;

	bool walked; /* the page tables could be read */
	struct walk_totals map;
	char why_not_walked[MAP_WHY];

	bool loaded;	 /* the module */
	int debugfs_err; /* 0: what follows was read */
	struct stats stats;
	struct holders holders;
	struct blocks blocks;
	uint64_t limit; /* bytes; 0 is none, or unknown */
};

/* Ends the program when not even the counters can be read. */
void snapshot_take(struct snapshot *s, bool walk);
void snapshot_free(struct snapshot *s);

/* By the page tables if they were read, else as the kernel counts. */
uint64_t snapshot_mapped(const struct snapshot *s, enum entry_size size);
uint64_t snapshot_absent(const struct snapshot *s);
/* A counter of the module in pages, as bytes. */
uint64_t snapshot_bytes(const struct snapshot *s, const char *pages);

#endif
