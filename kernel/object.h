/* SPDX-License-Identifier: GPL-2.0 */
/* Objects: the memory behind one open file of /dev/unmapped; see object.c. */
#ifndef UNMAPPED_OBJECT_H
#define UNMAPPED_OBJECT_H

#include <linux/mm_types.h>
#include <linux/mutex.h>
#include <linux/sched/user.h>
#include <linux/xarray.h>

/**
 * struct object - secret memory, by page offset
 * @pages:	those that were touched
 * @lock:	of @nr and @charged
 * @nr:		size in pages; with @grows, the end of the farthest mapping
 * @grows:	has no size of its own: made by open(2)
 * @charged:	pages of @nr that count against the user's RLIMIT_MEMLOCK
 * @user:	who made it and is charged
 * @node:	node to take pages from, or NUMA_NO_NODE
 * @gfp:	__GFP_THISNODE or 0
 */
struct object {
	struct xarray pages;
	struct mutex lock;
	unsigned long nr;
	bool grows;
	unsigned long charged;
	struct user_struct *user;
	int node;
	gfp_t gfp;
};

/* Return: an empty object of the calling user, or NULL.  May sleep. */
struct object *object_create(int node, gfp_t gfp);

/* Zero and free all pages, and the charge.  Nothing maps it.  May sleep. */
void object_destroy(struct object *obj);

/**
 * object_resize - make the object at least @nr pages large
 *
 * Return: 0, or -EAGAIN when RLIMIT_MEMLOCK of its user would be exceeded, and
 * nothing was changed.  May sleep.
 */
int object_resize(struct object *obj, unsigned long nr);

/**
 * object_page - the page at an offset, allocated and zeroed at first touch
 *
 * Return: the page; NULL past the end; ERR_PTR(-ENOMEM).  May sleep.
 */
struct page *object_page(struct object *obj, unsigned long index);

#endif /* UNMAPPED_OBJECT_H */
