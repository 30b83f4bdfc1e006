// SPDX-License-Identifier: GPL-2.0 OR MIT
/* See rows.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rows.h"

#define MAX_PEERS 128
const char *rows_peer_name = REFERENCE;

/* LLFree-c on two cores of a Zen 5, clang -O2, 2^20 frames, ns or blocks. */
static struct {
	char what[32];
	int order;
	unsigned int threads;
	double value;
} peers[MAX_PEERS] = {
	{ "at_once", 0, 1, 53.2 },
	{ "at_once", 3, 1, 57.8 },
	{ "at_once", 6, 1, 53.4 },
	{ "at_once", 9, 1, 39.9 },
	{ "bulk", 0, 1, 56.1 },
	{ "bulk", 3, 1, 57.1 },
	{ "bulk", 6, 1, 63.1 },
	{ "bulk", 9, 1, 57.9 },
	{ "bulk_alloc", 0, 1, 31.7 },
	{ "bulk_free", 0, 1, 22.9 },
	{ "random", 0, 1, 56.1 },
	{ "random", 3, 1, 55.9 },
	{ "random", 6, 1, 63.2 },
	{ "random", 9, 1, 57.9 },
	{ "remote_free", 0, 1, 37.5 },
	{ "bulk", 0, 2, 73.4 },
	{ "bulk", 3, 2, 69.3 },
	{ "bulk", 6, 2, 65.1 },
	{ "bulk", 9, 2, 62.8 },
	{ "random", 0, 2, 62.0 },
	{ "random", 3, 2, 61.9 },
	{ "random", 6, 2, 71.1 },
	{ "random", 9, 2, 71.8 },
	{ "keep_whole_0_rounds", 0, 1, 204 },
	{ "keep_whole_20_rounds", 0, 1, 200 },
	{ "keep_whole_40_rounds", 0, 1, 224 },
	{ "keep_whole_60_rounds", 0, 1, 764 },
	{ "keep_whole_100_rounds", 0, 1, 1082 },
	{ "metadata_in_all_per_block", -1, 1, 72.8 },
};

FILE *rows;

void rows_read_peer(const char *name)
{
	char line[256], what[32], unit[16];
	FILE *f = fopen(name, "r");
	unsigned int i, threads;
	double value;
	int order;

	if (!f)
		fail("can't read the file of the peer's rows");
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line,
			   "{\"suite\": \"peer\", \"case\": \"%31[^\"]\", \"order\": %d, "
			   "\"threads\": %u, \"unit\": \"%15[^\"]\", \"value\": %lf",
			   what, &order, &threads, unit, &value) != 5)
			fail("not a row of a peer");
		if (strcmp(unit, "ns"))
			continue;
		for (i = 0; i < MAX_PEERS && peers[i].what[0]; i++)
			if (!strcmp(peers[i].what, what) && peers[i].order == order &&
			    peers[i].threads == threads)
				break;
		if (i == MAX_PEERS)
			fail("too many rows of a peer");
		strcpy(peers[i].what, what);
		peers[i].order = order;
		peers[i].threads = threads;
		peers[i].value = value;
	}
	fclose(f);
	rows_peer_name = "LLFree-c (this run)";
}

double rows_peer(const char *what, int order, unsigned int threads)
{
	unsigned int i;

	for (i = 0; i < MAX_PEERS && peers[i].what[0]; i++)
		if (!strcmp(peers[i].what, what) && peers[i].order == order &&
		    peers[i].threads == threads)
			return peers[i].value;
	return -1;
}

void row(const char *what, int order, unsigned int threads, const char *unit,
	 double value)
{
	const char *name = strcmp(unit, "ns") ? REFERENCE : rows_peer_name;
	/* Nobody has counted its instructions. */
	double peer = strcmp(unit, "instructions") ? rows_peer(what, order, threads) : -1;

	if (!rows)
		return;
	fprintf(rows, "{\"suite\": \"" SUITE "\", \"case\": \"%s\", \"order\": ", what);
	if (order < 0)
		fprintf(rows, "null");
	else
		fprintf(rows, "%d", order);
	fprintf(rows, ", \"threads\": %u, \"unit\": \"%s\", \"value\": %.2f, ", threads,
		unit, value);
	if (peer < 0)
		fprintf(rows, "\"peer\": null, \"peer_value\": null}\n");
	else
		fprintf(rows, "\"peer\": \"%s\", \"peer_value\": %.1f}\n", name, peer);
}
