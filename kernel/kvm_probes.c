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
#include "kvm_probes.h"
#include "symbols.h"

static noinline int refuse(void)
{
	return -EFAULT;
}

static int entered(struct kprobe *kp, struct pt_regs *regs)
{
	if (!kvm_guard_refuses(kp->symbol_name, "kvm-clock and nested guests"))
		return 0;
	instruction_pointer_set(regs, (unsigned long)refuse);
	return 1;
}
NOKPROBE_SYMBOL(entered);

static DEFINE_MUTEX(arming);

static bool arm(struct kprobe *probes, unsigned int nr)
{
	bool any = false;

	while (nr--)
		any |= symbols_probe(&probes[nr], entered);
	return any;
}

static void disarm(struct kprobe *probes, unsigned int nr)
{
	while (nr--)
		symbols_unprobe(&probes[nr]);
}

/* Return: false when KVM is there and one of its two ways is not known. */
static bool arm_all(void)
{
	bool clock = arm(um_kvm_clock, NR_KVM_CLOCK);

	return arm(um_kvm_nested, NR_KVM_NESTED) && clock;
}

static void disarm_all(void)
{
	disarm(um_kvm_clock, NR_KVM_CLOCK);
	disarm(um_kvm_nested, NR_KVM_NESTED);
}

static int module_event(struct notifier_block *nb, unsigned long event, void *data)
{
	const struct module *mod = data;

	if (strcmp(mod->name, "kvm"))
		return NOTIFY_DONE;
	mutex_lock(&arming);
	/* Before its init, so before anybody has a machine. */
	if (event == MODULE_STATE_COMING && !arm_all())
		pr_err("this KVM is not known: a guest on unmapped memory can end this host by kvm-clock or nested guests\n");
	else if (event == MODULE_STATE_GOING)
		disarm_all();
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
	arm_all(); /* it is there, or it comes later */
	mutex_unlock(&arming);
	return 0;
}

void kvm_probes_exit(void)
{
	unregister_module_notifier(&module_notifier);
	disarm_all();
}
