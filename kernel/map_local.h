/* SPDX-License-Identifier: GPL-2.0 */
/* Mappings of one page on one CPU; see map_local.c. */
#ifndef UNMAPPED_MAP_LOCAL_H
#define UNMAPPED_MAP_LOCAL_H

/* Return: 0 or -ENOMEM.  May sleep. */
int map_local_init(void);
void map_local_exit(void);

/* Clear 2^@order absent pages.  Context: any. */
void map_local_zero(unsigned long pfn, unsigned int order);

#endif /* UNMAPPED_MAP_LOCAL_H */
