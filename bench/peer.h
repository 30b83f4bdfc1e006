/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Another allocator under the workloads of bench/core.c (-DPEER), to stand beside
 * the core's figures of the same machine.
 */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

/* @pages pages, all free, for CPUs 0 to @cpus - 1; then everything forgotten. */
void peer_start(unsigned long pages, unsigned int cpus);
void peer_stop(void);

/* 2^@order pages, on behalf of @cpu.  Return: 0, or -1 if there are none. */
int peer_alloc(unsigned int cpu, unsigned int order, unsigned long *pfn);
int peer_free(unsigned int cpu, unsigned int order, unsigned long pfn);

#endif /* BENCH_PEER_H */
