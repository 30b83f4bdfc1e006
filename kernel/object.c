// SPDX-License-Identifier: GPL-2.0
/*
 * The memory behind one open file: a sparse array of unmapped pages.
 *
 * What an object may come to hold is charged to RLIMIT_MEMLOCK when a size is
 * set or mapped, so that a limit shows as an error there and not as a signal at
 * a touch.  CAP_IPC_LOCK exempts, as for mlock(2).  Pages are never taken out of
 * an object while it lives: mappings need not be told of anything.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/unmapped.h>

#include "object.h"

struct object *object_create(int node, gfp_t gfp)
{
	struct object *obj = kzalloc(sizeof(*obj), GFP_KERNEL_ACCOUNT);

	if (!obj)
		return NULL;
	xa_init_flags(&obj->pages, XA_FLAGS_ACCOUNT);
	mutex_init(&obj->lock);
	obj->user = get_uid(current_user());
	obj->node = node;
	obj->gfp = gfp;
	return obj;
}

void object_destroy(struct object *obj)
{
	unsigned long index;
	struct page *page;

	xa_for_each(&obj->pages, index, page) {
		unmapped_pages_free(page, 0);
		cond_resched();
	}
	xa_destroy(&obj->pages);
	atomic_long_sub(obj->charged, &obj->user->locked_vm);
	free_uid(obj->user);
	kfree(obj);
}

static int charge(struct object *obj, unsigned long nr)
{
	unsigned long limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;
	long old = atomic_long_read(&obj->user->locked_vm);

	if (capable(CAP_IPC_LOCK))
		return 0;
	do {
		if (nr > limit || (unsigned long)old > limit - nr)
			return -EAGAIN;
	} while (!atomic_long_try_cmpxchg(&obj->user->locked_vm, &old, old + nr));
	obj->charged += nr;
	return 0;
}

int object_resize(struct object *obj, unsigned long nr)
{
	int err = 0;

	mutex_lock(&obj->lock);
	if (nr > obj->nr)
		err = charge(obj, nr - obj->nr);
	if (!err && nr > obj->nr)
		WRITE_ONCE(obj->nr, nr);
	mutex_unlock(&obj->lock);
	return err;
}

struct page *object_page(struct object *obj, unsigned long index)
{
	struct page *page, *there;

	if (index >= READ_ONCE(obj->nr))
		return NULL;
	page = xa_load(&obj->pages, index);
	if (page)
		return page;

	page = unmapped_pages_alloc_node(
		obj->node, GFP_KERNEL | __GFP_ZERO | __GFP_NOWARN | obj->gfp, 0);
	if (!page)
		return ERR_PTR(-ENOMEM);
	there = xa_cmpxchg(&obj->pages, index, NULL, page, GFP_KERNEL);
	if (likely(!there))
		return page;
	unmapped_pages_free(page, 0);
	return xa_is_err(there) ? ERR_PTR(xa_err(there)) : there;
}
