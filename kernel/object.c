// SPDX-License-Identifier: GPL-2.0
/*
 * The memory behind one open file: a sparse array of unmapped pages and blocks.
 *
 * An aligned part of 2 MiB that lies within the object is a whole block from
 * its first touch on, if there is one to be had; anything else is single pages,
 * each allocated at its own first touch.
 *
 * What an object may come to hold is charged to RLIMIT_MEMLOCK when a size is
 * set or mapped, so that a limit shows as an error there and not as a signal at
 * a touch.  CAP_IPC_LOCK exempts, as for mlock(2).  Pages are taken out of an
 * object that lives only when it is wiped (pm.c) or they move (heal.c), and then
 * its mappings are emptied first.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/mount.h>
#include <linux/pseudo_fs.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/unmapped.h>
#include <linux/wait.h>

#include "free_later.h"
#include "heal.h"
#include "host.h"
#include "map_local.h"
#include "memcg.h"
#include "nodes.h"
#include "object.h"
#include "pm.h"

#define FS_MAGIC 0x756e6d70 /* "unmp" */

/* The most that a touch in sequence has taken from the system: one batch. */
#define AHEAD (32UL * BLOCK_PAGES)

/* Pages have been moved. */
static DECLARE_WAIT_QUEUE_HEAD(moved);

/* Inodes of a file system of their own, as drivers have for this purpose. */
static struct vfsmount *mount;

static int init_fs_context(struct fs_context *fc)
{
	return init_pseudo(fc, FS_MAGIC) ? 0 : -ENOMEM;
}

/* No owner: the mount is our own and must not keep this code. */
static struct file_system_type fs_type = {
	.name = "unmapped",
	.init_fs_context = init_fs_context,
	.kill_sb = kill_anon_super,
};

int objects_init(void)
{
	mount = kern_mount(&fs_type);
	return PTR_ERR_OR_ZERO(mount);
}

struct object *object_create(int node, gfp_t gfp)
{
	struct object *obj = kzalloc(sizeof(*obj), GFP_KERNEL_ACCOUNT);

	if (!obj)
		return NULL;
	obj->inode = alloc_anon_inode(mount->mnt_sb);
	if (IS_ERR(obj->inode)) {
		kfree(obj);
		return NULL;
	}
	xa_init_flags(&obj->pages, XA_FLAGS_ACCOUNT);
	mutex_init(&obj->lock);
	INIT_LIST_HEAD(&obj->notes);
	spin_lock_init(&obj->notes_lock);
	obj->user = get_uid(current_user());
	obj->node = node;
	obj->gfp = gfp;
	holder_add(&obj->holder);
	return obj;
}

/* --- what an array holds --------------------------------------------------- */

/* Tags: of a block, with its first page; and of a page that is being moved. */
#define BLOCK  1
#define MOVING 3

static void *make_entry(struct page *page, unsigned int order)
{
	return xa_tag_pointer(page, order ? BLOCK : 0);
}

static bool is_moving(void *entry)
{
	return entry && xa_pointer_tag(entry) == MOVING;
}

static struct page *entry_page(void *entry)
{
	return xa_untag_pointer(entry);
}

static unsigned int entry_order(void *entry)
{
	return xa_pointer_tag(entry) == BLOCK ? BLOCK_ORDER : 0;
}

/*
 * Nodes are charged too, and a cgroup over its limit must not kill for them.
 * Return: 0; -EEXIST when any of the range is there already; -ENOMEM.
 */
static int store(struct xarray *to, unsigned long index, void *entry)
{
	XA_STATE_ORDER(xas, to, index, entry_order(entry));

	do {
		xas_lock(&xas);
		if (xas_find_conflict(&xas))
			xas_set_err(&xas, -EEXIST);
		else
			xas_store(&xas, entry);
		xas_unlock(&xas);
	} while (xas_nomem(&xas, GFP_KERNEL | __GFP_RETRY_MAYFAIL));
	return xas_error(&xas);
}

/* --- freeing --------------------------------------------------------------- */

static void free_all(struct object *obj, struct xarray *pages)
{
	unsigned long index;
	void *entry;

	xa_for_each(pages, index, entry) {
		free_now_or_later(entry_page(entry), entry_order(entry));
		atomic_long_sub(1L << entry_order(entry), &obj->holder.pages);
		cond_resched();
	}
	xa_destroy(pages);
}

void objects_exit(void)
{
	/* No object is left, but perhaps pages of some. */
	free_later_exit();
	kern_unmount(mount);
}

static bool is_there(struct xarray *pages, unsigned long index, bool *block)
{
	void *entry = xa_load(pages, index);

	*block = entry && entry_order(entry);
	return entry;
}

static struct page *lookup(struct xarray *pages, unsigned long index, bool *block)
{
	void *entry = xa_load(pages, index);

