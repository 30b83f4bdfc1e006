// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * What the core costs in user space: nanoseconds per alloc + free, and how well
 * it keeps blocks whole.
 *
 * The machine under it does nothing: blocks are numbers in an array, taking one
 * out of the direct map and flushing are empty, memory need not be cleared.  All
 * memory is in the cache before the clock starts, so what is left is the
 * core's own work.  The workloads are those that LLFree's authors use:
 *
 *	at_once	one page is allocated and freed at once, again and again
 *	bulk	a quarter of all pages is allocated, then freed in that order
 *	random	the same, freed in random order
 *	remote	the same, each thread frees what another one allocated (with
 *		one thread: a second one frees while the first waits)
 *
 * Each is run several times, the best run counts.  Threads share the quarter.
 * A row is a JSON object on a line of the file that --json names.
 *
 * With --once CASE ORDER N nothing is timed: N pairs are done and the program
 * ends, for tools that count instructions.
 */
#define _GNU_SOURCE
#include <getopt.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "allocator.h"

#define NR_PAGES    (1UL << 20)
#define NR_BLOCKS   (NR_PAGES / BLOCK_PAGES)
#define FIRST_BLOCK 1UL /* pfn 0 to 31 are never ours */
#define MAX_THREADS 2
#define AT_ONCE	    2000000UL

/* --- the machine --------------------------------------------------------- */

struct array {
	u32 blocks[NR_BLOCKS];
	unsigned long nr;
};

static int array_get(void *host, int nid, unsigned int order, unsigned int flags,
		     unsigned long *pfn)
{
	struct array *m = host;

	(void)nid;
	(void)flags;
	if (order != BLOCK_ORDER || !m->nr)
		return -ENOMEM;
	*pfn = (unsigned long)m->blocks[--m->nr] << BLOCK_ORDER;
	return 0;
}

static void array_put(void *host, unsigned long pfn, unsigned int order)
{
	struct array *m = host;

	if (order != BLOCK_ORDER)
		abort();
	m->blocks[m->nr++] = (u32)(pfn >> BLOCK_ORDER);
}

static int array_unmap(void *host, unsigned long pfn, unsigned int order)
{
	(void)host;
	(void)pfn;
	(void)order;
	return 0;
}

static void array_flush(void *host)
{
	(void)host;
}

static int array_heal(void *host, unsigned long pfn)
{
	(void)host;
	(void)pfn;
	return -EBUSY;
}

static u64 now(void *host)
{
	struct timespec t;

	(void)host;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (u64)t.tv_sec * 1000000000ULL + (u64)t.tv_nsec;
}

/* No thread runs while the main one shrinks. */
static void array_drain(void *host, struct allocator *a)
{
	int cpu = um_cpu;

	(void)host;
	for (um_cpu = 0; um_cpu < (int)um_nr_cpus; um_cpu++)
		allocator_drain_cpu(a);
	um_cpu = cpu;
}

static int array_nearest_node(void *host, int nid, int prev)
{
	(void)host;
	return prev < 0 ? nid : -1;
}

/* The core is content with a coarse clock, as the kernel's jiffies are. */
static u64 coarse_now(void *host)
{
	struct timespec t;

	(void)host;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (u64)t.tv_sec * 1000000000ULL + (u64)t.tv_nsec;
}

static const struct um_host_ops ops = {
	.get = array_get,
	.put = array_put,
	.unmap = array_unmap,
	.map = array_unmap,
	.flush = array_flush,
	.heal = array_heal,
	.heal_region = array_heal,
	.now = coarse_now,
	.drain = array_drain,
	.nearest_node = array_nearest_node,
};

static struct array machine;
static struct allocator allocator;

static void fail(const char *what)
{
	fprintf(stderr, "bench/core: %s\n", what);
	exit(1);
}

/* All memory into the cache, wholly free. */
static void start(void)
{
	unsigned long *pfns = calloc(NR_BLOCKS, sizeof(*pfns));
	unsigned long i;

	if (!pfns)
		fail("out of memory");
	for (i = 0; i < NR_BLOCKS; i++)
		machine.blocks[i] = (u32)(FIRST_BLOCK + NR_BLOCKS - 1 - i);
	machine.nr = NR_BLOCKS;
	if (allocator_init(&allocator, &ops, &machine, 1,
			   NR_PAGES + FIRST_BLOCK * BLOCK_PAGES))
		fail("allocator_init() failed");
	for (i = 0; i < NR_BLOCKS; i++)
		if (allocator_alloc(&allocator, 0, BLOCK_ORDER, UM_ZERO, &pfns[i]))
			fail("can't load all memory");
	for (i = 0; i < NR_BLOCKS; i++)
		allocator_free(&allocator, pfns[i], BLOCK_ORDER);
	free(pfns);
}

