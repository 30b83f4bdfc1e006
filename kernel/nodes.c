// SPDX-License-Identifier: GPL-2.0
/*
 * The nodes a task is to have memory from: what set_mempolicy(2), mbind(2) and
 * its cpuset say, as the page allocator would read them.
 *
 * MPOL_INTERLEAVE goes by 2 MiB of the object, as for huge pages: what is smaller
 * could not be a block.
 */
#include <linux/cpuset.h>
#include <linux/mempolicy.h>
#include <linux/sched/task.h>
#include <linux/topology.h>

#include "host.h"
#include "nodes.h"

#ifdef CONFIG_NUMA
static int nth_node(const nodemask_t *mask, unsigned long n)
{
	int nid = first_node(*mask);

	for (n %= nodes_weight(*mask); n; n--)
		nid = next_node(nid, *mask);
	return nid;
}

static void apply(struct nodes *n, const struct mempolicy *policy, unsigned long index)
{
	if (!policy || nodes_empty(policy->nodes))
		return; /* MPOL_DEFAULT, MPOL_LOCAL */
	switch (policy->mode) {
	case MPOL_BIND:
		/* Not what the cpuset forbids, unless nothing would be left. */
		if (nodes_intersects(n->allowed, policy->nodes))
			nodes_and(n->allowed, n->allowed, policy->nodes);
		fallthrough;
	case MPOL_PREFERRED_MANY:
		if (policy->home_node != NUMA_NO_NODE)
			n->first = policy->home_node;
		if (!node_isset(n->first, policy->nodes))
			n->first = first_node(policy->nodes);
		break;
	case MPOL_PREFERRED:
		n->first = first_node(policy->nodes);
		break;
	default: /* the forms of MPOL_INTERLEAVE */
		n->first = nth_node(&policy->nodes, index >> BLOCK_ORDER);
		break;
	}
}
#endif

void nodes_of_task(struct nodes *n, int node, const struct mempolicy *policy,
		   unsigned long index)
{
	/* Both are changed with it held. */
	task_lock(current);
	n->first = numa_mem_id();
	n->allowed = cpuset_current_mems_allowed;
	if (node != NUMA_NO_NODE)
		n->first = node;
#ifdef CONFIG_NUMA
	else
		apply(n, policy ?: current->mempolicy, index);
#endif
	task_unlock(current);
}
