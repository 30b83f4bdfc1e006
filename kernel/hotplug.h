/* SPDX-License-Identifier: GPL-2.0 */
#ifndef UNMAPPED_HOTPLUG_H
#define UNMAPPED_HOTPLUG_H

/* Return: 0 or a negative errno.  May sleep. */
int unmapped_hotplug_init(void);
void unmapped_hotplug_exit(void);

#endif /* UNMAPPED_HOTPLUG_H */
