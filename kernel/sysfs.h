/* SPDX-License-Identifier: GPL-2.0 */
/* /sys/kernel/mm/unmapped/ and parameters; see sysfs.c. */
#ifndef UNMAPPED_SYSFS_H
#define UNMAPPED_SYSFS_H

/* Put the parameters into effect.  Return: 0, or -EINVAL after one clear line. */
int parameters_apply(void);

int unmapped_sysfs_init(void);
void unmapped_sysfs_exit(void);

#endif /* UNMAPPED_SYSFS_H */
