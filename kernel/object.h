/* SPDX-License-Identifier: GPL-2.0 */
/* Objects: the memory behind one open file of /dev/unmapped; see object.c. */
#ifndef UNMAPPED_OBJECT_H
#define UNMAPPED_OBJECT_H

#include <linux/fs.h>
#include <linux/list.h>
#include <linux/mm_types.h>
#include <linux/mutex.h>
#include <linux/sched/user.h>
#include <linux/spinlock.h>
#include <linux/xarray.h>

#include "holders.h"

/**
 * struct object - secret memory, by page offset
 * @pages:	what was touched: pages, and blocks at naturally aligned offsets
 * @next:	where a touch in sequence would go on
 * @lock:	of @nr and @charged; held while a mapping is populated
 * @nr:		size in pages; with @grows, the end of the farthest mapping
 * @inode:	its address space knows all mappings of the object
 * @no_zero:	its blocks are not zeroed as they are freed
 * @wipe:	what it holds is dropped for hibernation
 * @wipes:	how often that was done; changed under the gate of pm.c
 * @grows:	has no size of its own: made by open(2)
 * @nohuge:	user mappings have 4 KiB entries only
 * @charged:	pages of @nr that count against the user's RLIMIT_MEMLOCK
 * @user:	who made it and is charged
 * @notes:	of who is about to populate a mapping: see device.c
 * @notes_lock:	of these; nothing is taken under it
 * @node:	node to take pages from, or NUMA_NO_NODE
 * @gfp:	__GFP_THISNODE or 0
 * @holder:	who made it, and how many pages it has
 */
struct mempolicy;
struct spare;

struct object {
	struct xarray pages;
	unsigned long next;
	struct mutex lock;
	unsigned long nr;
	bool grows;
	bool nohuge;
	bool no_zero;
	bool wipe;
	u64 wipes;
	struct inode *inode;
	unsigned long charged;
	struct user_struct *user;
	struct list_head notes;
	spinlock_t notes_lock;
	int node;
	gfp_t gfp;
	struct holder holder;
};

/* Return: 0 or a negative errno.  May sleep. */
int objects_init(void);
void objects_exit(void);

/*
 * Return: an empty object of the calling user, or NULL.  Files of it get the
 * address space of its inode.  May sleep.
 */
struct object *object_create(int node, gfp_t gfp);

/* Zero and free all pages, and the charge.  Nothing maps it.  May sleep. */
void object_destroy(struct object *obj);

/*
 * Zero and free all pages while it lives: mappings read as zero from now on.
 * The gate of pm.c is held.  May sleep.
 */
void object_wipe(struct object *obj);

/**
 * object_extend - make the object at least @end pages large
 * @first:	allocate the pages from here to @end now; @end for none
 *
 * Return: 0; -EAGAIN when RLIMIT_MEMLOCK of its user would be exceeded; -ENOMEM
 * when there is no memory; -EINTR when the task is killed.  After an error the object
 * is as it was, but for what somebody else touched meanwhile.  May sleep.
 */
int object_extend(struct object *obj, unsigned long first, unsigned long end);

/**
 * object_page - the page at an offset, allocated and zeroed at first touch
 * @policy:	of the mapping it is touched through; NULL for the task's
 * @block:	receives whether it is one of a whole block
 *
 * An aligned part of 2 MiB within the object is a block, or it is pages, and
 * stays what it is once one of its pages was touched.
 *
 * Return: the page; NULL past the end; ERR_PTR(-ENOMEM).  May sleep.
 */
struct page *object_page(struct object *obj, unsigned long index,
			 const struct mempolicy *policy, bool *block);

/*
 * The same if it is there already, else NULL; NULL also while it is being moved.
 * Any context.  What was found with the lock of a page table held, and entered into
 * that, is taken out again before it is moved.
 */
struct page *object_lookup(struct object *obj, unsigned long index, bool *block);

/*
 * Whether the object has pages that @s wants; and to move them to pages of @s while
 * they are mapped: a touch waits meanwhile.  Return of that: how many were moved.
 * The gate of pm.c is held, shared, and the object stays.  May sleep.
 */
unsigned long object_in_pieces(struct object *obj, struct spare *s);
unsigned long object_move(struct object *obj, struct spare *s);

#endif /* UNMAPPED_OBJECT_H */
