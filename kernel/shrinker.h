/* SPDX-License-Identifier: GPL-2.0 */
#ifndef UNMAPPED_SHRINKER_H
#define UNMAPPED_SHRINKER_H

/* Return: 0 or -ENOMEM.  May sleep. */
int unmapped_shrinker_init(void);
void unmapped_shrinker_exit(void);

#endif /* UNMAPPED_SHRINKER_H */
