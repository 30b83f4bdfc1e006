/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What differs between the kernels that this builds for; nothing else asks.
 *
 * The code is written for the newest of them, and older ones are given its
 * names here.  What a kernel has is found by compiling (kernel/have), not by its
 * version number, as stable trees and distributions take changes back.
 */
#ifndef UNMAPPED_COMPAT_H
#define UNMAPPED_COMPAT_H

#include <linux/cc_platform.h>
#include <linux/huge_mm.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/shrinker.h>
#include <linux/slab.h>
#include <linux/static_call.h>
#include <linux/syscore_ops.h>
#include <linux/vmstat.h>
#include <asm/ibt.h>
#include <asm/pgtable_types.h>

#include "have.h"
#include "symbols.h"

#ifdef HAVE_PFN_T
#include <linux/pfn_t.h>
#endif

#ifndef CONFIG_TRANSPARENT_HUGEPAGE
#error "unmapped needs a kernel with CONFIG_TRANSPARENT_HUGEPAGE"
#endif

/* Writes to vma->vm_flags go through functions, which know of per-VMA locks. */
#ifndef HAVE_VM_FLAGS_SET
static inline void vm_flags_set(struct vm_area_struct *vma, vm_flags_t flags)
{
	vma->vm_flags |= flags;
}

static inline void vm_flags_clear(struct vm_area_struct *vma, vm_flags_t flags)
{
	vma->vm_flags &= ~flags;
}
#endif

/*
 * A PMD entry of memory that nobody may take a reference to.  Where there is no
 * special PMD, get_user_pages_fast() would take any huge one for a page of the
 * page cache.  It leaves a devmap entry alone if no device has the pfn, and so
 * does follow_page(); the rest of mm/ treats one in a VM_PFNMAP mapping as
 * special.
 */
static inline vm_fault_t compat_insert_pfn_pmd(struct vm_fault *vmf, unsigned long pfn)
{
	bool write = vmf->flags & FAULT_FLAG_WRITE;

#if !defined(HAVE_PFN_T)
	return vmf_insert_pfn_pmd(vmf, pfn, write);
#elif defined(CONFIG_ARCH_SUPPORTS_PMD_PFNMAP)
	return vmf_insert_pfn_pmd(vmf, __pfn_to_pfn_t(pfn, PFN_DEV), write);
#else
	return vmf_insert_pfn_pmd(vmf, __pfn_to_pfn_t(pfn, PFN_DEV | PFN_MAP), write);
#endif
}

/* What a fault handler lets go of before it waits and returns VM_FAULT_RETRY. */
#ifndef HAVE_RELEASE_FAULT_LOCK
static inline void release_fault_lock(struct vm_fault *vmf)
{
	mmap_read_unlock(vmf->vma->vm_mm);
}
#endif

/* Older kernels bind the work of each queue that is not WQ_UNBOUND. */
#ifndef HAVE_WQ_PERCPU
#define WQ_PERCPU 0
#endif

