/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Objects of 16 bytes to 2 KiB, in pages of the allocator.
 *
 * A slab is one page cut into objects of one class.  All that is known of it
 * stands in a descriptor elsewhere, found by the page's pfn; the page holds
 * objects and nothing else.  The scheme is that of pages in blocks:
 *
 *	words[]	 a bit for each object, 1 = free; lock-free
 *	magazine up to 32 free objects of one CPU in one word (magazine.h), with
 *		 slots in the place of pfns: pfn << 8 | index of the object
 *	active	 the slab that a CPU takes objects from, on no list
 *	lists	 of slabs with free objects, fullest first, so that nearly empty
 *		 ones become empty and their pages can be freed
 *
 * used[] says of each object whether a client has it, whichever magazine it was
 * in: so an object that is freed twice is noticed by the second free, and so is
 * a pointer that is not the start of one.  Only its holder writes it, so it costs
 * no atomic operation; two CPUs that free the same object in the same instant are
 * noticed when the bits meet in words[], and the slab is then never used again.
 *
 * Free objects are zero.  With a canary, the last 8 bytes of each object are not
 * the client's: what they hold depends on their address and a secret, and is
 * compared when the object is freed.
 *
 * Objects are read and written here, so the host maps all pages it gives in one
 * window: that of pfn is at base + pfn * PAGE_SIZE.
 */
#ifndef UM_SLAB_H
#define UM_SLAB_H

#include "magazine.h"

#define SLAB_SLOT_SHIFT 8U /* objects of a page, at most, as a power of two */
#define SLAB_SLOTS	(1U << SLAB_SLOT_SHIFT)
#define SLAB_WORDS	(SLAB_SLOTS / BITS_PER_LONG)
#define SLAB_ALIGN	16U /* of all objects, in bytes */
#define SLAB_MAX	2048U
#define SLAB_CANARY	8U
#define SLAB_CLASSES	23U
#define SLAB_STEPS	4U /* lists of a class, by how many objects are free */

/* One more than the highest pfn whose slots a magazine can name: 2 TiB. */
#define SLAB_MAX_PFN (MAGAZINE_MAX_PFN >> SLAB_SLOT_SHIFT)

/* slab.state; changed under the class's lock, read without it. */
enum slab_state {
	SLAB_NONE,	  /* the page is no slab */
	SLAB_FULL,	  /* on no list: no object is free */
	SLAB_LISTED,	  /* on a list of its class */
	SLAB_ACTIVE,	  /* some CPU's */
	SLAB_QUARANTINED, /* found broken */
};

/**
 * struct slab - a page of objects of one class
 * @words:	1 = free, and in no magazine
 * @list:	on a list of its class, under its lock
 * @pfn:	the page
 * @state:	enum slab_state
 * @class:	index of its class
 * @step:	which list @list is on
 * @used:	1 = in the hands of a client
 */
struct slab {
	atomic_long_t words[SLAB_WORDS];
	struct list_head list;
	unsigned long pfn;
	u8 state;
	u8 class;
	u8 step;
	u8 used[SLAB_SLOTS];
} ____cacheline_aligned;

enum slab_magazine { SLAB_LOADED, SLAB_FREED, NR_SLAB_MAGAZINES };

struct slab_cpu {
	u64 magazine[NR_SLAB_MAGAZINES];
	struct slab *active;
};

/**
 * struct slab_class - objects of one size
 * @size:	bytes from one object to the next
 * @nr:		objects of a page
 * @inverse:	1 / @size, in units of 1 / 2^20, rounded up
 * @index:	of this class
 * @cpu:	magazines
 * @lock:	of the lists and of what is on them
 * @lists:	by quarters of the objects that are free
 * @spare:	a slab on a list that may be wholly free, and is kept so
 * @nr_slabs:	pages of this class
 */
struct slab_class {
	u32 size;
	u32 nr;
	u32 inverse;
	u8 index;
	struct slab_cpu __percpu *cpu;

	spinlock_t lock ____cacheline_aligned;
	struct list_head lists[SLAB_STEPS];
	struct slab *spare;
	atomic_long_t nr_slabs;
};

