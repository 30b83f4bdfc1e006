// SPDX-License-Identifier: GPL-2.0
/*
 * The work that the core has done in the background: a refill of a node's cache
 * before it is empty, the release of what is above the limit, the decay of idle
 * blocks, which ticks only while memory is owned, and healing by asking (heal.c),
 * which ticks only while some of that is in pieces.
 *
 * The workqueue is freezable: nothing is taken or released while a suspend or
 * hibernation image is made.  It is not for reclaim: under pressure the shrinker
 * works, which needs none of this.
 */
#include <linux/jiffies.h>
#include <linux/nodemask.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "heal.h"
#include "host.h"
#include "policy.h"

static void decay(struct work_struct *work);
static void heal(struct work_struct *work);

static struct workqueue_struct *queue;
static struct work_struct *balances; /* by node */
static DECLARE_DELAYED_WORK(decay_work, decay);
static DECLARE_DELAYED_WORK(heal_work, heal);
static unsigned int decay_ms = POLICY_DECAY_MS;
static unsigned int heal_ms = POLICY_HEAL_MS;

static void balance(struct work_struct *work)
{
	allocator_balance(&unmapped_allocator, (int)(work - balances));
}

void policy_wake(void *host, int nid)
{
	queue_work(queue, &balances[nid]);
}

static void start(struct delayed_work *work, unsigned int ms)
{
	if (ms)
		queue_delayed_work(queue, work, msecs_to_jiffies(ms));
}

static void restart(struct delayed_work *work, unsigned int ms)
{
	if (ms)
		mod_delayed_work(queue, work, msecs_to_jiffies(ms));
	else
		cancel_delayed_work_sync(work);
}

static void decay(struct work_struct *work)
{
	if (allocator_decay(&unmapped_allocator))
		start(&decay_work, READ_ONCE(decay_ms));
}

static void heal(struct work_struct *work)
{
	if (heal_by_asking())
		start(&heal_work, READ_ONCE(heal_ms));
}

void policy_taken(void)
{
	if (!delayed_work_pending(&decay_work))
		start(&decay_work, READ_ONCE(decay_ms));
}

void policy_in_pieces(void)
{
	if (!delayed_work_pending(&heal_work))
		start(&heal_work, READ_ONCE(heal_ms));
}

unsigned int policy_decay_ms(void)
{
	return READ_ONCE(decay_ms);
}

void policy_set_decay_ms(unsigned int ms)
{
	WRITE_ONCE(decay_ms, ms);
	restart(&decay_work, ms);
}

unsigned int policy_heal_ms(void)
{
	return READ_ONCE(heal_ms);
}

void policy_set_heal_ms(unsigned int ms)
{
	WRITE_ONCE(heal_ms, ms);
	restart(&heal_work, ms);
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
	/* A refill under way starts these. */
	flush_workqueue(queue);
	cancel_delayed_work_sync(&heal_work);
	cancel_delayed_work_sync(&decay_work);
	destroy_workqueue(queue);
	queue = NULL;
	kfree(balances);
}