	if (!entry || is_moving(entry))
		return NULL;
	*block = entry_order(entry);
	return entry_page(entry) + (*block ? index % BLOCK_PAGES : 0);
}

struct page *object_lookup(struct object *obj, unsigned long index, bool *block)
{
	return lookup(&obj->pages, index, block);
}

/* --- allocation ------------------------------------------------------------ */

static bool is_empty(struct xarray *pages, unsigned long first, unsigned long nr)
{
	return !xa_find(pages, &first, first + nr - 1, XA_PRESENT);
}

/*
 * Allocate the page at @index of an object of @nr pages, or the block around
 * it, into an array that is the object's own or becomes part of it later.
 */
static int fill(struct object *obj, struct xarray *to, unsigned long index,
		unsigned long nr, unsigned long want, const struct mempolicy *policy)
{
	gfp_t gfp = GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_NOWARN | obj->gfp;
	unsigned long first = round_down(index, BLOCK_PAGES);
	unsigned int order = BLOCK_ORDER;
	struct page *page = NULL;
	struct nodes nodes;
	int err;

	nodes_of_task(&nodes, obj->node, policy, index);
	if (first + BLOCK_PAGES <= nr && is_empty(&obj->pages, first, BLOCK_PAGES) &&
	    is_empty(to, first, BLOCK_PAGES))
		page = unmapped_pages_alloc_nodes(
			nodes.first, &nodes.allowed, gfp | __GFP_NORETRY, order,
			max_t(unsigned long, want, BLOCK_PAGES));
	if (!page) {
		first = index;
		order = 0;
		page = unmapped_pages_alloc_nodes(nodes.first, &nodes.allowed, gfp, order,
						  want);
	}
	if (!page)
		return -ENOMEM;
	if (obj->no_zero && order)
		host_mark_dirty(page);
	err = store(to, first, make_entry(page, order));
	if (err)
		unmapped_pages_free(page, order);
	else
		atomic_long_add(1L << order, &obj->holder.pages);
	return err;
}

/* The first index behind what holds @index. */
static unsigned long behind(unsigned long index, bool block)
{
	return block ? round_up(index + 1, BLOCK_PAGES) : index + 1;
}

/* Until it is not being moved; not for long. */
static void wait_moved(struct object *obj, unsigned long index)
{
	if (unlikely(is_moving(xa_load(&obj->pages, index))))
		wait_event(moved, !is_moving(xa_load(&obj->pages, index)));
}

/*
 * Who goes on where the last touch ended, or begins with the start of the
 * object, is taken to go through all of it.
 */
struct page *object_page(struct object *obj, unsigned long index,
			 const struct mempolicy *policy, bool *block)
{
	unsigned long want, nr = READ_ONCE(obj->nr);
	struct page *page;
	int err;

	if (index >= nr)
		return NULL;
	wait_moved(obj, index);
	page = object_lookup(obj, index, block);
	if (page)
		return page;
	want = index == READ_ONCE(obj->next) ? min(nr - index, AHEAD) : 1;
	do {
		err = fill(obj, &obj->pages, index, nr, want, policy);
		if (err && err != -EEXIST)
			return ERR_PTR(err);
		wait_moved(obj, index);
		page = object_lookup(obj, index, block);
	} while (!page);
	WRITE_ONCE(obj->next, behind(index, *block));
	return page;
}

/* --- size ------------------------------------------------------------------ */

static int gather(struct object *obj, struct xarray *fresh, unsigned long index,
		  unsigned long end)
{
	unsigned long nr = max(obj->nr, end);
	bool block;
	int err;

	while (index < end) {
		if (is_there(&obj->pages, index, &block) ||
		    is_there(fresh, index, &block)) {
			index = behind(index, block);
			continue;
		}
		if (fatal_signal_pending(current))
			return -EINTR;
		err = fill(obj, fresh, index, nr, end - index, NULL);
		if (err)
			return err;
		cond_resched();
	}
	return 0;
}

/*
 * Return: 0; -ENOMEM; -EEXIST when a touch was faster somewhere.  *@any: some are in
 * the object now.
 */
static int publish(struct object *obj, struct xarray *fresh, bool *any)
{
	unsigned long index;
	int err, ret = 0;
	void *entry;

	xa_for_each(fresh, index, entry) {
		err = store(&obj->pages, index, entry);
		*any |= !err;
		if (!err)
			xa_erase(fresh, index);
		else if (err == -EEXIST)
			ret = err;
		else
			return err;
	}
	return ret;
}

/*
 * All of it is allocated before any of it is in the object, from where it can't
 * be taken back.
 */
