/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * What the unit tests share: a small simulated machine (lab/machine.h) with two
 * clients, made anew for each test, and looked over at its end: whatever a test
 * does, no invariant may be broken, and all memory must come back.
 */
#ifndef UNIT_H
#define UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "check.h"
#include "client.h"

static struct machine m;
static struct client one, two;
static struct snapshot before;

/* Two nodes of 32 blocks and two CPUs, unless a test says otherwise. */
static const struct machine_config ordinary __attribute__((unused)) = {
	.nr_nodes = 2,
	.nr_cpus = 2,
	.node_pages = 32 * BLOCK_PAGES,
};

static inline void machine_sound(const char *file, int line)
{
	check_step(&m, true);
	if (m.broken[0]) {
		print_error("%s:%d: %s\n", file, line, m.broken);
		fail();
	}
}

#define assert_sound() machine_sound(__FILE__, __LINE__)

static inline void start(const struct machine_config *config)
{
	assert_int_equal(machine_init(&m, config), 0);
	client_init(&one, &m, 1);
	client_init(&two, &m, 2);
	snapshot_take(&before, &m);
}

/* One node; its first block is the kernel's. */
static inline struct machine_config blocks_of_one_node(unsigned int nr)
{
	return (struct machine_config){
		.nr_nodes = 1,
		.nr_cpus = 2,
		.node_pages = (nr + 1UL) * BLOCK_PAGES,
	};
}

static inline void start_blocks(unsigned int nr)
{
	const struct machine_config config = blocks_of_one_node(nr);

	start(&config);
}

/* All is given back, and is as it was. */
static inline void finish(void)
{
	client_free_all(&one);
	client_free_all(&two);
	others_free_all(&m);
	check_end(&m, &before);
	if (m.broken[0]) {
		print_error("at the end: %s\n", m.broken);
		fail();
	}
	snapshot_free(&before);
	client_destroy(&one);
	client_destroy(&two);
	machine_destroy(&m);
}

static inline unsigned long stat_of(int nid, enum cache_stat stat)
{
	struct allocator_report r;

	allocator_report(&m.allocator, nid, &r);
	return r.stats[stat];
}

/* Pages, on all nodes. */
static inline unsigned long owned(void)
{
	unsigned long pages = 0;
	unsigned int n;

	for (n = 0; n < m.config.nr_nodes; n++)
		pages += stat_of((int)n, STAT_PAGES_OWNED);
	return pages;
}

static inline void drain_all(void)
{
	m.ops.drain(&m, &m.allocator);
}

static inline void alloc_ok(struct client *c, unsigned int order, unsigned int flags)
{
	assert_int_equal(client_alloc(c, 0, order, flags), 0);
}

/* Whole blocks in the cache of node 0, nothing in use. */
static inline void load_blocks(unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		assert_int_equal(
			client_alloc(&one, 0, BLOCK_ORDER, UM_ZERO | UM_THISNODE), 0);
	client_free_all(&one);
}

#endif /* UNIT_H */
