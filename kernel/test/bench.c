// SPDX-License-Identifier: GPL-2.0
/*
 * What allocation costs, beside the page allocator's of the same boot.
 *
 *	bench	read: from a cache that has what is asked for; and mappings
 *	bench_cold	read: 1 GiB of single pages at once, from an empty cache, which
 *		has it afterwards; its last lines are "free_pages" and what
 *		__free_pages() of 2 MiB takes, and "memset" for a page
 *
 * Lines of "case order threads nanoseconds peer_nanoseconds [peer]"; with
 * -icount shift=0 a nanosecond is an instruction.
 */
#include <linux/debugfs.h>
#include <linux/highmem.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/random.h>
#include <linux/seq_file.h>
#include <linux/unmapped.h>
#include <linux/vmalloc.h>

#include "test.h"

struct api {
	struct page *(*alloc)(gfp_t gfp, unsigned int order);
	void (*free)(struct page *page, unsigned int order);
};

static struct page *peer_alloc(gfp_t gfp, unsigned int order)
{
	return alloc_pages(gfp, order);
}

static const struct api ours = { unmapped_pages_alloc, unmapped_pages_free };
static const struct api peer = { peer_alloc, __free_pages };

#define PAIRS 2000U

static u64 at_once(const struct api *api, gfp_t gfp, unsigned int order)
{
	unsigned int i;
	u64 start = 0;

	for (i = 0; i < PAIRS + 100; i++) {
		if (i == 100)
			start = ktime_get_ns(); /* warm by now */
		api->free(api->alloc(gfp, order), order);
	}
	return (ktime_get_ns() - start) / PAIRS;
}

/* All of it allocated, then all freed; shuffled: in random order. */
static void bulk(const struct api *api, gfp_t gfp, unsigned int order, bool shuffled,
		 struct page **pages, unsigned long nr, u64 *alloc_ns, u64 *free_ns)
{
	unsigned long i, j;
	u64 start;

	start = ktime_get_ns();
	for (i = 0; i < nr; i++)
		pages[i] = api->alloc(gfp, order);
	*alloc_ns = (ktime_get_ns() - start) / nr;
	for (i = nr - 1; shuffled && i; i--) {
		j = get_random_u32_below(i + 1);
		swap(pages[i], pages[j]);
	}
	start = ktime_get_ns();
	for (i = 0; i < nr; i++)
		api->free(pages[i], order);
	*free_ns = (ktime_get_ns() - start) / nr;
}

static void bench_one(struct seq_file *m, const char *suffix, gfp_t gfp,
		      unsigned int order, struct page **pages, unsigned long nr)
{
	u64 a[2], f[2];
	int shuffled;

	seq_printf(m, "at-once%s %u 1 %llu %llu\n", suffix, order,
		   at_once(&ours, gfp, order), at_once(&peer, gfp, order));
	for (shuffled = 0; shuffled < 2; shuffled++) {
		/* The first round takes the blocks; that is not what is asked. */
		bulk(&ours, gfp, order, shuffled, pages, nr, &a[0], &f[0]);
		bulk(&ours, gfp, order, shuffled, pages, nr, &a[0], &f[0]);
		bulk(&peer, gfp, order, shuffled, pages, nr, &a[1], &f[1]);
		bulk(&peer, gfp, order, shuffled, pages, nr, &a[1], &f[1]);
		seq_printf(m, "%s-alloc%s %u 1 %llu %llu\n", shuffled ? "random" : "bulk",
			   suffix, order, a[0], a[1]);
		seq_printf(m, "%s-free%s %u 1 %llu %llu\n", shuffled ? "random" : "bulk",
			   suffix, order, f[0], f[1]);
	}
}

#define VIEWS 200U

static void bench_views(struct seq_file *m, const char *suffix, unsigned int order,
			struct page **ours, struct page **ordinary)
{
	u64 begin[2] = {}, end[2] = {}, t[3];
	unsigned int i;
	void *view;

	for (i = 0; i < VIEWS; i++) {
		t[0] = ktime_get_ns();
		view = unmapped_vmap(ours, 1UL << order, PAGE_KERNEL);
		t[1] = ktime_get_ns();
		unmapped_vunmap(IS_ERR(view) ? NULL : view);
		t[2] = ktime_get_ns();
		begin[0] += t[1] - t[0];
		end[0] += t[2] - t[1];
	}
	for (i = 0; i < VIEWS; i++) {
		t[0] = ktime_get_ns();
		view = vmap(ordinary, 1U << order, VM_MAP, PAGE_KERNEL);
		t[1] = ktime_get_ns();
		vunmap(view);
		t[2] = ktime_get_ns();
		begin[1] += t[1] - t[0];
		end[1] += t[2] - t[1];
	}
	seq_printf(m, "vmap%s %u 1 %llu %llu vmap\n", suffix, order, begin[0] / VIEWS,
		   begin[1] / VIEWS);
	seq_printf(m, "vunmap%s %u 1 %llu %llu vunmap\n", suffix, order, end[0] / VIEWS,
		   end[1] / VIEWS);
}