/**
 * struct slab_ops - where pages come from
 * @get:	one zeroed page, mapped.  Return: 0 with *@pfn set, or a negative
 *		errno.  May sleep.
 * @put:	give one back; its objects are zero, its canaries are not.  Any
 *		context.
 */
struct slab_ops {
	int (*get)(void *host, unsigned long *pfn);
	void (*put)(void *host, unsigned long pfn);
};

/**
 * struct slabs - all classes
 * @base:	where a page with pfn 0 would be mapped
 * @secret:	what canaries are made of; 0: there are none
 * @nr_pfns:	one more than the highest pfn that get() returns
 * @blocks:	by pfn >> BLOCK_ORDER: descriptors of its pages, NULL until the
 *		first of them is a slab; then they live as long as this
 * @class_of:	by size in units of SLAB_ALIGN
 */
struct slabs {
	char *base;
	u64 secret;
	unsigned long nr_pfns;
	struct slab **blocks;
	const struct slab_ops *ops;
	void *host;
	u8 class_of[SLAB_MAX / SLAB_ALIGN + 1];
	struct slab_class classes[SLAB_CLASSES];
};

/**
 * slabs_init - no objects yet
 * @secret:	for canaries; 0 is none
 *
 * Return: 0; -ENOMEM; -E2BIG for more than SLAB_MAX_PFN pfns.  May sleep.
 */
int slabs_init(struct slabs *s, const struct slab_ops *ops, void *host, void *base,
	       unsigned long nr_pfns, u64 secret);

/* All objects must have been freed, and slabs_shrink() called.  May sleep. */
void slabs_destroy(struct slabs *s);

/**
 * slabs_alloc - an object of at least @size bytes, zeroed
 * @size:	0 to slabs_max(); 0 counts as 1
 *
 * Return: the object, aligned to SLAB_ALIGN, and to its size where that is a power
 * of two and there are no canaries; NULL when get() fails.  May sleep.
 */
static __always_inline void *slabs_alloc(struct slabs *s, size_t size);

/**
 * slabs_free - wipe an object and take it back
 *
 * Return: 0; -ENOENT: not in a page of objects; -EINVAL: in one, but not the start
 * of an object; -EEXIST: not in use, most likely freed before; -EOVERFLOW: its
 * canary is gone.  On an error nothing is changed.  Any context.
 */
static __always_inline int slabs_free(struct slabs *s, void *object);

/* Bytes of an object that its client may use; 0 if there is no such object. */
size_t slabs_usable(const struct slabs *s, const void *object);

/* The most that slabs_alloc() takes, in bytes. */
static inline size_t slabs_max(const struct slabs *s)
{
	return SLAB_MAX - (s->secret ? SLAB_CANARY : 0);
}

/* Give the pages back that are kept though no object is in use.  Any context. */
void slabs_shrink(struct slabs *s);

/* Empty the magazines of the CPU this runs on; or of one that is offline. */
void slabs_drain_cpu(struct slabs *s);
void slabs_drain_dead_cpu(struct slabs *s, unsigned int cpu);

/**
 * struct slab_report - taken without stopping anybody
 * @pages:	of all classes
 * @objects:	in use
 * @bytes:	of these, as slabs_usable() counts
 * @metadata:	bytes of descriptors
 */
struct slab_report {
	unsigned long pages;
	unsigned long objects;
	unsigned long bytes;
	unsigned long metadata;
};

void slabs_report(const struct slabs *s, struct slab_report *r);

/**
 * slabs_validate - check every structure against every other
 *
 * Context: nothing else may use them meanwhile.
 * Return: NULL, or what is wrong.
 */
const char *slabs_validate(const struct slabs *s);

/* --- the usual cases, inline ---------------------------------------------- */

void *slabs_alloc_slow(struct slabs *s, struct slab_class *c);
void slabs_gather(struct slabs *s, struct slab_class *c, unsigned long slot);

/* The descriptor of a page; NULL if there is none. */
static __always_inline struct slab *slab_of(const struct slabs *s, unsigned long pfn)
{
	struct slab *block;

	if (unlikely(pfn >= s->nr_pfns))
		return NULL;
	block = smp_load_acquire(&s->blocks[pfn >> BLOCK_ORDER]); /* filled in */
	return likely(block) ? &block[pfn % BLOCK_PAGES] : NULL;
}

