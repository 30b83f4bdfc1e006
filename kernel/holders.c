// SPDX-License-Identifier: GPL-2.0
/*
 * Who holds unmapped memory: a list of all objects, with who made them.  What
 * is allocated and is no object's is some kernel caller's, and known only in sum.
 *
 * Flags: g made by open(2), and grows; t takes pages of one node only; n maps
 * no 2 MiB entries.
 */
#include <linux/cred.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/seq_file.h>

#include "holders.h"
#include "host.h"
#include "object.h"

static LIST_HEAD(holders);
static DEFINE_MUTEX(lock);

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

/* As ls does: a letter for each flag, or a dash. */
static void flags_of(const struct object *obj, char text[4])
{
	text[0] = obj->grows ? 'g' : '-';
	text[1] = obj->gfp & __GFP_THISNODE ? 't' : '-';
	text[2] = obj->nohuge ? 'n' : '-';
	text[3] = 0;
}

static void show(struct seq_file *m, struct holder *h)
{
	struct object *obj = object_of(h);
	char flags[4];

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