static void stop(void)
{
	if (allocator_shrink(&allocator, -1, ~0UL, 0) != NR_PAGES)
		fail("not all memory came back");
	allocator_destroy(&allocator);
}

/* --- instructions, where the processor lets us count them ----------------- */

static int open_counter(void)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_HARDWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_HW_INSTRUCTIONS,
		.disabled = 0,
		.exclude_kernel = 1,
		.exclude_hv = 1,
	};

	return (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
}

static u64 read_counter(int fd)
{
	u64 value = 0;

	if (fd >= 0 && read(fd, &value, sizeof(value)) != sizeof(value))
		fail("can't read the instruction counter");
	return value;
}

/* --- workloads ----------------------------------------------------------- */

enum workload { AT_ONCE_CASE, BULK, RANDOM, REMOTE, NR_WORKLOADS };

static const char *const workload_names[NR_WORKLOADS] = {
	"at_once",
	"bulk",
	"random",
	"remote",
};

struct phase {
	double ns;
	double instructions;
};

struct worker {
	pthread_t thread;
	unsigned int id, nr; /* this one, of so many */
	enum workload work;
	unsigned int order;
	unsigned long n; /* allocations of this thread */
	u32 *pfns;	 /* shared: n for each thread */
	pthread_barrier_t *barrier;
	struct phase alloc, free; /* per allocation */
};

