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

/* In the direct map; levels are 1 to 3 (4 KiB, 2 MiB, 1 GiB), 0 for none. */
bool is_absent(struct page *page);
bool all_absent(struct page *page, unsigned int order);
unsigned int level_of(struct page *page);

/* Pages that are free are, wherever they came from, as they were: a point. */
void test_restored(struct seq_file *m);

/* Each page has one reference. */
bool all_counted(struct page *page, unsigned int order);

/* Without a fault. */
bool reads(const void *addr);

/* Through unmapped_map_local(). */
bool holds(struct page *page, unsigned int order, u8 byte);
void fill(struct page *page, unsigned int order, u8 byte);

void api_test_init(struct dentry *dir);

void runs_test_init(struct dentry *dir);
void runs_test_exit(void);

void control_init(struct dentry *dir);
void control_exit(void);

void map_local_test_init(struct dentry *dir);
void poison_test_init(struct dentry *dir);

void vmap_test_init(struct dentry *dir);
void vmap_test_exit(void);

void bench_init(struct dentry *dir);

#endif /* UNMAPPED_TEST_H */
