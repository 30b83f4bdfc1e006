/* SPDX-License-Identifier: GPL-2.0 */
/* KVM asks kvm.c, though its code knows nothing of it; see kvm_probes.c. */
#ifndef UNMAPPED_KVM_PROBES_H
#define UNMAPPED_KVM_PROBES_H

int kvm_probes_init(void);
void kvm_probes_exit(void);

#endif /* UNMAPPED_KVM_PROBES_H */
