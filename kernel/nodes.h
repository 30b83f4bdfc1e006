/* SPDX-License-Identifier: GPL-2.0 */
#ifndef UNMAPPED_NODES_H
#define UNMAPPED_NODES_H

#include <linux/nodemask.h>

struct mempolicy;

struct nodes {
	int first; /* to be asked first */
	nodemask_t allowed;
};

/**
 * nodes_of_task - where memory that the current task touches should come from
 * @n:		receives it
 * @node:	an explicit wish for the first node, or NUMA_NO_NODE
 * @policy:	of the mapping, or NULL: then the task's own counts
 * @index:	of the page in its object, by which MPOL_INTERLEAVE goes
 *
 * A cpuset counts in any case, a policy only without an explicit wish.
 *
 * Context: any in which the policy can't go away: for one of a mapping, with
 * that locked; not in interrupts.
 */
void nodes_of_task(struct nodes *n, int node, const struct mempolicy *policy,
		   unsigned long index);

#endif /* UNMAPPED_NODES_H */
