// SPDX-License-Identifier: GPL-2.0
/*
 * Hibernation.  An image on disk must hold nothing of unmapped memory: objects
 * that were made for it are wiped, the cache is emptied, and whatever else is in
 * use is a reason to refuse, which the log names.  Suspend is no such thing:
 * memory stays where it is, absent.
 *
 * PM_HIBERNATION_PREPARE comes while all tasks still run; they are frozen only
 * after it.  So from then on to PM_POST_HIBERNATION no memory is to be had (the
 * host's get() fails), or what was just emptied would fill again:
 *
 *  - A touch of an object waits.  It must not fail, since the task did nothing
 *    wrong; and it can wait for the end, since a moment later its task is to be
 *    frozen anyway.  It waits as a fault for a page of a slow disk does, without
 *    mmap_lock, and in a state in which it can be frozen where it is.  Otherwise
 *    it would keep the freezer, or others who would then, from coming to an end.
 *  - Kernel callers get -ENOMEM.  They may be on behalf of a task that can't be
 *    frozen where it is, so to wait would be the end of the hibernation; and
 *    they have to be prepared for it anyway.  So does MAP_POPULATE.
 *
 * Wiping and touching exclude each other by the gate: between the lookup of a
 * page and the end of the fault that maps it, it is not freed.
 *
 * The last look is when interrupts are off and only one CPU is left, just before
 * memory is copied: whatever way there may be by which somebody has unmapped
 * memory then, there is no image.  The log says so; the error itself is lost in
 * create_image() of the kernels that we know.
 */
#define pr_fmt(fmt) "unmapped: " fmt

#include <linux/file.h>
#include <linux/freezer.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/notifier.h>
#include <linux/percpu-rwsem.h>
#include <linux/suspend.h>
#include <linux/wait.h>

#include "compat.h"
#include "holders.h"
#include "host.h"
#include "pm.h"

DEFINE_STATIC_PERCPU_RWSEM(gate);
static bool closed; /* changed under the gate */
static DECLARE_WAIT_QUEUE_HEAD(opened);

bool pm_closed(void)
{
	return READ_ONCE(closed);
}

bool pm_enter(void)
{
	percpu_down_read(&gate);
	if (likely(!closed))
		return true;
	percpu_up_read(&gate);
	return false;
}

void pm_enter_to_free(void)
{
	percpu_down_read(&gate);
}

void pm_leave(void)
{
	percpu_up_read(&gate);
}

vm_fault_t pm_wait_fault(struct vm_fault *vmf)
{
	struct file *file;

	/* Not one of a task that was at work in user space, or for it. */
	if (!(vmf->flags & FAULT_FLAG_ALLOW_RETRY))
		return VM_FAULT_SIGBUS;
	if (vmf->flags & FAULT_FLAG_RETRY_NOWAIT)
		return VM_FAULT_RETRY;
	/* Without the lock the mapping may go away, and with it this code. */
	file = get_file(vmf->vma->vm_file);
	release_fault_lock(vmf);
	wait_event_state(opened, !pm_closed(), (TASK_KILLABLE | TASK_FREEZABLE));
	fput(file);
	return VM_FAULT_RETRY;
}

static void set_closed(bool to)
{
	WRITE_ONCE(closed, to);
	if (!to)
		wake_up_all(&opened);
}

/* Without touches that have a page which is not their object's yet. */
static bool is_refused(void)
{
	bool refused;

	percpu_down_write(&gate);
	refused = holders_must_survive();
	percpu_up_write(&gate);
	return refused;
}

static int prepare(void)
{
	unsigned long left;
	int err = 0;

	/* As long as nothing is closed, who is the reason does not notice. */
	if (is_refused())
		return -EBUSY;
	percpu_down_write(&gate);
	set_closed(true);
	if (holders_must_survive()) {
		err = -EBUSY;
	} else {
		holders_wipe();
		/*
		 * A refill that got its memory just before is over when the
		 * first has had its lock, so the second finds what it left.
		 */
		host_shrink(ULONG_MAX);
		host_shrink(ULONG_MAX);
		left = host_pages_owned();
		if (left) {
			pr_err("hibernation refused: %lu pages can't be given back now\n",
			       left);
			err = -EBUSY;
		}
	}
	if (err)
		set_closed(false);
	percpu_up_write(&gate);
	return err;
}

static void post(void)
{
	percpu_down_write(&gate);
	set_closed(false);
	percpu_up_write(&gate);
}

static int power_event(struct notifier_block *nb, unsigned long event, void *unused)
{
	switch (event) {
	case PM_HIBERNATION_PREPARE:
		return notifier_from_errno(prepare());
	case PM_POST_HIBERNATION:
		post();
		return NOTIFY_OK;
	}
	return NOTIFY_DONE;
}

static struct notifier_block power_notifier = {
	.notifier_call = power_event,
};

/* Of suspends too, but there nothing is closed. */
static int last_look(void)
{
	unsigned long pages;

	if (!pm_closed())
		return 0;
	pages = host_pages_owned();
	if (!pages)
		return 0;
	pr_err("no hibernation image: %lu pages are unmapped\n", pages);
	return -EBUSY;
}

COMPAT_SYSCORE(last, last_look);

/*
 * One that is under way has given its notice already: wait for its end.  Of a
 * program that has /dev/snapshot open we can't know.
 */
int unmapped_pm_init(void)
{
	unsigned int flags = lock_system_sleep();
	int err = register_pm_notifier(&power_notifier);

	unlock_system_sleep(flags);
	if (!err)
		register_syscore(&last);
	return err;
}

void unmapped_pm_exit(void)
{
	unregister_syscore(&last);
	unregister_pm_notifier(&power_notifier);
}
