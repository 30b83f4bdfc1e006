/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Traces: what clients, other users and the system do to a machine, step after
 * step, with every invariant checked after each.
 *
 * A step is an operation and three small numbers; whatever the numbers are, the
 * step means something, so that random bytes are a trace (for a fuzzer) and a
 * trace can be cut anywhere and still run (to make a failing one small).  In text
 * a step is a line: the name and the numbers.  The first lines configure the
 * machine: "machine" with its name and value.
 */
#ifndef LAB_TRACE_H
#define LAB_TRACE_H

#include "check.h"
#include "client.h"

#define NR_CLIENTS 4U

struct step {
	u8 op;
	u8 arg[3];
};

struct trace {
	struct machine_config machine;
	struct step *steps;
	unsigned long nr, room;
	/* Whether one page after the other is looked at: each step, or at the end. */
	bool check_pages;
	/* Which call fails: of this operation (NR_FALLIBLE: of metadata), this one. */
	int fail_op; /* negative: none */
	long fail_nth;
};

void trace_init(struct trace *t);
void trace_destroy(struct trace *t);

/* @nr steps from a seed, on the machine that t->machine says. */
void trace_random(struct trace *t, u64 seed, unsigned long nr);

/* The machine and the steps from bytes of any content. */
void trace_from_bytes(struct trace *t, const u8 *data, size_t size);

/* Return: 0, or the number of the line that can't be read. */
int trace_read(struct trace *t, FILE *f);
void trace_write(const struct trace *t, FILE *f);

/**
 * struct trace_result - what became of a trace
 * @broken:	what was found wrong first; "" for nothing
 * @step:	in which step, from 0; t->nr for the end
 * @failed:	whether the failure asked for was reached
 */
struct trace_result {
	char broken[200];
	unsigned long step;
	bool failed;
	unsigned long calls[NR_OPS];
	unsigned long splits_2m, heals_2m, splits_1g, heals_1g, flushes;
	unsigned long handed_out, refused;
};

/* Return: whether all was well. */
bool trace_run(const struct trace *t, struct trace_result *r);

#endif /* LAB_TRACE_H */
