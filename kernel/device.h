/* SPDX-License-Identifier: GPL-2.0 */
#ifndef UNMAPPED_DEVICE_H
#define UNMAPPED_DEVICE_H

#include <linux/types.h>

/* Return: 0 or a negative errno of misc_register().  May sleep. */
int unmapped_device_init(void);
void unmapped_device_exit(void);

/* Permissions of /dev/unmapped; before init those that it will have. */
umode_t unmapped_device_mode(void);
/* Return: 0, or a negative errno, and then there is no device node any more. */
int unmapped_device_set_mode(umode_t mode);

#endif /* UNMAPPED_DEVICE_H */
