/* SPDX-License-Identifier: MIT */
/*
 * The direct map as the page tables have it: for each GiB and each 2 MiB of
 * memory, by which entries it is mapped, and what of it is absent.
 */
#ifndef CLI_WALK_H
#define CLI_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kcore.h"

#define BLOCK_BYTES   (512UL * KCORE_PAGE)
#define REGION_BYTES  (512 * BLOCK_BYTES)
#define REGION_BLOCKS 512
#define BLOCK_PAGES   512

/* Memory that a walk takes on, in GiB: what four levels of tables can map. */
#define WALK_REGIONS_MAX 65536U

enum entry_size { ENTRY_4K, ENTRY_2M, ENTRY_1G, NR_ENTRY_SIZES };

/* What a region or block is mapped by. */
enum walk_kind {
	KIND_NONE,   /* no table, no entry: nothing was ever mapped here */
	KIND_MAPPED, /* one entry */
	KIND_ABSENT, /* one entry, which is not present */
	KIND_TABLE,  /* smaller entries */
};

struct walk_block {
	uint16_t ram;	 /* its pages that are memory */
	uint16_t mapped; /* of these, present */
	uint8_t kind;
	bool healable; /* a table of 512 entries that one could replace */
};

struct walk_region {
	uint64_t start; /* physical address in bytes */
	uint32_t ram;	/* its pages that are memory */
	uint8_t kind;
	bool healable;		   /* 512 entries of 2 MiB that one could replace */
	struct walk_block *blocks; /* 512 of them if it is a table, else NULL */
};

/* In bytes, of memory only where not said otherwise. */
struct walk_totals {
	uint64_t ram;
	uint64_t mapped[NR_ENTRY_SIZES];
	uint64_t absent[NR_ENTRY_SIZES]; /* by the size of the entry, or the hole */
	uint64_t healable_2m;		 /* in 4 KiB entries, could be 2 MiB ones */
	uint64_t healable_1g;		 /* in 2 MiB entries, could be 1 GiB ones */
	/*
	 * All entries, present or not, of memory or not: as the kernel counts
	 * DirectMap4k, 2M and 1G.
	 */
	uint64_t entries[NR_ENTRY_SIZES];
	/*
	 * 2 MiB entries of the kernel's image that were split.  The kernel counts
	 * these splits as the direct map's.
	 */
	uint64_t image_splits;
	uint64_t tables;  /* page-table pages read */
	uint64_t foreign; /* entries that map something else than their own */
	/*
	 * Tables for memory that read as zeros.  The kernel leaves none such; but
	 * /proc/kcore gives zeros for a page that it can't read.
	 */
	uint64_t blank;
};

struct walk {
	struct walk_region *regions;
	size_t nr_regions;
	struct walk_totals totals;
};

/* Called for each page-table page that is read, for who records them. */
typedef int (*walk_table_fn)(void *arg, uint64_t vaddr, const void *page);

/**
 * walk_read - read the page tables of the direct map
 * @max_regions:	at most so many GiB; 0 is WALK_REGIONS_MAX
 * @table:		may be NULL; what it returns but 0 ends the walk
 *
 * The kernel may change the tables meanwhile; if an entry turns up that can't be
 * the direct map's, all is read again, up to 3 times.
 *
 * Return: 0 or -errno, with k->error: -EFBIG, -ENOMEM, -EINVAL for more tables than
 * there can be, -EFAULT for one that is not in the file, -EIO.
 */
int walk_read(struct walk *w, struct kcore *k, size_t max_regions, walk_table_fn table,
	      void *arg);
void walk_free(struct walk *w);

/* A range of memory in one state, in bytes of physical addresses. */
struct walk_range {
	uint64_t start, end;
	enum entry_size size;
	bool absent; /* in blocks of KIND_TABLE: some of it is, @absent_bytes */
	bool healable;
	uint64_t absent_bytes;
};

/* Call @fn for the ranges of the walk by address.  Return: what @fn did but 0. */
int walk_ranges(const struct walk *w, int (*fn)(void *arg, const struct walk_range *r),
		void *arg);

#endif
