// SPDX-License-Identifier: GPL-2.0
/*
 * Who holds unmapped memory: a list of all objects, with who made them.  What
 * is allocated and is no object's is some kernel caller's, and known only in sum.
 *
 * Flags: g made by open(2), and grows; t takes pages of one node only; n maps
 * no 2 MiB entries; w is wiped for hibernation; z is not zeroed as it is freed.
 */
#define pr_fmt(fmt) "unmapped: " fmt

#include <linux/cred.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/wait.h>

#include "heal.h"
#include "holders.h"
#include "host.h"
#include "object.h"

static LIST_HEAD(holders);
static DEFINE_MUTEX(lock);
static DECLARE_WAIT_QUEUE_HEAD(idle);

void holder_add(struct holder *h)
{
	h->pid = task_tgid_nr(current);
	get_task_comm(h->comm, current->group_leader);
	mutex_lock(&lock);
	list_add_tail(&h->list, &holders);
	mutex_unlock(&lock);
}

void holder_del(struct holder *h)
{
	mutex_lock(&lock);
	while (h->busy) {
		mutex_unlock(&lock);
		wait_event(idle, !READ_ONCE(h->busy));
		mutex_lock(&lock);
	}
	list_del(&h->list);
	mutex_unlock(&lock);
}

static struct object *object_of(struct holder *h)
{
	return container_of(h, struct object, holder);
}

/* Pages that are allocated, but no object's. */
static unsigned long kernel_pages(void)
{
	unsigned long pages = host_pages_allocated();
	struct holder *h;

	list_for_each_entry(h, &holders, list)
		pages -= min(pages, (unsigned long)atomic_long_read(&h->pages));
	return pages;
}

/* --- hibernation ----------------------------------------------------------- */

/* How many are named before the rest is summed up. */
#define MAX_NAMED 20U

static bool survives(struct holder *h)
{
	return !object_of(h)->wipe && atomic_long_read(&h->pages);
}

bool holders_must_survive(void)
{
	unsigned long pages, kernel, more = 0;
	unsigned int named = 0;
	struct holder *h;

	mutex_lock(&lock);
	kernel = kernel_pages();
	pages = kernel;
	list_for_each_entry(h, &holders, list)
		if (survives(h))
			pages += (unsigned long)atomic_long_read(&h->pages);
	if (pages)
		pr_err("hibernation refused: %lu pages of unmapped memory are in use, by\n",
		       pages);
	list_for_each_entry(h, &holders, list) {
		if (!survives(h))
			continue;
		if (named++ < MAX_NAMED)
			pr_err("  %*pE, pid %d, uid %u: %ld pages\n",
			       (int)strlen(h->comm), h->comm, h->pid,
			       from_kuid_munged(&init_user_ns, object_of(h)->user->uid),
			       atomic_long_read(&h->pages));
		else
			more += (unsigned long)atomic_long_read(&h->pages);
	}
	if (more)
		pr_err("  %u other objects: %lu pages\n", named - MAX_NAMED, more);
	if (kernel)
		pr_err("  the kernel: %lu pages\n", kernel);
	mutex_unlock(&lock);
	return pages;
}

void holders_wipe(void)
{
	struct holder *h;

	mutex_lock(&lock);
	list_for_each_entry(h, &holders, list)
		if (object_of(h)->wipe && atomic_long_read(&h->pages))
			object_wipe(object_of(h));
	mutex_unlock(&lock);
}

/* --- moving ---------------------------------------------------------------- */

/*
 * Each object in turn, without the lock, so that others can come and go
 * meanwhile; the one at hand stays, and with it its place in the list.
 */
static unsigned long call_for_each(unsigned long (*fn)(struct object *, struct spare *),
				   struct spare *s, bool first)
{
	unsigned long n, sum = 0;
	struct holder *h;

	mutex_lock(&lock);
	list_for_each_entry(h, &holders, list) {
		if (!atomic_long_read(&h->pages))
			continue;
		WRITE_ONCE(h->busy, true);
		mutex_unlock(&lock);
		n = fn(object_of(h), s);
		mutex_lock(&lock);
		WRITE_ONCE(h->busy, false);
		wake_up_all(&idle);
		sum += n;
		if (n && first)
			break;
	}
	mutex_unlock(&lock);
	return sum;
}

bool holders_in_pieces(struct spare *s)
{
	return call_for_each(object_in_pieces, s, true);
}

unsigned long holders_move(struct spare *s)
{
	return call_for_each(object_move, s, false);
}

/* --- debugfs --------------------------------------------------------------- */

/* As ls does: a letter for each flag, or a dash. */
static void flags_of(const struct object *obj, char text[6])
{
	text[0] = obj->grows ? 'g' : '-';
	text[1] = obj->gfp & __GFP_THISNODE ? 't' : '-';
	text[2] = obj->nohuge ? 'n' : '-';
	text[3] = obj->wipe ? 'w' : '-';
	text[4] = obj->no_zero ? 'z' : '-';
	text[5] = 0;
}

static void show(struct seq_file *m, struct holder *h)
{
	struct object *obj = object_of(h);
	char flags[6];

	flags_of(obj, flags);
	seq_printf(m, "%7d %7u %10ld %14llu %-5s ", h->pid,
		   from_kuid_munged(&init_user_ns, obj->user->uid),
		   atomic_long_read(&h->pages), (u64)READ_ONCE(obj->nr) << PAGE_SHIFT,
		   flags);
	seq_escape(m, h->comm, "\n\\");
	seq_putc(m, '\n');
}

void holders_show(struct seq_file *m)
{
	struct holder *h;

	seq_printf(m, "%7s %7s %10s %14s %-5s %s\n", "pid", "uid", "pages", "bytes",
		   "flags", "comm");
	mutex_lock(&lock);
	list_for_each_entry(h, &holders, list)
		show(m, h);
	seq_printf(m, "%7s %7s %10lu %14s %-5s kernel\n", "-", "-", kernel_pages(), "-",
		   "-");
	mutex_unlock(&lock);
}
