// SPDX-License-Identifier: GPL-2.0
/*
 * CPUs and memory that come and go.
 *
 * A CPU's magazines are drained when it is dead, by another one: until then
 * kernel threads and interrupts on it may still fill them.
 *
 * Memory that is to go offline is isolated first: the page allocator gives none
 * of it out any more.  Pages of ours that are in use have a reference, and the
 * kernel gives up there and then.  Those in the cache have none, and it goes on:
 * they must be given back now, or it would wait for them without end.
 */
#define pr_fmt(fmt) "unmapped: " fmt

#include <linux/cpuhotplug.h>
#include <linux/memory.h>
#include <linux/mm.h>
#include <linux/notifier.h>

#include "host.h"
#include "hotplug.h"

static int cpu_dead(unsigned int cpu)
{
	allocator_drain_dead_cpu(&unmapped_allocator, cpu);
	return 0;
}

static int going_offline(unsigned long start, unsigned long nr)
{
	unsigned long left =
		allocator_release_range(&unmapped_allocator, start, start + nr);

	if (!left)
		return 0;
	pr_warn("memory [%#llx-%#llx] stays online: %lu of its pages can't be given back\n",
		PFN_PHYS(start), PFN_PHYS(start + nr) - 1, left);
	return -EBUSY;
}

static int memory_event(struct notifier_block *nb, unsigned long event, void *data)
{
	const struct memory_notify *m = data;

	switch (event) {
	case MEM_GOING_ONLINE:
		return notifier_from_errno(
			allocator_grow(&unmapped_allocator, m->start_pfn + m->nr_pages));
	case MEM_GOING_OFFLINE:
		return notifier_from_errno(going_offline(m->start_pfn, m->nr_pages));
	case MEM_OFFLINE:
		allocator_forget_range(&unmapped_allocator, m->start_pfn,
				       m->start_pfn + m->nr_pages);
		break;
	}
	return NOTIFY_DONE;
}

static struct notifier_block memory_notifier = {
	.notifier_call = memory_event,
};

static int cpuhp_state;

int unmapped_hotplug_init(void)
{
	int err;

	cpuhp_state = cpuhp_setup_state_nocalls(CPUHP_BP_PREPARE_DYN, "mm/unmapped:dead",
						NULL, cpu_dead);
	if (cpuhp_state < 0)
		return cpuhp_state;
	err = register_memory_notifier(&memory_notifier);
	if (err)
		goto err_cpuhp;
	/* What came before there was a notifier. */
	err = allocator_grow(&unmapped_allocator, host_end_pfn());
	if (err)
		goto err_memory;
	return 0;

err_memory:
	unregister_memory_notifier(&memory_notifier);
err_cpuhp:
	cpuhp_remove_state_nocalls(cpuhp_state);
	return err;
}

void unmapped_hotplug_exit(void)
{
	unregister_memory_notifier(&memory_notifier);
	cpuhp_remove_state_nocalls(cpuhp_state);
}
