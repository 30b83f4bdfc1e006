/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* The kernel's own headers for the names that the core uses. */
#ifndef UM_PLATFORM_KERNEL_H
#define UM_PLATFORM_KERNEL_H

#include <linux/atomic.h>
#include <linux/bitops.h>
#include <linux/bug.h>
#include <linux/cache.h>
#include <linux/compiler.h>
#include <linux/cpumask.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/pfn.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/topology.h>
#include <linux/types.h>

#include "trace.h"

/* Where the direct map has, or had, a page; for a test build only. */
#define um_page_address(pfn) __va(PFN_PHYS(pfn))

#define um_trace_refill	  trace_unmapped_refill
#define um_trace_fallback trace_unmapped_fallback
#define um_trace_shrink	  trace_unmapped_shrink
#define um_trace_split	  trace_unmapped_split
#define um_trace_heal	  trace_unmapped_heal

#endif /* UM_PLATFORM_KERNEL_H */
