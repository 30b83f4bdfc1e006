/* SPDX-License-Identifier: GPL-2.0 */
/* Hibernation; see pm.c. */
#ifndef UNMAPPED_PM_H
#define UNMAPPED_PM_H

#include <linux/mm_types.h>

struct vm_fault;

/* Return: 0 or a negative errno.  May sleep. */
int unmapped_pm_init(void);
void unmapped_pm_exit(void);

/* Whether nothing may be taken from the system, as an image is to be made. */
bool pm_closed(void);

/**
 * pm_enter - begin to use what an object holds, or to add to it
 *
 * Until pm_leave() no object is wiped.  Return: false when that has begun
 * already; then there is no pm_leave().  May sleep.
 */
bool pm_enter(void);
void pm_leave(void);

/* The same to free what an object holds, which may always be done. */
void pm_enter_to_free(void);

/* What a fault returns that may not pm_enter(): it has waited until it may. */
vm_fault_t pm_wait_fault(struct vm_fault *vmf);

#endif /* UNMAPPED_PM_H */