/* A function to be asked last before a suspend, with interrupts off, on one CPU. */
#ifdef HAVE_SYSCORE
#define COMPAT_SYSCORE(name, fn) \
	static int name##_suspend(void *unused) \
	{ \
		return fn(); \
	} \
	static const struct syscore_ops name##_ops = { .suspend = name##_suspend }; \
	static struct syscore name = { .ops = &name##_ops }
#else
#define COMPAT_SYSCORE(name, fn) static struct syscore_ops name = { .suspend = fn }
#define register_syscore(s)	 register_syscore_ops(s)
#define unregister_syscore(s)	 unregister_syscore_ops(s)
#endif

/* Shrinkers are allocated by the kernel, so that readers can outlive them. */
#ifndef HAVE_SHRINKER_ALLOC
static inline struct shrinker *shrinker_alloc(unsigned int flags, const char *name)
{
	struct shrinker *s = kzalloc(sizeof(*s), GFP_KERNEL);

	if (s)
		s->flags = flags;
	return s;
}

#define shrinker_register(s) register_shrinker(s, "unmapped")

static inline void shrinker_free(struct shrinker *s)
{
	unregister_shrinker(s);
	kfree(s);
}
#else
/* It can't fail any more: all that can was done by shrinker_alloc(). */
#define shrinker_register(s) \
	({ \
		(shrinker_register)(s); \
		0; \
	})
#endif

/* Whether a function begins with ENDBR where @at points. */
static inline bool compat_is_endbr(const u32 *at)
{
#ifdef HAVE_IS_ENDBR_OF_VALUE
	return __is_endbr(*at);
#else
	return is_endbr(*at);
#endif
}

/* Orders of the page allocator. */
#ifndef NR_PAGE_ORDERS
#define NR_PAGE_ORDERS MAX_ORDER
#endif

/* What alloc_contig_range() is told besides: it was a migrate type. */
#ifndef ACR_FLAGS_NONE
#define ACR_FLAGS_NONE MIGRATE_MOVABLE
#endif

#ifndef HAVE_PAGE_HAS_MOVABLE_OPS
#define page_has_movable_ops(page) __PageMovable(page)
#endif

/* A page for a table of the kernel's, that the kernel may also take away. */
static inline struct page *compat_alloc_kernel_table(gfp_t gfp)
{
	struct page *table = alloc_page(gfp);

#ifdef HAVE_PAGETABLE_DTOR
	if (table) {
		__pagetable_ctor(page_ptdesc(table));
#ifdef CONFIG_ASYNC_KERNEL_PGTABLE_FREE
		ptdesc_set_kernel(page_ptdesc(table));
#endif
	}
#endif
	return table;
}

/*
 * A page that was a table of the kernel's: it has a type and is counted, and
 * with SVA an IOMMU has to forget it before it is used anew.
 */
static inline void compat_free_kernel_table(struct page *table)
{
#ifdef HAVE_PAGETABLE_DTOR
	struct ptdesc *pt = page_ptdesc(table);

	if (PageTable(table))
		pagetable_dtor(pt);
#ifdef CONFIG_ASYNC_KERNEL_PGTABLE_FREE
	if (ptdesc_test_kernel(pt)) {
		ptdesc_clear_kernel(pt);
		static_call_cond(um_pagetable_free_kernel)(pt);
		return;
	}
#endif
#endif
	__free_page(table);
}

/*
 * A host of SEV-SNP guests must not write through an entry of 2 MiB where one of its
 * pages is private to a guest, and splits what is larger for that.  What is in 4 KiB
 * already gets no mark: nobody can say where there is one.
 */
static inline bool compat_stays_split(void)
{
#ifdef HAVE_HOST_SEV_SNP
	return cc_platform_has(CC_ATTR_HOST_SEV_SNP);
#else
	return false;
#endif
}

/*
 * KVM that does not look by follow_pfnmap_start() finds no memory behind entries
 * of 2 MiB.  It has a notifier in the mm from KVM_CREATE_VM on, and to register one
 * takes mmap_lock for writing: during a fault that stays as it is.
 */
static inline bool compat_needs_ptes(struct mm_struct *mm)
{
#ifdef HAVE_FOLLOW_PFNMAP
	return false;
#else
	return mm_has_notifiers(mm);
#endif
}

/* How often CPUs were interrupted for function calls, and for TLB shootdowns. */
#ifdef HAVE_IRQ_STAT_COUNTS
#define compat_irqs_call(cpu) (per_cpu(irq_stat, cpu).counts[IRQ_COUNT_CALL_FUNCTION])
#define compat_irqs_tlb(cpu)  (per_cpu(irq_stat, cpu).counts[IRQ_COUNT_TLB])
#else
#define compat_irqs_call(cpu) (per_cpu(irq_stat, cpu).irq_call_count)
#define compat_irqs_tlb(cpu)  (per_cpu(irq_stat, cpu).irq_tlb_count)
#endif

/* Kernels that collapse entries themselves count it in /proc/vmstat. */
static inline void compat_count_collapse(int level)
{
#ifdef HAVE_COLLAPSE_EVENTS
	count_vm_event(level == PG_LEVEL_2M ? DIRECT_MAP_LEVEL2_COLLAPSE
					    : DIRECT_MAP_LEVEL3_COLLAPSE);
#endif
}

#endif /* UNMAPPED_COMPAT_H */