static int populate(struct object *obj, unsigned long first, unsigned long end, bool *any)
{
	struct xarray fresh;
	int err;

	do {
		xa_init_flags(&fresh, XA_FLAGS_ACCOUNT);
		err = gather(obj, &fresh, first, end) ?: publish(obj, &fresh, any);
		free_all(obj, &fresh);
	} while (err == -EEXIST);
	return err;
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

static void uncharge(struct object *obj, unsigned long nr)
{
	atomic_long_sub(nr, &obj->user->locked_vm);
	obj->charged -= nr;
}

int object_extend(struct object *obj, unsigned long first, unsigned long end)
{
	unsigned long charged;
	bool any = false;
	int err = 0;

	if (mutex_lock_killable(&obj->lock))
		return -EINTR;
	charged = obj->charged;
	if (end > obj->nr)
		err = charge(obj, end - obj->nr);
	if (!err && first < end) {
		err = -ENOMEM;
		if (pm_enter()) {
			err = populate(obj, first, end, &any);
			pm_leave();
		}
	}
	/* What is in the object stays there, and is paid for. */
	if (err && !any)
		uncharge(obj, obj->charged - charged);
	else if (end > obj->nr)
		WRITE_ONCE(obj->nr, end);
	mutex_unlock(&obj->lock);
	return err;
}

/* --- moving ---------------------------------------------------------------- */

static bool is_wanted(const struct spare *s, void *entry)
{
	return !is_moving(entry) && !entry_order(entry) &&
	       spare_wants(s, entry_page(entry));
}

/* The first page from @index on that @s wants. */
static bool find_wanted(struct object *obj, const struct spare *s, unsigned long *index)
{
	unsigned long i, looked = 0;
	void *entry;

	xa_for_each_start(&obj->pages, i, entry, *index) {
		if (is_wanted(s, entry)) {
			*index = i;
			return true;
		}
		if (!(++looked % BLOCK_PAGES))
			cond_resched();
	}
	return false;
}

unsigned long object_in_pieces(struct object *obj, struct spare *s)
{
	unsigned long index = 0;

	return find_wanted(obj, s, &index);
}

static void copy(struct page *to, struct page *from)
{
	void *src = unmapped_map_local(from);
	void *dst = unmapped_map_local(to);

	copy_page(dst, src);
	unmapped_unmap_local(dst);
	unmapped_unmap_local(src);
}

/*
 * Of one part of 2 MiB, at most @max pages.  First all are marked: whoever looks
 * one up from then on finds none.  Then the mappings are emptied, which takes the
 * locks of the page tables: whoever had found one before has mapped it by then,
 * and lost it again.  Nobody but us reaches these pages now, unless somebody has
 * a reference: then it stays where it is.
 */
static unsigned long move_part(struct object *obj, struct spare *s, unsigned long first,
			       unsigned long max)
{
	unsigned long index, last = first + BLOCK_PAGES - 1, nr = 0, done = 0;
	struct page *old, *page;
	void *entry;

	xa_for_each_range(&obj->pages, index, entry, first, last) {
		if (nr == max || !is_wanted(s, entry))
			continue;
		old = entry_page(entry);
		xa_store(&obj->pages, index, xa_tag_pointer(old, MOVING), 0);
		nr++;
	}
	unmap_mapping_pages(obj->inode->i_mapping, first, BLOCK_PAGES, true);

	xa_for_each_range(&obj->pages, index, entry, first, last) {
		if (!is_moving(entry))
			continue;
		old = entry_page(entry);
		page = old;
		if (page_count(old) == 1) {
			page = spare_page(s);
			copy(page, old);
			memcg_move(page, old);
			done++;
		}
		xa_store(&obj->pages, index, make_entry(page, 0), 0);
		if (page != old)
			unmapped_pages_free(old, 0);
	}
	wake_up_all(&moved);
	return done;
}

unsigned long object_move(struct object *obj, struct spare *s)
{
	unsigned long n, done = 0, index = 0;
	unsigned int room;

	while (find_wanted(obj, s, &index)) {
		index = round_down(index, BLOCK_PAGES);
		room = spare_left(s);
		if (!room)
			break;
		n = move_part(obj, s, index, room);
		done += n;
		if (n < room)
			index += BLOCK_PAGES;
		cond_resched();
	}
	return done;
}

void object_wipe(struct object *obj)
{
	unmap_mapping_range(obj->inode->i_mapping, 0, 0, 1);
	free_all(obj, &obj->pages);
	WRITE_ONCE(obj->next, 0);
	WRITE_ONCE(obj->wipes, obj->wipes + 1);
}

void object_destroy(struct object *obj)
{
	pm_enter_to_free();
	holder_del(&obj->holder);
	free_all(obj, &obj->pages);
	pm_leave();
	iput(obj->inode);
	uncharge(obj, obj->charged);
	free_uid(obj->user);
	mutex_destroy(&obj->lock);
	kfree(obj);
}
