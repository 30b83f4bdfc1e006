// SPDX-License-Identifier: GPL-2.0
/*
 * Pages that are freed by their owner while somebody else has a reference that he took
 * in passing, and will drop soon: KVM finds a page by the tables of a process, mapped
 * or not by then; a look-up in the page cache one that was there before.  They wait
 * here.
 */
#include <linux/delay.h>
#include <linux/list.h>
#include <linux/llist.h>
#include <linux/mm.h>
#include <linux/workqueue.h>

#include "free_later.h"
#include "host.h"

static LLIST_HEAD(referenced);
static void free_referenced(struct work_struct *work);
static DECLARE_DELAYED_WORK(free_work, free_referenced);

void free_now_or_later(struct page *page, unsigned int order)
{
	if (likely(host_try_free(page, order)))
		return;
	set_page_private(page, order);
	llist_add((struct llist_node *)&page->lru, &referenced);
	schedule_delayed_work(&free_work, 1);
}

static void free_referenced(struct work_struct *work)
{
	struct llist_node *next, *node = llist_del_all(&referenced);
	unsigned int order;
	struct page *page;

	for (; node; node = next) {
		next = node->next;
		page = list_entry((struct list_head *)node, struct page, lru);
		order = (unsigned int)page_private(page);
		INIT_LIST_HEAD(&page->lru);
		set_page_private(page, 0);
		free_now_or_later(page, order);
	}
}

void free_later_exit(void)
{
	while (flush_delayed_work(&free_work))
		msleep(20);
}
