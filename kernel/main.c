// SPDX-License-Identifier: GPL-2.0
/*
 * unmapped: memory that the kernel's direct map does not reach, without
 * breaking the direct map.
 *
 *	symbols		what the kernel does not export
 *	direct_map	entries of the direct map: out, back, healed
 *	contig		pages of the page allocator by address
 *	map_local	a page mapped for a moment, on one CPU
 *	vmap		many pages mapped for longer, for all
 *	host		the core's view of this kernel; the core is in core/
 *	poison		pages with memory errors
 *	nodes, memcg	NUMA policy, cpuset and memory cgroup of a task
 *	api		for other kernel code
 *	trace		tracepoints
 *	shrinker	memory pressure
 *	heal		whole blocks in place of pieces
 *	policy		refills ahead, decay of what is idle
 *	sysfs		what can be set
 *	hotplug		CPUs and memory that come and go
 *	pm		hibernation
 *	object, device	/dev/unmapped
 *	kvm		what KVM must not do with a guest's memory
 *	holders		who holds how much
 *	debugfs		what is going on
 */
#define pr_fmt(fmt) "unmapped: " fmt

#include <linux/mm.h>
#include <linux/module.h>
#include <asm/cpufeature.h>

#include "debugfs.h"
#include "device.h"
#include "host.h"
#include "hotplug.h"
#include "kvm_probes.h"
#include "map_local.h"
#include "pm.h"
#include "policy.h"
#include "shrinker.h"
#include "symbols.h"
#include "sysfs.h"
#include "vmap.h"

/* What this CPU and kernel must be, in one line if it is not. */
static int check_machine(void)
{
	if (!boot_cpu_has(X86_FEATURE_PSE)) {
		pr_err("the CPU has no 2 MiB pages (pse); not loaded\n");
		return -ENODEV;
	}
	if (debug_pagealloc_enabled()) {
		pr_err("debug_pagealloc=on keeps the direct map in 4 KiB; not loaded\n");
		return -ENODEV;
	}
	return 0;
}

/* All that allocates and frees: from its end on kernel code may call it. */
static int __init allocator_start(void)
{
	int err;

	err = check_machine();
	if (err)
		return err;
	err = symbols_resolve();
	if (err)
		return err;
	err = map_local_init();
	if (err)
		return err;
	err = host_init();
	if (err)
		goto err_map_local;
	err = policy_init();
	if (err)
		goto err_host;
	err = parameters_apply();
	if (err)
		goto err_policy;
	err = unmapped_hotplug_init();
	if (err)
		goto err_policy;
	err = unmapped_shrinker_init();
	if (err)
		goto err_hotplug;
	err = unmapped_pm_init();
	if (err)
		goto err_shrinker;
	return 0;

err_shrinker:
	unmapped_shrinker_exit();
err_hotplug:
	unmapped_hotplug_exit();
err_policy:
	policy_exit();
err_host:
	host_exit();
err_map_local:
	map_local_exit();
	return err;
}

static void allocator_stop(void)
{
	unmapped_pm_exit();
	unmapped_shrinker_exit();
	policy_exit();
	vmap_exit();
	/* While a CPU that goes offline still gives back what it has. */
	host_shrink(~0UL);
	unmapped_hotplug_exit();
	host_exit();
	map_local_exit();
}

/* All by which programs reach it. */
static int __init interfaces_start(void)
{
	int err;

	/* In a kernel of which it is a part this is called even if it did not start. */
	if (!unmapped_allocator.caches)
		return -ENODEV;
	unmapped_debugfs_init();
	err = unmapped_sysfs_init();
	if (err)
		goto err_debugfs;
	/* Last: from here on programs may have it open. */
	err = unmapped_device_init();
	if (err)
		goto err_sysfs;
	return 0;

err_sysfs:
	unmapped_sysfs_exit();
err_debugfs:
	unmapped_debugfs_exit();
	return err;
}

static void interfaces_stop(void)
{
	unmapped_sysfs_exit();
	unmapped_device_exit();
	unmapped_debugfs_exit();
}

#ifdef UM_BREAK
int um_break;
module_param(um_break, int, 0);
#endif

static int __init unmapped_init(void)
{
	int err = allocator_start();

	if (err)
		return err;
	err = kvm_probes_init();
	if (err)
		goto err_allocator;
	err = interfaces_start();
	if (err)
		goto err_probes;
	return 0;

err_probes:
	kvm_probes_exit();
err_allocator:
	allocator_stop();
	return err;
}

static void __exit unmapped_exit(void)
{
	interfaces_stop();
	kvm_probes_exit();
	allocator_stop();
}

module_init(unmapped_init);
module_exit(unmapped_exit);
MODULE_DESCRIPTION("Memory that the kernel's direct map does not reach");
MODULE_LICENSE("GPL");
