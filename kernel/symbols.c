// SPDX-License-Identifier: GPL-2.0
/*
 * The only place that looks up names the kernel does not export, or puts probes on
 * them.
 *
 * The address of a function is what a kprobe on its name resolves to; the
 * probe is removed at once.  Where functions begin with ENDBR the probe sits
 * behind it, and the function begins 4 bytes earlier.  Kprobes can't sit on
 * data: for those kallsyms_lookup_name() is found in the same way and asked.
 */
#define pr_fmt(fmt) "unmapped: " fmt

#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/kprobes.h>
#include <linux/printk.h>
#include <linux/static_call.h>

#include "compat.h"
#include "symbols.h"

DEFINE_STATIC_CALL_NULL(um_flush_tlb_all, sym_flush_tlb_all);
DEFINE_STATIC_CALL_NULL(um_flush_tlb_kernel_range, sym_flush_tlb_kernel_range);
DEFINE_STATIC_CALL_RET0(um_get_vm_area_caller, sym_get_vm_area_caller);
DEFINE_STATIC_CALL_RET0(um_vmap_pages_range_noflush, sym_vmap_pages_range_noflush);
DEFINE_STATIC_CALL_RET0(um_set_direct_map_invalid_noflush,
			sym_set_direct_map_invalid_noflush);
DEFINE_STATIC_CALL_NULL(um_update_page_count, sym_update_page_count);
DEFINE_STATIC_CALL_RET0(um_kallsyms_lookup_name, sym_kallsyms_lookup_name);
#ifdef CONFIG_MEMCG
DEFINE_STATIC_CALL_RET0(um_memcg_kmem_charge_page, sym_memcg_kmem_charge_page);
DEFINE_STATIC_CALL_NULL(um_memcg_kmem_uncharge_page, sym_memcg_kmem_uncharge_page);
#endif
#ifdef CONFIG_ASYNC_KERNEL_PGTABLE_FREE
DEFINE_STATIC_CALL_NULL(um_pagetable_free_kernel, sym_pagetable_free_kernel);
#endif

spinlock_t *um_cpa_lock;
spinlock_t *um_pgd_lock;
struct mm_struct *um_init_mm;
struct kobject **um_mm_kobj;

struct kprobe um_kvm_clock[NR_KVM_CLOCK] = {
	{ .symbol_name = "kvm_gpc_activate" },
	{ .symbol_name = "kvm_gpc_activate_hva" },
	{ .symbol_name = "kvm_gpc_refresh" },
	{ .symbol_name = "kvm_gfn_to_pfn_cache_refresh" },
};
struct kprobe um_kvm_nested[NR_KVM_NESTED] = {
	{ .symbol_name = "kvm_vcpu_map" },
	{ .symbol_name = "__kvm_vcpu_map" },
};

/* A test build looks for a name that no kernel has. */
#ifdef UM_BREAK_SYMBOL
#define NAME_OF_FLUSH "flush_tlb_all_is_not_here"
#else
#define NAME_OF_FLUSH "flush_tlb_all"
#endif

static int missing(const char *name)
{
	pr_err("no symbol %s in this kernel (KPROBES, KALLSYMS_ALL?); not loaded\n",
	       name);
	return -ENOENT;
}

static void *function(const char *name)
{
	struct kprobe kp = { .symbol_name = name };
	void *addr;

	if (register_kprobe(&kp))
		return NULL;
	addr = kp.addr;
	unregister_kprobe(&kp);
#ifdef CONFIG_X86_KERNEL_IBT
	if (compat_is_endbr(addr - ENDBR_INSN_SIZE))
		addr -= ENDBR_INSN_SIZE;
#endif
	return addr;
}

#define RESOLVE(call, name) \
	({ \
		const char *name_ = (name); \
		void *addr_ = function(name_); \
\
		if (addr_) \
			static_call_update(call, addr_); \
		addr_ ? 0 : missing(name_); \
	})

static int resolve_data(const char *name, void *pointer)
{
	unsigned long addr = static_call(um_kallsyms_lookup_name)(name);

	*(unsigned long *)pointer = addr;
	return addr ? 0 : missing(name);
}

int symbols_resolve(void)
{
	return RESOLVE(um_flush_tlb_all, NAME_OF_FLUSH) ?:
	       RESOLVE(um_flush_tlb_kernel_range, "flush_tlb_kernel_range") ?:
	       RESOLVE(um_get_vm_area_caller, "get_vm_area_caller") ?:
	       RESOLVE(um_vmap_pages_range_noflush, "__vmap_pages_range_noflush") ?:
	       RESOLVE(um_set_direct_map_invalid_noflush,
		       "set_direct_map_invalid_noflush") ?:
	       RESOLVE(um_update_page_count, "update_page_count") ?:
	       RESOLVE(um_kallsyms_lookup_name, "kallsyms_lookup_name") ?:
#ifdef CONFIG_MEMCG
	       RESOLVE(um_memcg_kmem_charge_page, "__memcg_kmem_charge_page") ?:
	       RESOLVE(um_memcg_kmem_uncharge_page, "__memcg_kmem_uncharge_page") ?:
#endif
#ifdef CONFIG_ASYNC_KERNEL_PGTABLE_FREE
	       RESOLVE(um_pagetable_free_kernel, "pagetable_free_kernel") ?:
#endif
	       resolve_data("cpa_lock", &um_cpa_lock) ?:
	       resolve_data("pgd_lock", &um_pgd_lock) ?:
	       resolve_data("init_mm", &um_init_mm) ?:
	       resolve_data("mm_kobj", &um_mm_kobj);
}

bool symbols_probe(struct kprobe *probe, kprobe_pre_handler_t handler)
{
	if (probe->addr)
		return true;
	probe->pre_handler = handler;
	if (!register_kprobe(probe))
		return true;
	probe->addr = NULL;
	return false;
}

void symbols_unprobe(struct kprobe *probe)
{
	if (!probe->addr)
		return;
	unregister_kprobe(probe);
	/* As it was: registration wrote to it. */
	probe->addr = NULL;
	probe->flags = 0;
}
