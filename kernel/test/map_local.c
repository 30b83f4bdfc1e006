// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of mappings for a moment, on one CPU.
 *
 * /sys/kernel/debug/unmapped_test/
 *	map-local	read: the tests, as TAP
 *	map-local-misuse read: too deep a nest, and one end too many, as TAP; warns
 *	local-rounds	write: map for this CPU, and free and so zero, so often
 */
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/hardirq.h>
#include <linux/irq_work.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/unmapped.h>

#include "compat.h"
#include "test.h"

#define DEEP 4

struct nest {
	struct irq_work work;
	struct page *pages[2 * DEEP]; /* the task's, the interrupt's */
	bool hard, done;
};

static void map_deep(struct page **pages, void **addr, u8 byte)
{
	unsigned int i;

	for (i = 0; i < DEEP; i++)
		addr[i] = unmapped_map_local(pages[i]);
	for (i = 0; i < DEEP; i++)
		memset(addr[i], byte + i, PAGE_SIZE);
}

static void unmap_deep(void **addr)
{
	unsigned int i = DEEP;

	while (i--)
		unmapped_unmap_local(addr[i]);
}

static void map_in_irq(struct irq_work *work)
{
	struct nest *n = container_of(work, struct nest, work);
	void *addr[DEEP];

	n->hard = in_hardirq();
	map_deep(n->pages + DEEP, addr, 0x20);
	unmap_deep(addr);
	WRITE_ONCE(n->done, true);
}

static void test_nest(struct seq_file *m)
{
	struct nest *n = kzalloc(sizeof(*n), GFP_KERNEL);
	bool mapped = true, absent = true, good = true;
	unsigned long got, i;
	void *addr[DEEP];

	if (!n) {
		ok(m, false, "memory for a test");
		return;
	}
	got = unmapped_pages_alloc_bulk(NUMA_NO_NODE, ZEROED, 2 * DEEP, n->pages);
	if (got < 2 * DEEP) {
		ok(m, false, "pages");
		goto free;
	}
	init_irq_work(&n->work, map_in_irq);
	preempt_disable();
	map_deep(n->pages, addr, 0x10);
	irq_work_queue(&n->work);
	while (!READ_ONCE(n->done))
		cpu_relax();
	for (i = 0; i < DEEP; i++)
		mapped &= !memchr_inv(addr[i], 0x10 + i, PAGE_SIZE);
	unmap_deep(addr);
	for (i = 0; i < DEEP; i++)
		absent &= !reads(addr[i]);
	preempt_enable();
	for (i = 0; i < DEEP; i++)
		good &= holds(n->pages[i], 0, 0x10 + i) &&
			holds(n->pages[DEEP + i], 0, 0x20 + i);
	ok(m, n->hard && good,
	   "%d mappings in an interrupt on top of %d, with preemption off", DEEP, DEEP);
	ok(m, mapped, "those below are as they were");
	ok(m, absent, "undone: reads fault");
free:
	while (got)
		unmapped_pages_free(n->pages[--got], 0);
	kfree(n);
}

/* Function calls and TLB shootdowns that CPUs were interrupted for. */
static unsigned long interrupts(void)
{
	unsigned long sum = 0;
	int cpu;

	for_each_online_cpu(cpu)
		sum += compat_irqs_call(cpu) + compat_irqs_tlb(cpu);
	return sum;
}

static void note_answer(void *answered)
{
	WRITE_ONCE(*(bool *)answered, true);
}

/* Wait until what was sent to the other CPU before has arrived there. */
static void other_cpu_answers(void)
{
	bool answered = false;
	call_single_data_t call;
	int cpu;

	INIT_CSD(&call, note_answer, &answered);
	for_each_online_cpu(cpu) {
		if (cpu == smp_processor_id())
			continue;
		if (!smp_call_function_single_async(cpu, &call))
			while (!READ_ONCE(answered))
				cpu_relax();
		break;
	}
}

/*
 * With interrupts off here, nobody but this can interrupt the other CPU, so that
 * the kernel's own calls are not counted.
 */
