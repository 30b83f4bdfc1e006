/* SPDX-License-Identifier: GPL-2.0 */
#ifndef UNMAPPED_DEVICE_H
#define UNMAPPED_DEVICE_H

/* Return: 0 or a negative errno of misc_register().  May sleep. */
int unmapped_device_init(void);
void unmapped_device_exit(void);

#endif /* UNMAPPED_DEVICE_H */
