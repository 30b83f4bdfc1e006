/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Simulated clients: they allocate, write and free pages of the core, and know
 * what they have.
 *
 * Each page that is handed out is checked at once: absent, flushed, of the right
 * node and alignment, nobody else's, and clean as far as it was asked for.  A
 * client writes all of its pages unless told not to.
 */
#ifndef LAB_CLIENT_H
#define LAB_CLIENT_H

#include "machine.h"

struct held {
	unsigned long pfn;
	u8 order;
};

struct client {
	struct machine *machine;
	u32 id; /* not 0 */
	struct held *held;
	unsigned long nr_held, room;
};

void client_init(struct client *c, struct machine *m, u32 id);
void client_destroy(struct client *c);

/* Return: as allocator_alloc(). */
int client_alloc(struct client *c, int nid, unsigned int order, unsigned int flags);

/* Return: as allocator_alloc_ahead(). */
int client_alloc_ahead(struct client *c, int nid, unsigned int order, unsigned int flags,
		       unsigned long want);

/* Return: as allocator_alloc_bulk(). */
unsigned long client_alloc_bulk(struct client *c, int nid, unsigned int flags,
				unsigned long nr);

/* The block held at @i: allocator_mark_dirty(). */
void client_mark_dirty(struct client *c, unsigned long i);

/* Free what is held at @i, in pieces of 2^@order (or in one, if that is more). */
void client_free(struct client *c, unsigned long i, unsigned int order);
void client_free_all(struct client *c);

/*
 * What is held at @i becomes one with its neighbours, as far as they are held too
 * and make naturally aligned runs: pages may be freed together that were
 * allocated apart.  Return: where it is held now.
 */
unsigned long client_join(struct client *c, unsigned long i);

#endif /* LAB_CLIENT_H */
