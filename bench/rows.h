/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Rows of build/bench.json, with what another allocator reaches beside each: a
 * reference from another machine, or what it has just reached on this one.
 */
#ifndef BENCH_ROWS_H
#define BENCH_ROWS_H

#include <stdio.h>

#ifdef PEER
#define SUITE "peer"
#else
#define SUITE "core"
#endif

#define REFERENCE "LLFree-c (reference)"
extern const char *rows_peer_name; /* of nanoseconds; of all else it is that */

/* Where they go, if anywhere. */
extern FILE *rows;

/* One figure; @order -1: of all of them. */
void row(const char *what, int order, unsigned int threads, const char *unit,
	 double value);

/* Negative when there is none. */
double rows_peer(const char *what, int order, unsigned int threads);

/* Rows that the peer wrote with --json; all but nanoseconds stay a reference. */
void rows_read_peer(const char *name);

void fail(const char *what);

#endif /* BENCH_ROWS_H */
