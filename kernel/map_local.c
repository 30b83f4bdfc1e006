// SPDX-License-Identifier: GPL-2.0
/*
 * Mappings of one page that only one CPU uses.
 *
 * Each CPU has a few addresses of its own in the vmalloc area, used as a stack.
 * To map is to write the entry of the next one; to unmap is to clear it and drop
 * the translation here with INVLPG.  No other CPU ever uses these addresses, so
 * none has to be told: it is what kmap_local_page() does on 32 bits, and what
 * text_poke() does with a mm of its own.  Preemption stays off while a mapping
 * exists; an interrupt that maps finds the next slot and leaves it as it was.
 */
#include <linux/export.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/pgtable.h>
#include <linux/slab.h>
#include <linux/static_call.h>
#include <linux/unmapped.h>
#include <linux/vmalloc.h>

#include "map_local.h"
#include "symbols.h"

/*
 * A task, a softirq and a hard interrupt on top of each other may have four each, as
 * promised, and each may zero a page besides.
 */
#define SLOTS 16U

/*
 * A page without a mapping follows the slots of each CPU: a prefetcher that
 * runs on into the next page must not fetch another CPU's translation.
 */
#define STRIDE (SLOTS + 1)

/* How many pages are cleared before another task may have the CPU. */
#define ZERO_BATCH 16UL

static void *base;
static pte_t **entries; /* of all slots, CPU by CPU */
static DEFINE_PER_CPU(unsigned int, depth);

static void drop_translation(void *addr)
{
	asm volatile("invlpg (%0)" : : "r"(addr) : "memory");
}

void *unmapped_map_local(struct page *page)
{
	unsigned int slot;

	preempt_disable();
	slot = this_cpu_inc_return(depth) - 1;
	if (WARN_ON_ONCE(slot >= SLOTS)) {
		this_cpu_dec(depth);
		preempt_enable();
		return NULL;
	}
	slot += smp_processor_id() * STRIDE;
	set_pte(entries[slot], mk_pte(page, PAGE_KERNEL));
	return base + slot * PAGE_SIZE;
}
EXPORT_SYMBOL_GPL(unmapped_map_local);

/* What is undone is the last mapping, whatever address is given. */
void unmapped_unmap_local(void *addr)
{
	unsigned int slot = this_cpu_read(depth) - 1;

	if (WARN_ON_ONCE(slot >= SLOTS))
		return;
	slot += smp_processor_id() * STRIDE;
	WARN_ON_ONCE(addr != base + slot * PAGE_SIZE);
	set_pte(entries[slot], __pte(0));
	drop_translation(base + slot * PAGE_SIZE);
	this_cpu_dec(depth);
	preempt_enable();
}
EXPORT_SYMBOL_GPL(unmapped_unmap_local);

/*
 * By one mapping, which goes from page to page: what is made of a pfn with care
 * for the first needs but one to be added for the next.
 */
void map_local_zero(unsigned long pfn, unsigned int order)
{
	unsigned long stop, end = pfn + (1UL << order);
	pte_t *entry, pte;
	void *addr;

	while (pfn < end) {
		stop = min(pfn + ZERO_BATCH, end);
		addr = unmapped_map_local(pfn_to_page(pfn));
		entry = entries[(addr - base) / PAGE_SIZE];
		pte = pfn_pte(pfn, PAGE_KERNEL);
		clear_page(addr);
		while (++pfn < stop) {
			pte.pte += PAGE_SIZE;
			set_pte(entry, pte);
			drop_translation(addr);
			clear_page(addr);
		}
		unmapped_unmap_local(addr);
	}
}

static int note_entry(pte_t *entry, unsigned long addr, void *unused)
{
	entries[(addr - (unsigned long)base) / PAGE_SIZE] = entry;
	return 0;
}

/*
 * The tables are made now, and stay as long as the area.  VM_IOREMAP tells
 * /proc/kcore to leave it alone: it would read through the direct map what it
 * finds mapped here.
 */
int map_local_init(void)
{
	unsigned long nr = (unsigned long)nr_cpu_ids * STRIDE;
	struct vm_struct *area;

	area = static_call(um_get_vm_area_caller)(nr * PAGE_SIZE, VM_IOREMAP,
						  map_local_init);
	entries = kvcalloc(nr, sizeof(*entries), GFP_KERNEL);
	if (!area || !entries)
		goto fail;
	base = area->addr;
	if (apply_to_page_range(um_init_mm, (unsigned long)base, nr * PAGE_SIZE,
				note_entry, NULL))
		goto fail;
	return 0;

fail:
	if (area)
		free_vm_area(area);
	kvfree(entries);
	return -ENOMEM;
}

void map_local_exit(void)
{
	vunmap(base);
	kvfree(entries);
}
