/* SPDX-License-Identifier: GPL-2.0 */
#ifndef UNMAPPED_KVM_H
#define UNMAPPED_KVM_H

#include <linux/types.h>

struct mm_struct;

/* A mapping of unmapped memory comes to @mm, or goes.  May sleep. */
void kvm_guard_mapped(struct mm_struct *mm);
void kvm_guard_unmapped(struct mm_struct *mm);

/*
 * To be asked by a function that would reach memory of a guest by kmap(), in the
 * process that runs the guest: whether it must fail.  Logs that, and what such a
 * guest is to do without.  Any context in which @function may run.
 */
bool kvm_guard_refuses(const char *function, const char *without);

#endif /* UNMAPPED_KVM_H */
