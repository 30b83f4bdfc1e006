// SPDX-License-Identifier: GPL-2.0
/*
 * What KVM itself reads and writes of its guests' memory.
 *
 * Mostly it does so through the mapping of the process that runs the guest, which
 * works here too.  But some of it is reached by kmap(), which is the direct map: the
 * clock of kvm-clock and Xen's pages (gfn_to_pfn_cache), and what a guest keeps
 * for guests of its own (kvm_vcpu_map()).  For a page that is not in the direct map
 * that is the end of the host, and it is the guest that decides about it, by a
 * write to an MSR.  So where such a function asks here it is to fail, as it may
 * anyway, for a process that has unmapped memory mapped.
 */
#define pr_fmt(fmt) "unmapped: " fmt

#include <linux/hashtable.h>
#include <linux/mm.h>
#include <linux/ratelimit.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "kvm.h"

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

bool kvm_guard_refuses(const char *function, const char *without)
{
	static DEFINE_RATELIMIT_STATE(limit, DEFAULT_RATELIMIT_INTERVAL, 1);
	bool guarded;

	/* Whoever has the lock does not sleep, and those functions may. */
	spin_lock(&lock);
	guarded = current->mm && find(current->mm);
	spin_unlock(&lock);
	if (guarded && __ratelimit(&limit))
		pr_warn("%s[%d]: %s() of memory that is not in the direct map: refused; its guest is to be without %s\n",
			current->comm, task_pid_nr(current), function, without);
	return guarded;
}
