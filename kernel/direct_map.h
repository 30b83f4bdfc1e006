/* SPDX-License-Identifier: GPL-2.0 */
/* Changes of the direct map; see direct_map.c for the rules they follow. */
#ifndef UNMAPPED_DIRECT_MAP_H
#define UNMAPPED_DIRECT_MAP_H

/**
 * direct_map_unmap - make pages that are ours absent, before a flush
 * @pfn:	first page, aligned to @order
 * @order:	BLOCK_ORDER and more keeps 2 MiB entries in one piece, REGION_ORDER
 *		a 1 GiB entry; less splits them
 *
 * Return: UM_SPLIT_* bits for what was split, or UM_ONE_ENTRY; -EBUSY if an
 * entry is not that of ordinary memory; -ENOMEM without a page table to split
 * into.  On errors all pages are present.  Context: may sleep.
 */
int direct_map_unmap(unsigned long pfn, unsigned int order);

/**
 * direct_map_map - make absent pages present again
 * @order:	up to BLOCK_ORDER; or REGION_ORDER, for a region for which
 *		direct_map_unmap() returned UM_ONE_ENTRY
 *
 * Needs no flush: nothing caches an entry that is not present.
 *
 * Return: 0; UM_SPLIT_1G if that of a region was split; -EBUSY, with nothing
 * changed, if an entry is not as direct_map_unmap() left it.  Context: any but
 * hard interrupts.
 */
int direct_map_map(unsigned long pfn, unsigned int order);

/* Whether one present entry of 1 GiB maps the page. */
bool direct_map_unbroken(unsigned long pfn);

/* Drop stale translations of the direct map on every CPU.  May sleep. */
void direct_map_flush(void);

/**
 * direct_map_heal - make the 512 small entries of a block one 2 MiB entry
 * direct_map_heal_region - make the 512 entries of a region one 1 GiB entry
 *
 * Return: 0; -EBUSY if the entries are not alike, or the table they stand in
 * was made at boot and can't be freed.  Context: may sleep.
 */
int direct_map_heal(unsigned long pfn);
int direct_map_heal_region(unsigned long pfn);

/* Wait until the tables that healing left are freed.  May sleep. */
void direct_map_exit(void);

#endif /* UNMAPPED_DIRECT_MAP_H */
