/* SPDX-License-Identifier: MIT */
/*
 * The kernel's own users of the allocator, where that is built in: memfd_secret(2),
 * modules and BPF programs.
 */
#ifndef INSIDERS_H
#define INSIDERS_H

#include <stdbool.h>

/* Are there any? */
bool insiders(void);

/*
 * Some that come, are used and go.  Return: 0; -errno, which is -EIO where the content
 * of memory is not what it should be; and of programs 1, where the JIT had no memory
 * for one.  The kernel makes such a one read-only, in the direct map, too, and splits it.
 */
int insider_secrets(unsigned int *seed);
int insider_modules(unsigned int *seed);
int insider_programs(unsigned int *seed);

#endif /* INSIDERS_H */