/* Which object of the class starts at an offset in its page; any if none does. */
static inline unsigned int slab_index(const struct slab_class *c, unsigned int offset)
{
	return offset * c->inverse >> 20;
}

static inline u64 slab_canary(const struct slabs *s, const void *at)
{
	return s->secret ^ (u64)(uintptr_t)at * 0x9e3779b97f4a7c15ULL;
}

static inline u64 *slab_canary_at(const struct slab_class *c, void *object)
{
	return (u64 *)((char *)object + c->size - SLAB_CANARY);
}

/* An object in a magazine becomes the client's. */
static __always_inline void *slab_hand_out(struct slabs *s, struct slab_class *c,
					   unsigned long slot)
{
	unsigned long pfn = slot >> SLAB_SLOT_SHIFT;
	unsigned int index = slot % SLAB_SLOTS;

	WRITE_ONCE(slab_of(s, pfn)->used[index], 1);
	return s->base + (pfn << PAGE_SHIFT) + index * c->size;
}

static __always_inline bool slab_pop(struct slab_class *c, enum slab_magazine kind,
				     unsigned long *slot)
{
	u64 was, m = this_cpu_read(c->cpu->magazine[kind]);

	while (likely(magazine_pages(m))) {
		was = this_cpu_cmpxchg(c->cpu->magazine[kind], m, m & (m - 1));
		if (likely(was == m)) {
			*slot = magazine_pfn(m) + __ffs(magazine_pages(m));
			return true;
		}
		m = was;
	}
	return false;
}

static __always_inline bool slab_push(struct slab_class *c, enum slab_magazine kind,
				      unsigned long slot)
{
	u64 was, m = this_cpu_read(c->cpu->magazine[kind]);

	while (magazine_covers(m, slot)) {
		was = this_cpu_cmpxchg(c->cpu->magazine[kind], m, m | magazine_bit(slot));
		if (likely(was == m))
			return true;
		m = was;
	}
	return false;
}

static __always_inline void *slabs_alloc(struct slabs *s, size_t size)
{
	struct slab_class *c;
	unsigned long slot;

	size += s->secret ? SLAB_CANARY : 0;
	c = &s->classes[s->class_of[(size + SLAB_ALIGN - 1) / SLAB_ALIGN]];
	if (likely(slab_pop(c, SLAB_LOADED, &slot) || slab_pop(c, SLAB_FREED, &slot)))
		return slab_hand_out(s, c, slot);
	return slabs_alloc_slow(s, c);
}

static __always_inline int slabs_free(struct slabs *s, void *object)
{
	unsigned long offset = (unsigned long)((char *)object - s->base);
	unsigned long pfn = offset >> PAGE_SHIFT;
	struct slab *slab = slab_of(s, pfn);
	unsigned int index, bytes;
	struct slab_class *c;
	unsigned long slot;

	/* As used[] is written before the object is handed out, so is the rest. */
	if (unlikely(!slab || READ_ONCE(slab->state) == SLAB_NONE))
		return -ENOENT;
	c = &s->classes[slab->class];
	offset %= PAGE_SIZE;
	index = slab_index(c, (unsigned int)offset);
	if (unlikely(index * c->size != offset || index >= c->nr))
		return -EINVAL;
	if (unlikely(!READ_ONCE(slab->used[index])))
		return -EEXIST;
	bytes = c->size;
	if (s->secret) {
		if (unlikely(*slab_canary_at(c, object) !=
			     slab_canary(s, slab_canary_at(c, object))))
			return -EOVERFLOW;
		bytes -= SLAB_CANARY;
	}
	memset(object, 0, bytes);
	WRITE_ONCE(slab->used[index], 0);
	slot = pfn << SLAB_SLOT_SHIFT | index;
	if (!slab_push(c, SLAB_LOADED, slot) && !slab_push(c, SLAB_FREED, slot))
		slabs_gather(s, c, slot);
	return 0;
}

#endif /* UM_SLAB_H */