static u64 rng(u64 *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void shuffle(u32 *a, unsigned long n, u64 seed)
{
	unsigned long i, k;
	u32 t;

	for (i = n; i > 1; i--) {
		k = rng(&seed) % i;
		t = a[i - 1];
		a[i - 1] = a[k];
		a[k] = t;
	}
}

static void pin(unsigned int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu % (unsigned int)sysconf(_SC_NPROCESSORS_ONLN), &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void alloc_all(struct worker *w, u32 *pfns)
{
	unsigned long i, pfn;

	for (i = 0; i < w->n; i++) {
		if (allocator_alloc(&allocator, 0, w->order, UM_ZERO, &pfn))
			fail("out of pages");
		pfns[i] = (u32)pfn;
	}
}

static void free_all(struct worker *w, const u32 *pfns)
{
	unsigned long i;

	for (i = 0; i < w->n; i++)
		allocator_free(&allocator, pfns[i], w->order);
}

static void at_once(struct worker *w)
{
	unsigned long i, pfn;

	for (i = 0; i < w->n; i++) {
		if (allocator_alloc(&allocator, 0, w->order, UM_ZERO, &pfn))
			fail("out of pages");
		allocator_free(&allocator, pfn, w->order);
	}
}

static void per_op(struct phase *p, u64 ns, u64 instructions, unsigned long n)
{
	p->ns = (double)ns / (double)n;
	p->instructions = (double)instructions / (double)n;
}

static void *run_worker(void *arg)
{
	struct worker *w = arg;
	u32 *mine = w->pfns + w->id * w->n;
	u32 *theirs = w->pfns + (w->id + 1) % w->nr * w->n;
	int fd = open_counter();
	u64 t, c;

	um_cpu = (int)w->id;
	pin(w->id);
	pthread_barrier_wait(w->barrier);
	t = now(NULL);
	c = read_counter(fd);
	if (w->work == AT_ONCE_CASE) {
		at_once(w);
		per_op(&w->alloc, now(NULL) - t, read_counter(fd) - c, w->n);
	} else {
		alloc_all(w, mine);
		per_op(&w->alloc, now(NULL) - t, read_counter(fd) - c, w->n);
		if (w->work == RANDOM)
			shuffle(mine, w->n, 0x9e3779b97f4a7c15ULL + w->id);
		pthread_barrier_wait(w->barrier);
		t = now(NULL);
		c = read_counter(fd);
		free_all(w, w->work == REMOTE ? theirs : mine);
		per_op(&w->free, now(NULL) - t, read_counter(fd) - c, w->n);
	}
	if (fd >= 0)
		close(fd);
	return NULL;
}

/* With one thread, REMOTE is: this one allocates, another one frees. */
static void *free_there(void *arg)
{
	struct worker *w = arg;
	int fd = open_counter();
	u64 t, c;

	um_cpu = 1;
	pin(1);
	t = now(NULL);
	c = read_counter(fd);
	free_all(w, w->pfns);
	per_op(&w->free, now(NULL) - t, read_counter(fd) - c, w->n);
	if (fd >= 0)
		close(fd);
	return NULL;
}

static void one_remote(struct worker *w)
{
	int fd = open_counter();
	u64 t, c;

	um_cpu = 0;
	pin(0);
	t = now(NULL);
	c = read_counter(fd);
	alloc_all(w, w->pfns);
	per_op(&w->alloc, now(NULL) - t, read_counter(fd) - c, w->n);
	if (fd >= 0)
		close(fd);
	if (pthread_create(&w->thread, NULL, free_there, w))
		fail("can't create a thread");
	pthread_join(w->thread, NULL);
}

/* One run; the slowest thread counts. */
static void run(enum workload work, unsigned int order, unsigned int threads,
		unsigned long n, struct phase *alloc, struct phase *freed)
{
	struct worker w[MAX_THREADS];
	pthread_barrier_t barrier;
	u32 *pfns = malloc(n * threads * sizeof(*pfns));
	unsigned int i;

	if (!pfns)
		fail("out of memory");
	memset(pfns, 0, n * threads * sizeof(*pfns));
	start();
	memset(w, 0, sizeof(w));
	pthread_barrier_init(&barrier, NULL, threads);
	for (i = 0; i < threads; i++)
		w[i] = (struct worker){
			.id = i,
			.nr = threads,
			.work = work,
			.order = order,
			.n = n,
			.pfns = pfns,
			.barrier = &barrier,
		};
	if (threads == 1 && work == REMOTE) {
		one_remote(w);
	} else if (threads == 1) {
		run_worker(w);
	} else {
		for (i = 0; i < threads; i++)
			if (pthread_create(&w[i].thread, NULL, run_worker, &w[i]))
				fail("can't create a thread");
		for (i = 0; i < threads; i++)
			pthread_join(w[i].thread, NULL);
	}
	*alloc = w[0].alloc;
	*freed = w[0].free;
	for (i = 1; i < threads; i++) {
		alloc->ns = max(alloc->ns, w[i].alloc.ns);
		freed->ns = max(freed->ns, w[i].free.ns);
		alloc->instructions = max(alloc->instructions, w[i].alloc.instructions);
		freed->instructions = max(freed->instructions, w[i].free.instructions);
	}
	pthread_barrier_destroy(&barrier);
	um_cpu = 0;
	stop();
	free(pfns);
}

static unsigned long share(enum workload work, unsigned int order, unsigned int threads)
{
	return work == AT_ONCE_CASE ? AT_ONCE : (NR_PAGES / 4 >> order) / threads;
}

/* --- rows ----------------------------------------------------------------- */

static FILE *json;
static bool counted;

static void row(const char *what, int order, unsigned int threads, const char *unit,
		double value)
{
	if (!json)
		return;
	fprintf(json, "{\"suite\": \"core\", \"case\": \"%s\", \"order\": ", what);
	if (order < 0)
		fprintf(json, "null");
	else
		fprintf(json, "%d", order);
	fprintf(json,
		", \"threads\": %u, \"unit\": \"%s\", \"value\": %.2f, "
		"\"peer\": null, \"peer_value\": null}\n",
		threads, unit, value);
}

static void phase_rows(const char *work, const char *phase, unsigned int order,
		       unsigned int threads, const struct phase *p)
{
	char name[32];

	snprintf(name, sizeof(name), "%s%s", work, phase);
	row(name, (int)order, threads, "ns", p->ns);
	if (counted)
		row(name, (int)order, threads, "instructions", p->instructions);
}

static void better(struct phase *best, const struct phase *p)
{
	best->ns = min(best->ns, p->ns);
	best->instructions = min(best->instructions, p->instructions);
}

static void speed(unsigned int repeats)
{
	static const unsigned int orders[] = { 0, 3, 6, 9 };
	const struct phase worst = { 1e9, 1e9 };
	struct phase a, f, alloc, freed, sum;
	unsigned int i, r, threads;
	enum workload work;

	printf("%-9s %7s %6s %10s %10s %10s\n", "case", "threads", "order", "alloc ns",
	       "free ns", "pair ns");
	for (threads = 1; threads <= MAX_THREADS; threads++) {
		for (work = 0; work < NR_WORKLOADS; work++) {
			for (i = 0; i < ARRAY_SIZE(orders); i++) {
				alloc = worst;
				freed = worst;
				sum = worst;
				for (r = 0; r < repeats; r++) {
					run(work, orders[i], threads,
					    share(work, orders[i], threads), &a, &f);
					better(&alloc, &a);
					better(&freed, &f);
					a.ns += f.ns;
					a.instructions += f.instructions;
					better(&sum, &a);
				}
				phase_rows(workload_names[work], "", orders[i], threads,
					   &sum);
				if (work == AT_ONCE_CASE) {
					printf("%-9s %7u %6u %10s %10s %10.1f\n",
					       workload_names[work], threads, orders[i],
					       "-", "-", sum.ns);
					continue;
				}
				phase_rows(workload_names[work], "_alloc", orders[i],
					   threads, &alloc);
				phase_rows(workload_names[work], "_free", orders[i],
					   threads, &freed);
				printf("%-9s %7u %6u %10.1f %10.1f %10.1f\n",
				       workload_names[work], threads, orders[i], alloc.ns,
				       freed.ns, sum.ns);
			}
		}
	}
}

/* --- keeping blocks whole ------------------------------------------------- */

static unsigned long whole_blocks(void)
{
	struct allocator_report r;

	allocator_report(&allocator, 0, &r);
	return r.whole;
}

/* 90 % allocated, a random half freed, then 10 % replaced in each round. */
static void keep_whole(void)
{
	unsigned long n = NR_PAGES / 10 * 9, live = n / 2, part = live / 10;
	unsigned long i, pfn, round;
	u32 *pfns = malloc(n * sizeof(*pfns));
	char name[48];

	if (!pfns)
		fail("out of memory");
	start();
	for (i = 0; i < n; i++) {
		if (allocator_alloc(&allocator, 0, 0, UM_ZERO, &pfn))
			fail("out of pages");
		pfns[i] = (u32)pfn;
	}
	shuffle(pfns, n, 1);
	for (i = live; i < n; i++)
		allocator_free(&allocator, pfns[i], 0);
	printf("\nblocks wholly free, of an ideal %lu: %lu at the start",
	       NR_BLOCKS - (live + BLOCK_PAGES - 1) / BLOCK_PAGES, whole_blocks());
	for (round = 1; round <= 100; round++) {
		shuffle(pfns, live, round + 1);
		for (i = 0; i < part; i++)
			allocator_free(&allocator, pfns[i], 0);
		for (i = 0; i < part; i++) {
			if (allocator_alloc(&allocator, 0, 0, UM_ZERO, &pfn))
				fail("out of pages");
			pfns[i] = (u32)pfn;
		}
		if (round != 20 && round != 40 && round != 60 && round != 100)
			continue;
		printf(", %lu after %lu rounds", whole_blocks(), round);
		snprintf(name, sizeof(name), "keep_whole_%lu_rounds", round);
		row(name, 0, 1, "blocks", (double)whole_blocks());
	}
	printf("\n");
	for (i = 0; i < live; i++)
		allocator_free(&allocator, pfns[i], 0);
	free(pfns);
	stop();
}

static void metadata(void)
{
	double bytes;

	start();
	/* The region of the first block is there for it alone: leave it out. */
	bytes = (double)table_bytes(&allocator.table) /
		(double)(allocator.table.nr_regions * REGION_BLOCKS);
	printf("metadata: %.1f bytes for a whole block (%zu for struct block)\n", bytes,
	       sizeof(struct block));
	row("metadata_per_block", -1, 1, "bytes", bytes);
	stop();
}

/* --- the command ---------------------------------------------------------- */

static void once(char **argv)
{
	unsigned int order = (unsigned int)atoi(argv[1]);
	unsigned long n = strtoul(argv[2], NULL, 0);
	struct phase a, f;
	enum workload work;

	for (work = 0; work < NR_WORKLOADS; work++) {
		if (strcmp(argv[0], workload_names[work]))
			continue;
		run(work, order, 1, n, &a, &f);
		return;
	}
	fail("no such case");
}

static void usage(FILE *f)
{
	fprintf(f,
		"Usage: core [--repeat N] [--json FILE]\n"
		"       core --once CASE ORDER N\n\n"
		"Measures the core in user space: nanoseconds for alloc and free at\n"
		"orders 0, 3, 6 and 9, blocks kept whole, bytes of metadata.\n\n"
		"  --repeat N   runs of each case, of which the best counts (5)\n"
		"  --json FILE  write a row for each figure\n"
		"  --once ...   do N pairs of at_once, bulk, random or remote; no times\n");
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "repeat", required_argument, NULL, 'r' },
		{ "json", required_argument, NULL, 'j' },
		{ "once", no_argument, NULL, 'o' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	unsigned int repeats = 5;
	bool only = false;
	int opt, fd;

	um_nr_cpus = MAX_THREADS;
	while ((opt = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		switch (opt) {
		case 'r':
			repeats = (unsigned int)max(atoi(optarg), 1);
			break;
		case 'j':
			json = fopen(optarg, "w");
			if (!json)
				fail("can't write the file of rows");
			break;
		case 'o':
			only = true;
			break;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (only && argc - optind == 3) {
		once(argv + optind);
		return 0;
	}
	if (only || optind != argc) {
		usage(stderr);
		return 2;
	}
	fd = open_counter();
	counted = fd >= 0;
	if (counted)
		close(fd);
	speed(repeats);
	keep_whole();
	metadata();
	if (!counted)
		printf("instructions: no counter for them here\n");
	if (json && fclose(json))
		fail("can't write the file of rows");
	return 0;
}
