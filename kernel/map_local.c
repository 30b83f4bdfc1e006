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
#include <linux/unmapped.h>
#include <linux/vmalloc.h>

#include "map_local.h"

/* Four for nesting as promised, and as many for interrupts on top. */
#define SLOTS 8U

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
	slot += smp_processor_id() * SLOTS;
	set_pte(entries[slot], mk_pte(page, PAGE_KERNEL));
	return base + slot * PAGE_SIZE;
}
EXPORT_SYMBOL_GPL(unmapped_map_local);

void unmapped_unmap_local(void *addr)
{
	unsigned int slot = (addr - base) / PAGE_SIZE;

	WARN_ON_ONCE(slot != smp_processor_id() * SLOTS + this_cpu_read(depth) - 1);
	set_pte(entries[slot], __pte(0));
	drop_translation(addr);
	this_cpu_dec(depth);
	preempt_enable();
}
EXPORT_SYMBOL_GPL(unmapped_unmap_local);

void map_local_zero(unsigned long pfn, unsigned int order)
{
	unsigned long i;
	void *addr;

	for (i = 0; i < 1UL << order; i++) {
		addr = unmapped_map_local(pfn_to_page(pfn + i));
		clear_page(addr);
		unmapped_unmap_local(addr);
	}
}

int map_local_init(void)
{
	unsigned int i, nr = nr_cpu_ids * SLOTS;
	struct page *placeholder, **pages;
	unsigned int level;

	placeholder = alloc_page(GFP_KERNEL);
	pages = kvcalloc(nr, sizeof(*pages), GFP_KERNEL);
	entries = kvcalloc(nr, sizeof(*entries), GFP_KERNEL);
	if (!placeholder || !pages || !entries)
		goto fail;
	for (i = 0; i < nr; i++)
		pages[i] = placeholder;
	base = vmap(pages, nr, VM_MAP, PAGE_KERNEL);
	if (!base)
		goto fail;
	/* The tables are there now, and stay as long as the area. */
	for (i = 0; i < nr; i++) {
		entries[i] = lookup_address((unsigned long)base + i * PAGE_SIZE, &level);
		if (WARN_ON(!entries[i] || level != PG_LEVEL_4K))
			goto fail;
	}
	/* Nobody has used these addresses: there is nothing to flush. */
	for (i = 0; i < nr; i++)
		set_pte(entries[i], __pte(0));
	kvfree(pages);
	__free_page(placeholder);
	return 0;

fail:
	if (base)
		vunmap(base);
	base = NULL;
	kvfree(entries);
	entries = NULL;
	kvfree(pages);
	if (placeholder)
		__free_page(placeholder);
	return -ENOMEM;
}

void map_local_exit(void)
{
	vunmap(base);
	kvfree(entries);
}