static void test_interrupts(struct seq_file *m)
{
	const unsigned int nr = 1000, nr_views = 100;
	struct page *page = unmapped_pages_alloc(ZEROED, 0);
	unsigned long before, mapped, freed, flags;
	bool zero = true;
	unsigned int i;
	void *view;

	ok(m, page && num_online_cpus() == 2, "a page, and another CPU");
	if (!page)
		return;
	local_irq_save(flags);
	other_cpu_answers();
	before = interrupts();
	for (i = 0; i < nr; i++)
		unmapped_unmap_local(unmapped_map_local(page));
	mapped = interrupts() - before;
	for (i = 0; page && i < nr; i++) {
		fill(page, 0, 0x5e);
		unmapped_pages_free(page, 0);
		page = unmapped_pages_alloc(GFP_NOWAIT | __GFP_ZERO, 0);
		zero &= page && holds(page, 0, 0);
	}
	mdelay(1);
	freed = interrupts() - before - mapped;
	local_irq_restore(flags);
	ok(m, !mapped, "%u mappings: %lu interrupts elsewhere", nr, mapped);
	ok(m, zero && !freed, "%u frees that zero: %lu interrupts elsewhere", nr, freed);

	before = interrupts();
	for (i = 0; page && i < nr_views; i++) {
		view = unmapped_vmap(&page, 1, PAGE_KERNEL);
		unmapped_vunmap(IS_ERR(view) ? NULL : view);
	}
	before = interrupts() - before;
	/* Not all: a call joins what the CPU is being interrupted for already. */
	ok(m, before >= nr_views / 2, "ends of %u views: %lu, as translations must go",
	   nr_views, before);
	unmapped_pages_free(page, 0);
}

static int map_local_show(struct seq_file *m, void *v)
{
	number = 0;
	test_nest(m);
	test_interrupts(m);
	seq_printf(m, "1..%u\n", number);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(map_local);

static int map_local_misuse_show(struct seq_file *m, void *v)
{
	struct page *page = unmapped_pages_alloc(ZEROED, 0);
	unsigned int depth, i;
	void *addr[64];

	number = 0;
	ok(m, page, "a page");
	if (!page)
		goto end;
	for (depth = 0; depth < ARRAY_SIZE(addr); depth++) {
		addr[depth] = unmapped_map_local(page);
		if (!addr[depth])
			break;
	}
	for (i = depth; i--;)
		unmapped_unmap_local(addr[i]);
	ok(m, depth >= DEEP && depth < ARRAY_SIZE(addr) && !preempt_count(),
	   "%u deep, and NULL beyond", depth);
	unmapped_unmap_local(addr[0]);
	ok(m, !preempt_count() && holds(page, 0, 0), "unmapped twice: refused");
	unmapped_pages_free(page, 0);
end:
	seq_printf(m, "1..%u\n", number);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(map_local_misuse);

static int local_rounds(void *unused, u64 nr)
{
	struct page *page = unmapped_pages_alloc(ZEROED, 0);
	void *addr;
	u64 i;

	for (i = 0; page && i < nr; i++) {
		addr = unmapped_map_local(page);
		memset(addr, 0x5e, PAGE_SIZE);
		unmapped_unmap_local(addr);
		unmapped_pages_free(page, 0);
		page = unmapped_pages_alloc(GFP_NOWAIT | __GFP_ZERO, 0);
		if (page && !holds(page, 0, 0)) {
			unmapped_pages_free(page, 0);
			return -EIO;
		}
	}
	unmapped_pages_free(page, 0);
	return page ? 0 : -ENOMEM;
}
DEFINE_DEBUGFS_ATTRIBUTE(local_rounds_fops, NULL, local_rounds, "%llu\n");

void map_local_test_init(struct dentry *dir)
{
	debugfs_create_file("map-local", 0400, dir, NULL, &map_local_fops);
	debugfs_create_file("map-local-misuse", 0400, dir, NULL, &map_local_misuse_fops);
	debugfs_create_file_unsafe("local-rounds", 0200, dir, NULL, &local_rounds_fops);
}
