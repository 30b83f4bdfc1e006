// SPDX-License-Identifier: GPL-2.0
/*
 * unmapped_test.ko: tests of what unmapped.ko exports, from kernel code.  For virtual
 * machines.
 *
 * Each part has its files in /sys/kernel/debug/unmapped_test/, and says which.
 */
#include <linux/debugfs.h>
#include <linux/module.h>

#include "test.h"

static struct dentry *dir;

unsigned int number;

static int __init test_init(void)
{
	dir = debugfs_create_dir("unmapped_test", NULL);
	api_test_init(dir);
	runs_test_init(dir);
	control_init(dir);
	bench_init(dir);
	map_local_test_init(dir);
	poison_test_init(dir);
	vmap_test_init(dir);
	return 0;
}

static void __exit test_exit(void)
{
	debugfs_remove(dir);
	vmap_test_exit();
	control_exit();
	runs_test_exit();
}

module_init(test_init);
module_exit(test_exit);
MODULE_DESCRIPTION("Tests of the in-kernel API of unmapped");
MODULE_LICENSE("GPL");
