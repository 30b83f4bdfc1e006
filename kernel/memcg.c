// SPDX-License-Identifier: GPL-2.0
/*
 * Charges of unmapped pages to memory cgroups.
 *
 * A charge is what the page allocator makes of it: page->memcg_data names the
 * object cgroup, and holds a reference to it.  The page allocator has that in
 * the first page of what was allocated only.  Here pages may be freed in other
 * orders than they were allocated in, so each has it; but 2^order pages are still
 * charged, and if they are freed together uncharged, at once.
 */
#ifdef CONFIG_MEMCG
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/static_call.h>

#include "memcg.h"
#include "symbols.h"

static struct obj_cgroup *objcg_of(const struct page *page)
{
	return (struct obj_cgroup *)(page->memcg_data & ~(unsigned long)MEMCG_DATA_KMEM);
}

int memcg_charge(struct page *page, gfp_t gfp, unsigned int order)
{
	unsigned long i, nr = 1UL << order;

	if (mem_cgroup_disabled())
		return 0;
	/* What is not reclaimed is not: no reason to kill one in the cgroup. */
	if (static_call(um_memcg_kmem_charge_page)(page, gfp | __GFP_RETRY_MAYFAIL,
						   (int)order))
		return -ENOMEM;
	/* Nothing is charged to the root. */
	if (!page->memcg_data || nr == 1)
		return 0;
	obj_cgroup_get_many(objcg_of(page), nr - 1);
	for (i = 1; i < nr; i++)
		page[i].memcg_data = page->memcg_data;
	return 0;
}

static bool same_charge(const struct page *page, unsigned long nr)
{
	unsigned long i;

	for (i = 1; i < nr; i++)
		if (page[i].memcg_data != page->memcg_data)
			return false;
	return true;
}

void memcg_uncharge(struct page *page, unsigned int order)
{
	unsigned long i, nr = 1UL << order;

	if (!same_charge(page, nr)) {
		for (i = 0; i < nr; i++)
			memcg_uncharge(page + i, 0);
		return;
	}
	if (!page->memcg_data)
		return;
	if (nr > 1)
		percpu_ref_put_many(&objcg_of(page)->refcnt, nr - 1);
	for (i = 1; i < nr; i++)
		page[i].memcg_data = 0;
	static_call_cond(um_memcg_kmem_uncharge_page)(page, (int)order);
}
#endif /* CONFIG_MEMCG */
