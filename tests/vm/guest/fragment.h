/* SPDX-License-Identifier: MIT */
/* Fragmenting physical memory on purpose. */
#ifndef FRAGMENT_H
#define FRAGMENT_H

#include <stdbool.h>

/* Free pages of order 9, but for the DMA zone. */
long whole_blocks(void);

/*
 * Take ordinary memory until no order-9 page is free, or hardly any memory is, then
 * give back all but one page of each 2 MiB block of physical memory.  The pages
 * that stay can't be moved unless @movable.  Sets @blocks to their number.  Returns
 * a descriptor: until it is closed they are pinned.
 */
int fragment(bool movable, int *blocks);

/*
 * Keep as huge pages what becomes whole again as something is freed or moved,
 * until nothing has for a while.
 */
void take_whole_blocks(void);

#endif
