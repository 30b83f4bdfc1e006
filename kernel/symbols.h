/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the kernel has and does not export.
 *
 * Functions are called through static calls, which are direct calls in the
 * text: a call through a pointer would trap on CPUs with IBT, as the kernel
 * seals functions whose address it does not take.
 */
#ifndef UNMAPPED_SYMBOLS_H
#define UNMAPPED_SYMBOLS_H

#include <linux/kprobes.h>
#include <linux/mm_types.h>
#include <linux/spinlock.h>
#include <linux/static_call_types.h>

void sym_flush_tlb_all(void);
void sym_flush_tlb_kernel_range(unsigned long start, unsigned long end);
struct vm_struct *sym_get_vm_area_caller(unsigned long size, unsigned long flags,
					 const void *caller);
/* Allocates tables; entries of @page_shift, where that is above PAGE_SHIFT. */
int sym_vmap_pages_range_noflush(unsigned long addr, unsigned long end, pgprot_t prot,
				 struct page **pages, unsigned int page_shift);
int sym_set_direct_map_invalid_noflush(struct page *page);
void sym_update_page_count(int level, unsigned long pages);
unsigned long sym_kallsyms_lookup_name(const char *name);
#ifdef CONFIG_MEMCG
int sym_memcg_kmem_charge_page(struct page *page, gfp_t gfp, int order);
void sym_memcg_kmem_uncharge_page(struct page *page, int order);
#endif
#ifdef CONFIG_ASYNC_KERNEL_PGTABLE_FREE
void sym_pagetable_free_kernel(struct ptdesc *pt);
#endif

DECLARE_STATIC_CALL(um_flush_tlb_all, sym_flush_tlb_all);
DECLARE_STATIC_CALL(um_flush_tlb_kernel_range, sym_flush_tlb_kernel_range);
DECLARE_STATIC_CALL(um_get_vm_area_caller, sym_get_vm_area_caller);
DECLARE_STATIC_CALL(um_vmap_pages_range_noflush, sym_vmap_pages_range_noflush);
DECLARE_STATIC_CALL(um_set_direct_map_invalid_noflush,
		    sym_set_direct_map_invalid_noflush);
DECLARE_STATIC_CALL(um_update_page_count, sym_update_page_count);
DECLARE_STATIC_CALL(um_kallsyms_lookup_name, sym_kallsyms_lookup_name);
#ifdef CONFIG_MEMCG
DECLARE_STATIC_CALL(um_memcg_kmem_charge_page, sym_memcg_kmem_charge_page);
DECLARE_STATIC_CALL(um_memcg_kmem_uncharge_page, sym_memcg_kmem_uncharge_page);
#endif
#ifdef CONFIG_ASYNC_KERNEL_PGTABLE_FREE
DECLARE_STATIC_CALL(um_pagetable_free_kernel, sym_pagetable_free_kernel);
#endif

/* arch/x86/mm/pat/set_memory.c: held over every change of a direct-map entry. */
extern spinlock_t *um_cpa_lock;
/* arch/x86/mm/fault.c: held over every change of the direct map's tables. */
extern spinlock_t *um_pgd_lock;
/* Whoever takes tables away holds its mmap_lock; walkers like ptdump do, too. */
extern struct mm_struct *um_init_mm;
/* /sys/kernel/mm. */
extern struct kobject **um_mm_kobj;

/**
 * symbols_resolve - find all of the above
 *
 * Return: 0, or -ENOENT after one line in the log that names the first symbol
 * that this kernel does not have.  Context: may sleep.
 */
int symbols_resolve(void);

/*
 * Functions of KVM, a module, by the names of all kernels, of which each has some:
 * what reaches the page of kvm-clock, and what reaches those of nested guests.
 */
#define NR_KVM_CLOCK  4
#define NR_KVM_NESTED 2
extern struct kprobe um_kvm_clock[NR_KVM_CLOCK];
extern struct kprobe um_kvm_nested[NR_KVM_NESTED];

/**
 * symbols_probe - have a function call @handler first
 * @probe:	one of the above
 *
 * Return: whether there is such a function.  May sleep, as does symbols_unprobe(),
 * which undoes it if it was done.  Calls about one probe are not made concurrently.
 */
bool symbols_probe(struct kprobe *probe, kprobe_pre_handler_t handler);
void symbols_unprobe(struct kprobe *probe);

#endif /* UNMAPPED_SYMBOLS_H */
