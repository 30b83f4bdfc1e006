// SPDX-License-Identifier: GPL-2.0 OR MIT
/* See client.h for the model. */
#include "client.h"

void client_init(struct client *c, struct machine *m, u32 id)
{
	memset(c, 0, sizeof(*c));
	c->machine = m;
	c->id = id;
}

void client_destroy(struct client *c)
{
	free(c->held);
}

static void check_page(struct client *c, unsigned long pfn, unsigned int flags)
{
	struct machine *m = c->machine;
	u64 tag = m->tag[pfn];

	if (m->owner[pfn] != OWNER_CORE)
		machine_broken(m, "pfn %#lx was handed out, but is not the core's", pfn);
	else if (m->holder[pfn])
		machine_broken(m, "pfn %#lx was handed out twice, to %u and %u", pfn,
			       m->holder[pfn], c->id);
	else if (!m->map.absent[pfn])
		machine_broken(m, "pfn %#lx was handed out while present", pfn);
	else if (m->map.stale[pfn])
		machine_broken(m, "pfn %#lx was handed out before the flush", pfn);
	else if (m->map_failed[pfn >> BLOCK_ORDER])
		machine_broken(m, "pfn %#lx was handed out of a quarantined block", pfn);
	else if (tag && !m->config.dirty_is_fine && flags & UM_ZERO)
		machine_broken(m, "pfn %#lx was handed out dirty, zero was asked for",
			       pfn);
	else if (tag && !m->config.dirty_is_fine && !(tag & TAG_NOT_ZEROED))
		machine_broken(m,
			       "pfn %#lx was handed out with content of a client "
			       "that had asked for zero",
			       pfn);
}

static void received(struct client *c, int nid, unsigned long pfn, unsigned int order,
		     unsigned int flags)
{
	struct machine *m = c->machine;
	unsigned long i, end = pfn + (1UL << order);
	struct held *more;

	machine_lock(m);
	if (pfn & ((1UL << order) - 1) || end > m->nr_pages) {
		machine_broken(m, "pfn %#lx was handed out as order %u", pfn, order);
		machine_unlock(m);
		return;
	}
	if (flags & UM_THISNODE && machine_node(m, pfn) != nid)
		machine_broken(m, "pfn %#lx is not of node %d", pfn, nid);
	for (i = pfn; i < end; i++) {
		check_page(c, i, flags);
		m->holder[i] = c->id;
		m->tag[i] = (u64)c->id << 2 | 2 | (flags & UM_ZERO ? 0 : TAG_NOT_ZEROED);
		m->nr_held[i >> BLOCK_ORDER]++;
	}
	machine_unlock(m);

	if (c->nr_held == c->room) {
		c->room = max(c->room * 2, 64UL);
		more = realloc(c->held, c->room * sizeof(*more));
		if (!more)
			abort();
		c->held = more;
	}
	c->held[c->nr_held++] = (struct held){
		.pfn = pfn,
		.order = (u8)order,
	};
}

static int answered(struct client *c, int nid, unsigned int order, unsigned int flags,
		    int err, unsigned long pfn)
{
	if (!err)
		received(c, nid, pfn, order, flags);
	else if (err != -ENOMEM && err != UNMAP_ERRNO)
		machine_broken(c->machine, "allocation failed with %d", err);
	return err;
}

int client_alloc(struct client *c, int nid, unsigned int order, unsigned int flags)
{
	unsigned long pfn = ~0UL;
	int err;

	um_atomic = flags & UM_NOWAIT;
	err = allocator_alloc(&c->machine->allocator, nid, order, flags, &pfn);
	um_atomic = false;
	return answered(c, nid, order, flags, err, pfn);
}

int client_alloc_ahead(struct client *c, int nid, unsigned int order, unsigned int flags,
		       unsigned long want)
{
	unsigned long pfn = ~0UL;
	int err;

	um_atomic = flags & UM_NOWAIT;
	err = allocator_alloc_ahead(&c->machine->allocator, nid, order, flags, want,
				    &pfn);
	um_atomic = false;
	return answered(c, nid, order, flags, err, pfn);
}

void client_mark_dirty(struct client *c, unsigned long i)
{
	struct machine *m = c->machine;
	unsigned long pfn = c->held[i].pfn, k;

	allocator_mark_dirty(&m->allocator, pfn);
	machine_lock(m);
	for (k = 0; k < BLOCK_PAGES; k++)
		m->tag[pfn + k] |= TAG_NOT_ZEROED;
	machine_unlock(m);
}

unsigned long client_alloc_bulk(struct client *c, int nid, unsigned int flags,
				unsigned long nr)
{
	unsigned long *pfns = calloc(nr + 1, sizeof(*pfns));
	unsigned long i, got;

	if (!pfns)
		abort();
	for (i = 0; i <= nr; i++)
		pfns[i] = ~0UL;
	um_atomic = flags & UM_NOWAIT;
	got = allocator_alloc_bulk(&c->machine->allocator, nid, flags, nr, pfns);
	um_atomic = false;
	if (got > nr) {
		machine_broken(c->machine, "%lu pages for a request of %lu", got, nr);
		got = nr;
	}
	for (i = 0; i < got; i++)
		received(c, nid, pfns[i], 0, flags);
	for (; i <= nr; i++)
		if (pfns[i] != ~0UL)
			machine_broken(c->machine, "bulk wrote past what it returned");
	free(pfns);
	return got;
}

void client_free(struct client *c, unsigned long i, unsigned int order)
{
	struct machine *m = c->machine;
	struct held h = c->held[i];
	unsigned long pfn, end = h.pfn + (1UL << h.order);
	int err;

	order = min(order, (unsigned int)h.order);
	c->held[i] = c->held[--c->nr_held];
	machine_lock(m);
	for (pfn = h.pfn; pfn < end; pfn++) {
		m->holder[pfn] = 0;
		m->nr_held[pfn >> BLOCK_ORDER]--;
	}
	machine_unlock(m);

	/* Frees are for any context. */
	um_atomic = true;
	for (pfn = h.pfn; pfn < end; pfn += 1UL << order) {
		err = allocator_free(&m->allocator, pfn, order);
		if (err)
			machine_broken(m, "free of pfn %#lx, order %u: %d", pfn, order,
				       err);
	}
	um_atomic = false;

	/* With threads they may be somebody else's by now. */
	for (pfn = h.pfn; pfn < end && !m->config.threaded && !m->config.dirty_is_fine;
	     pfn++)
		if (m->tag[pfn] && !(m->tag[pfn] & TAG_NOT_ZEROED))
			machine_broken(m, "pfn %#lx was not zeroed when freed", pfn);
}

static bool find_held(const struct client *c, unsigned long pfn, unsigned int order,
		      unsigned long *i)
{
	for (*i = 0; *i < c->nr_held; ++*i)
		if (c->held[*i].pfn == pfn && c->held[*i].order == order)
			return true;
	return false;
}

unsigned long client_join(struct client *c, unsigned long i)
{
	struct held h = c->held[i];
	unsigned long buddy;

	while (h.order < REGION_ORDER &&
	       find_held(c, h.pfn ^ 1UL << h.order, h.order, &buddy)) {
		h.pfn &= ~(1UL << h.order);
		h.order++;
		c->held[i] = h;
		c->held[buddy] = c->held[--c->nr_held];
		if (i == c->nr_held)
			i = buddy;
	}
	return i;
}

void client_free_all(struct client *c)
{
	while (c->nr_held)
		client_free(c, c->nr_held - 1, REGION_ORDER);
}
