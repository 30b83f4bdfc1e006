// SPDX-License-Identifier: MIT
/*
 * unmapped blocks - the allocator's blocks by node, or who holds its memory.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "debugfs.h"
#include "kcore.h"
#include "table.h"

enum { COL_NODE, COL_WHOLE, COL_PARTIAL, COL_FULL, COL_FALLBACK, COL_FREE, COL_ORDER0 };

static const struct column node_columns[] = {
	[COL_NODE] = { "NODE", "NUMA node", COLUMN_NUMBER, false },
	[COL_WHOLE] = { "WHOLE", "blocks of 2 MiB that are free", COLUMN_NUMBER, false },
	[COL_PARTIAL] = { "PARTIAL", "blocks partly in use", COLUMN_NUMBER, false },
	[COL_FULL] = { "FULL", "blocks wholly in use", COLUMN_NUMBER, false },
	[COL_FALLBACK] = { "FALLBACK", "2 MiB of which only pieces are held",
			   COLUMN_NUMBER, false },
	[COL_FREE] = { "FREE", "memory free in blocks", COLUMN_SIZE, false },
	[COL_ORDER0] = { "ORDER0", "free runs of 4 KiB", COLUMN_NUMBER, true },
	{ "ORDER1", "free runs of 8 KiB", COLUMN_NUMBER, true },
	{ "ORDER2", "free runs of 16 KiB", COLUMN_NUMBER, true },
	{ "ORDER3", "free runs of 32 KiB", COLUMN_NUMBER, true },
	{ "ORDER4", "free runs of 64 KiB", COLUMN_NUMBER, true },
	{ "ORDER5", "free runs of 128 KiB", COLUMN_NUMBER, true },
	{ "ORDER6", "free runs of 256 KiB", COLUMN_NUMBER, true },
	{ "ORDER7", "free runs of 512 KiB", COLUMN_NUMBER, true },
	{ "ORDER8", "free runs of 1 MiB", COLUMN_NUMBER, true },
	{ "ORDER9", "free runs of 2 MiB", COLUMN_NUMBER, true },
};

enum { COL_PID, COL_UID, COL_USED, COL_BYTES, COL_FLAGS, COL_COMM };

static const struct column holder_columns[] = {
	[COL_PID] = { "PID", "who made the object; empty for the kernel", COLUMN_NUMBER,
		      false },
	[COL_UID] = { "UID", "its user", COLUMN_NUMBER, false },
	[COL_USED] = { "USED", "memory allocated", COLUMN_SIZE, false },
	[COL_BYTES] = { "BYTES", "size of the object", COLUMN_SIZE, false },
	[COL_FLAGS] = { "FLAGS",
			"g grows, t one node, n no 2M entries, w wiped, z not zeroed",
			COLUMN_TEXT, false },
	[COL_COMM] = { "COMM", "name of who made it", COLUMN_TEXT, false },
};

static void show_nodes(const struct style *style)
{
	struct blocks b;
	struct table t;
	size_t i, order;
	int err;

	table_init(&t, "blocks", node_columns,
		   sizeof(node_columns) / sizeof(node_columns[0]), style);
	err = blocks_read(&b);
	if (err)
		give_up("%s", debugfs_why(err));
	for (i = 0; i < b.nr; i++) {
		const struct node_blocks *n = &b.nodes[i];
		uint64_t pages = 0;

		table_line(&t);
		table_number(&t, COL_NODE, n->node);
		table_number(&t, COL_WHOLE, n->whole);
		table_number(&t, COL_PARTIAL, n->partial);
		table_number(&t, COL_FULL, n->full);
		table_number(&t, COL_FALLBACK, n->fallback);
		for (order = 0; order < ORDERS; order++) {
			pages += n->free[order] << order;
			table_number(&t, COL_ORDER0 + order, n->free[order]);
		}
		table_number(&t, COL_FREE, pages * KCORE_PAGE);
	}
	table_print(&t);
	free(b.nodes);
}

static void show_holders(const struct style *style)
{
	struct holders h;
	struct table t;
	size_t i;
	int err;

	table_init(&t, "holders", holder_columns,
		   sizeof(holder_columns) / sizeof(holder_columns[0]), style);
	err = holders_read(&h);
	if (err)
		give_up("%s", debugfs_why(err));
	for (i = 0; i < h.nr; i++) {
		table_line(&t);
		if (!h.list[i].kernel) {
			table_number(&t, COL_PID, h.list[i].pid);
			table_number(&t, COL_UID, h.list[i].uid);
			table_number(&t, COL_BYTES, h.list[i].bytes);
		}
		table_number(&t, COL_USED, h.list[i].pages * KCORE_PAGE);
		table_text(&t, COL_FLAGS, h.list[i].flags);
		table_text(&t, COL_COMM, h.list[i].comm);
	}
	table_print(&t);
	free(h.list);
}

static int blocks(int argc, char **argv)
{
	static const struct option options[] = {
		COMMON_OPTIONS, TABLE_OPTIONS, { "holders", no_argument, NULL, 'H' }, {}
	};
	struct style style = {};
	bool who = false;
	int c;

	while ((c = getopt_long(argc, argv, TABLE_LETTERS "H", options, NULL)) >= 0) {
		if (c == 'H')
			who = true;
		else
			option_common(c, &verb_blocks, &style);
	}
	no_arguments(argc, argv, &verb_blocks);
	if (who)
		show_holders(&style);
	else
		show_nodes(&style);
	return EXIT_DONE;
}

const struct verb verb_blocks = {
	.name = "blocks",
	.synopsis = "[OPTION...]",
	.summary = "Show the allocator's blocks, or who holds its memory",
	.help = "  -H, --holders       who holds memory, instead of the blocks\n",
	.table = true,
	.run = blocks,
};
