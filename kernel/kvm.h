/* SPDX-License-Identifier: GPL-2.0 */
#ifndef UNMAPPED_KVM_H
#define UNMAPPED_KVM_H

struct mm_struct;

/* A mapping of unmapped memory comes to @mm, or goes.  May sleep. */
void kvm_guard_mapped(struct mm_struct *mm);
void kvm_guard_unmapped(struct mm_struct *mm);

int kvm_guard_init(void);
void kvm_guard_exit(void);

#endif /* UNMAPPED_KVM_H */
