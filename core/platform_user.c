// SPDX-License-Identifier: GPL-2.0 OR MIT
/* What platform_user.h declares and can't be inline. */
#include "platform.h"

static void warn_and_abort(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: broken: %s\n", file, line, what);
	abort();
}

void (*um_warn)(const char *file, int line, const char *what) = warn_and_abort;
long um_fail_nth = -1;
__thread int um_cpu;
__thread int um_spin_depth;
__thread bool um_atomic;
unsigned int um_nr_cpus = 1;

void *um_alloc(size_t size, gfp_t gfp)
{
	void *p;

	if (gfp & GFP_KERNEL)
		might_sleep();
	if (um_should_fail())
		return NULL;
	/* Slabs of the kernel are aligned to their size or a cache line. */
	size = (size + 63) & ~(size_t)63;
	p = aligned_alloc(64, size);
	if (p)
		memset(p, 0, size);
	return p;
}

void um_free(const void *p)
{
	free((void *)(uintptr_t)p);
}

void *um_alloc_percpu(size_t size)
{
	if (WARN_ON(size > UM_CPU_STRIDE))
		return NULL;
	return um_alloc(UM_CPU_STRIDE * um_nr_cpus, GFP_KERNEL);
}
