/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * A simulated machine under the core: physical memory on some nodes, who has
 * each page, what is in it, and the direct map.
 *
 * Content is a number for each page, the tag: 0 reads as zero, else it says who
 * wrote it (client_tag(), OTHERS_TAG).  Other users of memory take pages,
 * dirty them, make some absent (as memfd_secret does) and give them back; they
 * are the reason that the system has no whole block left.
 *
 * Every operation of struct um_host_ops checks what DESIGN says of it as it is
 * called; the first thing that is wrong is kept in machine.broken, in words.
 * What can't be seen in one call is looked for by check.h.
 *
 * An operation can be made to fail: fail_at[op] counts down with each call, the
 * call that finds it at 0 fails; with fails[op] all of them do.  Allocations of
 * metadata fail through um_fail_nth.
 *
 * CPUs are simulated: a call runs on the CPU that um_cpu says.  In a threaded
 * machine each thread has a CPU for itself and calls machine_safe_point() now
 * and then; other threads' requests to drain are met there.
 */
#ifndef LAB_MACHINE_H
#define LAB_MACHINE_H

#include "allocator.h"
#include "directmap.h"

#define MAX_CPUS       8
#define OTHERS_TAG     (1ULL << 63)
#define TAG_NOT_ZEROED 1ULL /* its client did not ask for zero */

enum machine_op {
	OP_GET,
	OP_UNMAP,
	OP_MAP,
	OP_HEAL,
	OP_HEAL_REGION, /* can fail */
	OP_PUT,
	OP_FLUSH,
	OP_ZERO,
	OP_DRAIN,
	NR_OPS,
};
#define NR_FALLIBLE OP_PUT

/* Injected into unmap(), to see that it is passed on. */
#define UNMAP_ERRNO (-ENOSPC)

enum owner { OWNER_NONE, OWNER_BOOT, OWNER_OTHERS, OWNER_CORE };

struct machine_config {
	unsigned int nr_nodes;	  /* at least 1 */
	unsigned int nr_cpus;	  /* at most MAX_CPUS */
	unsigned long node_pages; /* of each node, whole blocks */
	unsigned int boot_small;  /* each n-th block is 4 KiB from boot on; 0: none */
	bool boot_split_regions;  /* 1 GiB entries are 2 MiB from boot on */
	bool cant_heal_regions;	  /* as most kernels */
	bool reclaim;		  /* get() shrinks the caches when out of memory */
	bool scatter;		  /* whole blocks from everywhere, not in order */
	bool threaded;
	bool dirty_is_fine; /* no zero(): memory need not be clean */
};

struct others_page {
	unsigned long pfn;
	unsigned int order;
	bool absent;
};

struct machine {
	struct machine_config config;
	struct allocator allocator;
	struct um_host_ops ops;
	struct directmap map;
	pthread_mutex_t lock; /* of all below, in a threaded machine */
	unsigned long nr_pages;
	u8 *owner; /* enum owner */
	u64 *tag;
	u32 *holder;			  /* client that has the page, or 0 */
	u16 *nr_core, *nr_held, *nr_used; /* of each block: pages; used: by all */
	u8 *came_whole;			  /* of each block: all of it by one get() */
	u8 *heal_refused;		  /* of each block: heal() failed on it */
	u8 *map_failed;			  /* of each block: map() was made to fail */
	u8 *cant_map;			  /* the same of each page */
	bool region_heal_refused;
	struct others_page *others;
	unsigned long nr_others, room_others;

	u64 clock;
	unsigned long random;	   /* state of scatter */
	long fail_at[NR_FALLIBLE]; /* negative: never */
	bool fails[NR_FALLIBLE];   /* always */
	unsigned long calls[NR_OPS];
	unsigned long failed[NR_FALLIBLE];
	unsigned long pages_zeroed;
	unsigned long asked; /* for a refill ahead, of any node */
	unsigned long warnings, expected_warnings;
	int drain_wanted[MAX_CPUS]; /* threaded */
	char broken[200];	    /* what was found wrong first; "" for nothing */
};

/* Return: 0 or -ENOMEM, of the machine or of allocator_init(). */
int machine_init(struct machine *m, const struct machine_config *config);
void machine_destroy(struct machine *m);

/* For what is done to a threaded machine in one piece. */
static inline void machine_lock(struct machine *m)
{
	if (m->config.threaded)
		pthread_mutex_lock(&m->lock);
}

static inline void machine_unlock(struct machine *m)
{
	if (m->config.threaded)
		pthread_mutex_unlock(&m->lock);
}

/* Remember that something is wrong, unless something is already. */
void machine_broken(struct machine *m, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * The um_warn of this thread's machine: counts, and takes a warning that
 * nobody expects (expected_warnings, map_failed) for a broken invariant.
 */
void machine_warn(const char *file, int line, const char *what);
extern struct machine *machine_current;

static inline int machine_node(const struct machine *m, unsigned long pfn)
{
	return (int)(pfn / m->config.node_pages);
}

/* A whole block or run that nobody has; -ENOMEM when node @nid has none. */
int machine_find(struct machine *m, int nid, unsigned int order, unsigned long *pfn);

/* Other users.  Return: 0 or -ENOMEM. */
int others_alloc(struct machine *m, int nid, unsigned int order);
/* One page of a whole block, which then is whole no more. */
int others_fragment(struct machine *m, int nid);
/* What they have at @i is given back, made absent, or present again. */
void others_free(struct machine *m, unsigned long i);
/* The same, but the core has it instead of the system, as if it came from get(). */
void others_pass_on(struct machine *m, unsigned long i, struct piece *p);
void others_unmap(struct machine *m, unsigned long i);
void others_map(struct machine *m, unsigned long i);
/* Take all that there is, then free all but @keep of every 512 pages. */
void others_fill(struct machine *m, int nid, unsigned int keep);
void others_free_all(struct machine *m);

/* Where a thread can be made to drain the magazines of its CPU. */
void machine_safe_point(struct machine *m);

#endif /* LAB_MACHINE_H */
