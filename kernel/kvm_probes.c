// SPDX-License-Identifier: GPL-2.0
/*
 * kvm.c's guard, in a kernel that knows nothing of it: kprobes at the entry of the
 * functions send them to one that fails.  KVM is a module: the probes come and go
 * with it.
 */
#define pr_fmt(fmt) "unmapped: " fmt

#include <linux/errno.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/string.h>

#include "kvm.h"

static noinline int refuse(void)
{
	return -EFAULT;
}

static int entered(struct kprobe *kp, struct pt_regs *regs)
{
	if (!kvm_guard_refuses(kp->symbol_name))
		return 0;
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

int kvm_probes_init(void)
{
	int err = register_module_notifier(&module_notifier);

	if (err)
		return err;
	mutex_lock(&arming);
	arm(); /* it is there, or it comes later */
	mutex_unlock(&arming);
	return 0;
}

void kvm_probes_exit(void)
{
	unregister_module_notifier(&module_notifier);
	disarm();
}
