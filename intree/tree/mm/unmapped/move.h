/* SPDX-License-Identifier: GPL-2.0 */
/* Moving what is in the way of a block that is owned in part; see move.c. */
#ifndef UNMAPPED_MOVE_H
#define UNMAPPED_MOVE_H

struct cache;

/*
 * Blocks of this node that can become whole by it: what others have in them is moved
 * elsewhere, and what it was in freed; at most @most pages.  May sleep.
 */
void move_neighbours(struct cache *c, unsigned long most);

/* How many were, since boot. */
unsigned long moved_pages(void);

#endif /* UNMAPPED_MOVE_H */
