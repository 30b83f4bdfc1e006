/* SPDX-License-Identifier: GPL-2.0 */
/* What the parts of unmapped_test.ko share. */
#ifndef UNMAPPED_TEST_H
#define UNMAPPED_TEST_H

#include <linux/gfp.h>
#include <linux/mm_types.h>
#include <linux/seq_file.h>

struct dentry;

#define ZEROED (GFP_KERNEL | __GFP_ZERO)

/* 2 MiB. */
#define BLOCK_ORDER 9U
#define BLOCK_PAGES 512UL

/* TAP: the number of the last point. */
extern unsigned int number;

#define ok(m, cond, ...) \
	do { \
		bool ok__ = (cond); \
\
		seq_printf(m, "%sok %u - ", ok__ ? "" : "not ", ++number); \
		seq_printf(m, __VA_ARGS__); \
		seq_putc(m, '\n'); \
	} while (0)

/* Without a fault. */
bool reads(const void *addr);

/* Through unmapped_map_local(). */
bool holds(struct page *page, unsigned int order, u8 byte);
void fill(struct page *page, unsigned int order, u8 byte);

void map_local_test_init(struct dentry *dir);
void poison_test_init(struct dentry *dir);

void vmap_test_init(struct dentry *dir);
void vmap_test_exit(void);

void bench_init(struct dentry *dir);

#endif /* UNMAPPED_TEST_H */
