/* SPDX-License-Identifier: GPL-2.0 */
/* Views of many pages; see vmap.c and include/linux/unmapped.h. */
#ifndef UNMAPPED_VMAP_H
#define UNMAPPED_VMAP_H

/* Warns when there is a view left. */
void vmap_exit(void);

#endif /* UNMAPPED_VMAP_H */
