// SPDX-License-Identifier: GPL-2.0
/*
 * What KVM itself reads and writes of its guests' memory.
 *
 * Mostly it does so through the mapping of the process that runs the guest, which
 * works here too.  But some of it is reached by kmap(), which is the direct map: the
 * clock of kvm-clock and Xen's pages (gfn_to_pfn_cache), and what a guest keeps
 * for guests of its own (kvm_vcpu_map()).  For a page that is not in the direct map
 * that is the end of the host, and it is the guest that decides about it, by a
 * write to an MSR.  So for a process that has unmapped memory mapped these
 * functions fail, as they may anyway: a guest then has no such clock, and no
 * nested guests.
 *
 * Kprobes at their entry send them to a function that fails.  KVM is a module: the probes come and go with it.
 */
#define pr_fmt(fmt) "unmapped: " fmt

#include <linux/errno.h>
#include <linux/hashtable.h>
#include <linux/kprobes.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/ratelimit.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "kvm.h"

/* --- who has unmapped memory mapped ---------------------------------------- */

struct mapper {
	struct hlist_node node;
	const struct mm_struct *mm;
	unsigned long mappings;
};

static DEFINE_HASHTABLE(mappers, 8);
static DEFINE_SPINLOCK(lock);

static struct mapper *find(const struct mm_struct *mm)
{
	struct mapper *u;

	hash_for_each_possible(mappers, u, node, (unsigned long)mm)
		if (u->mm == mm)
			return u;
	return NULL;
}

void kvm_guard_mapped(struct mm_struct *mm)
{
	/* A fork can't be told that its mapping has failed. */
	struct mapper *fresh = kzalloc(sizeof(*fresh), GFP_KERNEL | __GFP_NOFAIL);
	struct mapper *u;

	spin_lock(&lock);
	u = find(mm);
	if (!u) {
		u = fresh;
		u->mm = mm;
		hash_add(mappers, &u->node, (unsigned long)mm);
		fresh = NULL;
	}
	u->mappings++;
	spin_unlock(&lock);
	kfree(fresh);
}

void kvm_guard_unmapped(struct mm_struct *mm)
{
	struct mapper *u;

	spin_lock(&lock);
	u = find(mm);
	if (u && !--u->mappings)
		hash_del(&u->node);
	else
		u = NULL;
	spin_unlock(&lock);
	kfree(u);
}

/* --- the probes ------------------------------------------------------------ */

static noinline int refuse(void)
{
	return -EFAULT;
}

static int entered(struct kprobe *kp, struct pt_regs *regs)
{
	static DEFINE_RATELIMIT_STATE(limit, DEFAULT_RATELIMIT_INTERVAL, 1);
	bool guarded;

	/* All of them may sleep, so nobody here has the lock. */
	spin_lock(&lock);
	guarded = current->mm && find(current->mm);
	spin_unlock(&lock);
	if (!guarded)
		return 0;
	if (__ratelimit(&limit))
		pr_warn("%s[%d]: %s() of memory that is not in the direct map: refused; its guest is to have neither kvm-clock nor nested guests\n",
			current->comm, task_pid_nr(current), kp->symbol_name);
	instruction_pointer_set(regs, (unsigned long)refuse);
	return 1;
}
NOKPROBE_SYMBOL(entered);

/* By the names of all kernels: each has some of them. */
static struct kprobe probes[] = {
	{ .symbol_name = "kvm_gpc_activate", .pre_handler = entered },
	{ .symbol_name = "kvm_gpc_activate_hva", .pre_handler = entered },
	{ .symbol_name = "kvm_gpc_refresh", .pre_handler = entered },
	{ .symbol_name = "kvm_gfn_to_pfn_cache_refresh", .pre_handler = entered },
	{ .symbol_name = "kvm_vcpu_map", .pre_handler = entered },
	{ .symbol_name = "__kvm_vcpu_map", .pre_handler = entered },
};

#define NR_CLOCK 4 /* of these, for gfn_to_pfn_cache */

static bool armed[ARRAY_SIZE(probes)];
static DEFINE_MUTEX(arming);

static void disarm(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(probes); i++) {
		if (!armed[i])
			continue;
		unregister_kprobe(&probes[i]);
		armed[i] = false;
		/* As it was: registration wrote to it. */
		probes[i].addr = NULL;
		probes[i].flags = 0;
	}
}

/* Return: 0, or -ENOENT when KVM is there and one of its two ways is not known. */
static int arm(void)
{
	bool clock = false, nested = false;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(probes); i++) {
		if (!armed[i])
			armed[i] = !register_kprobe(&probes[i]);
		*(i < NR_CLOCK ? &clock : &nested) |= armed[i];
	}
	return clock && nested ? 0 : -ENOENT;
}

static int module_event(struct notifier_block *nb, unsigned long event, void *data)
{
	const struct module *mod = data;

	if (strcmp(mod->name, "kvm"))
		return NOTIFY_DONE;
	mutex_lock(&arming);
	/* Before its init, so before anybody has a machine. */
	if (event == MODULE_STATE_COMING && arm())
		pr_err("this KVM is not known: a guest on unmapped memory can end this host by kvm-clock or nested guests\n");
	else if (event == MODULE_STATE_GOING)
		disarm();
	mutex_unlock(&arming);
	return NOTIFY_DONE;
}

/* After that of kprobes, which has to know of the module first. */
static struct notifier_block module_notifier = {
	.notifier_call = module_event,
	.priority = -1,
};

int kvm_guard_init(void)
{
	int err = register_module_notifier(&module_notifier);

	if (err)
		return err;
	mutex_lock(&arming);
	arm(); /* it is there, or it comes later */
	mutex_unlock(&arming);
	return 0;
}

void kvm_guard_exit(void)
{
	unregister_module_notifier(&module_notifier);
	disarm();
}
