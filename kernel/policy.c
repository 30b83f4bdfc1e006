// SPDX-License-Identifier: GPL-2.0
/*
 * The work that the core has done in the background: a refill of a node's cache
 * before it is empty, the release of what is above the limit, and the decay of
 * idle blocks, which ticks only while memory is owned.
 *
 * The workqueue is freezable: nothing is taken or released while a suspend or
 * hibernation image is made.  It is not for reclaim: under pressure the shrinker
 * works, which needs none of this.
 */
#include <linux/jiffies.h>
#include <linux/nodemask.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "host.h"
#include "policy.h"

static void decay(struct work_struct *work);

static struct workqueue_struct *queue;
static struct work_struct *balances; /* by node */
static DECLARE_DELAYED_WORK(decay_work, decay);
static unsigned int decay_ms = POLICY_DECAY_MS;

static void balance(struct work_struct *work)
{
	allocator_balance(&unmapped_allocator, (int)(work - balances));
}

void policy_wake(void *host, int nid)
{
	queue_work(queue, &balances[nid]);
}

static void start_decay(void)
{
	unsigned int ms = READ_ONCE(decay_ms);

	if (ms)
		queue_delayed_work(queue, &decay_work, msecs_to_jiffies(ms));
}

static void decay(struct work_struct *work)
{
	if (allocator_decay(&unmapped_allocator))
		start_decay();
}

void policy_taken(void)
{
	if (!delayed_work_pending(&decay_work))
		start_decay();
}

unsigned int policy_decay_ms(void)
{
	return READ_ONCE(decay_ms);
}

void policy_set_decay_ms(unsigned int ms)
{
	WRITE_ONCE(decay_ms, ms);
	if (!queue)
		return; /* a parameter, at load */
	if (ms)
		mod_delayed_work(queue, &decay_work, msecs_to_jiffies(ms));
	else
		cancel_delayed_work_sync(&decay_work);
}

int policy_init(void)
{
	unsigned int n;

	balances = kcalloc(nr_node_ids, sizeof(*balances), GFP_KERNEL);
	if (!balances)
		return -ENOMEM;
	for (n = 0; n < nr_node_ids; n++)
		INIT_WORK(&balances[n], balance);
	queue = alloc_workqueue("unmapped", WQ_FREEZABLE | WQ_UNBOUND, 0);
	if (!queue) {
		kfree(balances);
		return -ENOMEM;
	}
	return 0;
}

void policy_exit(void)
{
	/* Nobody allocates now; nor is there anything to be above. */
	unmapped_allocator.limit = 0;
	/* A refill under way starts the decay. */
	flush_workqueue(queue);
	cancel_delayed_work_sync(&decay_work);
	destroy_workqueue(queue);
	queue = NULL;
	kfree(balances);
}
