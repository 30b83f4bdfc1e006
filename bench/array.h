/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * A machine under the core that does nothing: blocks are numbers in an array, to
 * take one out of the direct map and to flush are empty, memory is always clear.
 */
#ifndef BENCH_ARRAY_H
#define BENCH_ARRAY_H

#include "platform.h"

#define NR_PAGES    (1UL << 20)
#define NR_BLOCKS   (NR_PAGES / BLOCK_PAGES)
#define FIRST_BLOCK 1UL /* pfn 0 to 31 are never ours */

struct array {
	u32 blocks[NR_BLOCKS];
	unsigned long nr;
};

/* With a struct array as the host. */
extern const struct um_host_ops array_ops;

#endif /* BENCH_ARRAY_H */