static void bench_local(struct seq_file *m, struct page *ours, struct page *ordinary)
{
	const unsigned int nr = 2000;
	unsigned int i;
	void *addr;
	u64 t[5];

	t[0] = ktime_get_ns();
	for (i = 0; i < nr; i++) {
		addr = unmapped_map_local(ours);
		READ_ONCE(*(u64 *)addr);
		unmapped_unmap_local(addr);
	}
	t[1] = ktime_get_ns();
	for (i = 0; i < nr; i++) {
		addr = kmap_local_page(ordinary);
		READ_ONCE(*(u64 *)addr);
		kunmap_local(addr);
	}
	t[2] = ktime_get_ns();
	for (i = 0; i < nr; i++) {
		addr = unmapped_map_local(ours);
		clear_page(addr);
		unmapped_unmap_local(addr);
	}
	t[3] = ktime_get_ns();
	for (i = 0; i < nr; i++)
		clear_highpage(ordinary);
	t[4] = ktime_get_ns();
	seq_printf(m, "map-local-read 0 1 %llu %llu kmap_local_page\n",
		   (t[1] - t[0]) / nr, (t[2] - t[1]) / nr);
	seq_printf(m, "map-local-clear 0 1 %llu %llu clear_highpage\n",
		   (t[3] - t[2]) / nr, (t[4] - t[3]) / nr);
}

static void bench_mappings(struct seq_file *m)
{
	struct page **pages = kvcalloc(2 * BLOCK_PAGES, sizeof(*pages), GFP_KERNEL);
	struct page *block = unmapped_pages_alloc(ZEROED, 9);
	struct page *ordinary = alloc_pages(GFP_KERNEL, 9);
	unsigned long i;

	if (!pages || !block || !ordinary)
		goto free;
	for (i = 0; i < BLOCK_PAGES; i++) {
		pages[i] = block + i;
		pages[BLOCK_PAGES + i] = ordinary + i;
	}
	bench_local(m, block, ordinary);
	bench_views(m, "", 0, pages, pages + BLOCK_PAGES);
	bench_views(m, "", 4, pages, pages + BLOCK_PAGES);
	bench_views(m, "", 9, pages, pages + BLOCK_PAGES);
	swap(pages[0], pages[1]); /* no whole block any more */
	bench_views(m, "-pages", 9, pages, pages + BLOCK_PAGES);
free:
	if (ordinary)
		__free_pages(ordinary, 9);
	unmapped_pages_free(block, 9);
	kvfree(pages);
}

static int bench_show(struct seq_file *m, void *v)
{
	static const unsigned int orders[] = { 0, 3, 6, 9 };
	const unsigned long total = 16384; /* pages at a time, 64 MiB */
	struct page **pages = kvcalloc(total, sizeof(*pages), GFP_KERNEL);
	unsigned int i;

	if (!pages)
		return -ENOMEM;
	for (i = 0; i < ARRAY_SIZE(orders); i++) {
		bench_one(m, "-zeroed", ZEROED, orders[i], pages, total >> orders[i]);
		bench_one(m, "", GFP_KERNEL, orders[i], pages, total >> orders[i]);
	}
	kvfree(pages);
	bench_mappings(m);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(bench);

/* --- from an empty cache --------------------------------------------------- */

#define GIB_PAGES (1UL << 18)
#define BLOCKS	  (GIB_PAGES / BLOCK_PAGES)

static u64 bulk_of_gib(struct page **pages, unsigned long *got)
{
	u64 start = ktime_get_ns();

	*got = unmapped_pages_alloc_bulk(NUMA_NO_NODE, ZEROED, GIB_PAGES, pages);
	return ktime_get_ns() - start;
}

static u64 memset_of_page(void)
{
	struct page *page = alloc_page(ZEROED);
	size_t size = PAGE_SIZE;
	unsigned int i;
	u64 start;

	if (!page)
		return 0;
	OPTIMIZER_HIDE_VAR(size); /* the function, not the compiler's own */
	start = ktime_get_ns();
	for (i = 0; i < PAIRS; i++)
		memset(page_address(page), 0, size);
	start = ktime_get_ns() - start;
	__free_page(page);
	return start / PAIRS;
}

static int bench_cold_show(struct seq_file *m, void *v)
{
	struct page **pages = kvcalloc(GIB_PAGES, sizeof(*pages), GFP_KERNEL);
	unsigned long got, i;
	u64 cold, warm, alloc[2], free;
	int err = 0;

	if (!pages)
		return -ENOMEM;
	bulk(&peer, ZEROED, 0, false, pages, GIB_PAGES, &alloc[0], &free);
	bulk(&peer, ZEROED, 9, false, pages, BLOCKS, &alloc[1], &free);
	cold = bulk_of_gib(pages, &got);
	for (i = 0; i < got; i++)
		unmapped_pages_free(pages[i], 0);
	if (got < GIB_PAGES) {
		err = -ENOMEM;
		goto out;
	}
	warm = bulk_of_gib(pages, &got);
	for (i = 0; i < got; i++)
		unmapped_pages_free(pages[i], 0);
	seq_printf(m, "bulk-1g-cold-zeroed 0 1 %llu %llu alloc_page\n", cold / GIB_PAGES,
		   alloc[0]);
	seq_printf(m, "bulk-1g-warm-zeroed 0 1 %llu %llu alloc_page\n", warm / GIB_PAGES,
		   alloc[0]);
	seq_printf(m, "refill-block-zeroed 9 1 %llu %llu alloc_pages\n",
		   (cold - min(cold, warm)) / BLOCKS, alloc[1]);
	seq_printf(m, "free_pages %llu\n", free);
	seq_printf(m, "memset %llu\n", memset_of_page());
out:
	kvfree(pages);
	return err;
}
DEFINE_SHOW_ATTRIBUTE(bench_cold);

void bench_init(struct dentry *dir)
{
	debugfs_create_file("bench", 0400, dir, NULL, &bench_fops);
	debugfs_create_file("bench_cold", 0400, dir, NULL, &bench_cold_fops);
}
