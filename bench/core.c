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
 * Each is run several times, for some rounds after one that is not measured; of
 * all rounds the best allocation and the best free count.  With two threads these
 * last from when the first began until the last was done, so that it does not look
 * well when they did not run at the same time.  Threads share the quarter.
 * A row is a JSON object on a line of the file that --json names.
 *
 * Beside our figures stand those of LLFree-c for the same workloads: a reference
 * from another machine, to compare how they stand to each other, not to the
 * nanosecond; or with --peer those that this program, built around LLFree's
 * sources (-DPEER, bench/peer.c), has just written on this machine.
 *
 * With --once CASE ORDER ROUNDS nothing is told of time: so many rounds of one
 * case are done after the first, for bench/instructions.
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
#include "array.h"
#include "peer.h"
#include "rows.h"

#define MAX_THREADS 2
#define MAX_ROUNDS  16
#define AT_ONCE	    50000UL

/* --- the machine --------------------------------------------------------- */

static struct array machine;
static struct allocator allocator;

void fail(const char *what)
{
	fprintf(stderr, "bench/core: %s\n", what);
	exit(1);
}

#ifdef PEER
static void start(void)
{
	peer_start(NR_PAGES, um_nr_cpus);
}

static void stop(void)
{
	peer_stop();
}

static inline int alloc_pages(unsigned int order, unsigned long *pfn)
{
	return peer_alloc((unsigned int)um_cpu, order, pfn);
}

static inline int free_pages(unsigned long pfn, unsigned int order)
{
	return peer_free((unsigned int)um_cpu, order, pfn);
}
#else
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
	if (allocator_init(&allocator, &array_ops, &machine, 1,
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

static __always_inline int alloc_pages(unsigned int order, unsigned long *pfn)
{
	return allocator_alloc(&allocator, 0, order, UM_ZERO, pfn);
}

static __always_inline int free_pages(unsigned long pfn, unsigned int order)
{
	return allocator_free(&allocator, pfn, order);
}
#endif

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

static u64 now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (u64)t.tv_sec * 1000000000ULL + (u64)t.tv_nsec;
}

/* --- workloads ----------------------------------------------------------- */

enum workload { AT_ONCE_CASE, BULK, RANDOM, REMOTE, NR_WORKLOADS };

static const char *const workload_names[NR_WORKLOADS] = {
	"at_once",
	"bulk",
	"random",
	"remote",
};

/* Threads that wait here go on within nanoseconds of each other. */
struct barrier {
	unsigned int nr, came, generation;
};

static void wait_for_all(struct barrier *b)
{
	unsigned int spins = 0, now = __atomic_load_n(&b->generation, __ATOMIC_ACQUIRE);

	if (__atomic_add_fetch(&b->came, 1, __ATOMIC_ACQ_REL) == b->nr) {
		__atomic_store_n(&b->came, 0, __ATOMIC_RELAXED);
		__atomic_store_n(&b->generation, now + 1, __ATOMIC_RELEASE);
		return;
	}
	while (__atomic_load_n(&b->generation, __ATOMIC_ACQUIRE) == now)
		if (++spins % 1024 == 0)
			sched_yield(); /* on a machine with one processor */
}

/* When a thread began, when it was done and what that took. */
struct span {
	u64 start, end, instructions;
};

/* Per allocation. */
struct phase {
	double ns;
	double instructions;
};

struct worker {
	pthread_t thread;
	unsigned int id, nr; /* this one, of so many */
	enum workload work;
	unsigned int order;
	unsigned long n;     /* allocations of this thread */
	unsigned int rounds; /* that count, after one that does not */
	u32 *pfns;	     /* shared: n for each thread */
	struct barrier *barrier;
	struct span spans[2][MAX_ROUNDS + 1]; /* of allocation and of free */
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

/* These three are all that is measured; bench/instructions knows them by name. */
static __attribute__((noinline)) void alloc_all(struct worker *w, u32 *pfns)
{
	unsigned long i, pfn;

	for (i = 0; i < w->n; i++) {
		if (alloc_pages(w->order, &pfn))
			fail("out of pages");
		pfns[i] = (u32)pfn;
	}
}

static __attribute__((noinline)) void free_all(struct worker *w, const u32 *pfns)
{
	unsigned long i;

	for (i = 0; i < w->n; i++)
		if (free_pages(pfns[i], w->order))
			fail("a free failed");
}

static __attribute__((noinline)) void at_once(struct worker *w)
{
	unsigned long i, pfn;

	for (i = 0; i < w->n; i++) {
		if (alloc_pages(w->order, &pfn))
			fail("out of pages");
		if (free_pages(pfn, w->order))
			fail("a free failed");
	}
}

static void watch(struct span *s, int fd)
{
	s->instructions = read_counter(fd);
	s->start = now();
}

static void stop_watch(struct span *s, int fd)
{
	s->end = now();
	s->instructions = read_counter(fd) - s->instructions;
}

static void one_round(struct worker *w, int fd, unsigned int round)
{
	struct span *alloc = &w->spans[0][round], *freed = &w->spans[1][round];
	u32 *mine = w->pfns + w->id * w->n;
	u32 *theirs = w->pfns + (w->id + 1) % w->nr * w->n;

	wait_for_all(w->barrier);
	watch(alloc, fd);
	if (w->work == AT_ONCE_CASE) {
		at_once(w);
		stop_watch(alloc, fd);
		return;
	}
	alloc_all(w, mine);
	stop_watch(alloc, fd);
	if (w->work == RANDOM)
		shuffle(mine, w->n, 0x9e3779b97f4a7c15ULL + w->id);
	wait_for_all(w->barrier);
	watch(freed, fd);
	free_all(w, w->work == REMOTE ? theirs : mine);
	stop_watch(freed, fd);
}

static void *run_worker(void *arg)
{
	struct worker *w = arg;
	int fd = open_counter();
	unsigned int r;

	um_cpu = (int)w->id;
	pin(w->id);
	for (r = 0; r <= w->rounds; r++)
		one_round(w, fd, r);
	if (fd >= 0)
		close(fd);
	return NULL;
}

/* With one thread, REMOTE is: this one allocates, another one frees. */
static void *free_there(void *arg)
{
	struct worker *w = arg;
	int fd = open_counter();
	unsigned int r;

	um_cpu = 1;
	pin(1);
	for (r = 0; r <= w->rounds; r++) {
		wait_for_all(w->barrier);
		watch(&w->spans[1][r], fd);
		free_all(w, w->pfns);
		stop_watch(&w->spans[1][r], fd);
		wait_for_all(w->barrier);
	}
	if (fd >= 0)
		close(fd);
	return NULL;
}

static void one_remote(struct worker *w)
{
	int fd = open_counter();
	unsigned int r;

	um_cpu = 0;
	pin(0);
	w->barrier->nr = 2;
	if (pthread_create(&w->thread, NULL, free_there, w))
		fail("can't create a thread");
	for (r = 0; r <= w->rounds; r++) {
		watch(&w->spans[0][r], fd);
		alloc_all(w, w->pfns);
		stop_watch(&w->spans[0][r], fd);
		wait_for_all(w->barrier);
		wait_for_all(w->barrier);
	}
	pthread_join(w->thread, NULL);
	if (fd >= 0)
		close(fd);
}

static void better(struct phase *best, const struct phase *p)
{
	best->ns = min(best->ns, p->ns);
	best->instructions = min(best->instructions, p->instructions);
}

/* From when the first thread began until the last one was done, in one round. */
static struct phase measure(const struct worker *w, unsigned int phase,
			    unsigned int round)
{
	u64 start = ~0ULL, end = 0, instructions = 0;
	const struct span *s;
	unsigned int i;

	for (i = 0; i < w->nr; i++) {
		s = &w[i].spans[phase][round];
		start = min(start, s->start);
		end = max(end, s->end);
		instructions = max(instructions, s->instructions);
	}
	return (struct phase){ (double)(end - start) / (double)w->n,
			       (double)instructions / (double)w->n };
}

/* Some rounds after the first, of which the best count. */
static void run(enum workload work, unsigned int order, unsigned int threads,
		unsigned long n, unsigned int rounds, struct phase *alloc,
		struct phase *freed)
{
	struct phase a, f;
	struct worker w[MAX_THREADS];
	struct barrier barrier = { .nr = threads };
	u32 *pfns = malloc(n * threads * sizeof(*pfns));
	unsigned int i;

	if (!pfns)
		fail("out of memory");
	memset(pfns, 0, n * threads * sizeof(*pfns));
	start();
	memset(w, 0, sizeof(w));

	for (i = 0; i < threads; i++)
		w[i] = (struct worker){
			.id = i,
			.nr = threads,
			.work = work,
			.order = order,
			.n = n,
			.rounds = rounds,
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
	for (i = 1; i <= rounds; i++) {
		a = measure(w, 0, i);
		f = measure(w, 1, i);
		if (work == AT_ONCE_CASE)
			f = (struct phase){ 0, 0 };
		better(alloc, &a);
		better(freed, &f);
	}
	um_cpu = 0;
	stop();
	free(pfns);
}

static unsigned long share(enum workload work, unsigned int order, unsigned int threads)
{
	return work == AT_ONCE_CASE ? AT_ONCE : (NR_PAGES / 4 >> order) / threads;
}

/* --- figures -------------------------------------------------------------- */

static bool counted;

static void phase_rows(const char *work, const char *phase, unsigned int order,
		       unsigned int threads, const struct phase *p)
{
	char name[32];

	snprintf(name, sizeof(name), "%s%s", work, phase);
	row(name, (int)order, threads, "ns", p->ns);
	if (counted)
		row(name, (int)order, threads, "instructions", p->instructions);
}

static void print_line(const char *work, unsigned int threads, unsigned int order,
		       const struct phase *alloc, const struct phase *freed,
		       const struct phase *sum)
{
	double peer = rows_peer(work, (int)order, threads);

	printf("%-9s %7u %6u ", work, threads, order);
	if (alloc)
		printf("%10.1f %10.1f", alloc->ns, freed->ns);
	else
		printf("%10s %10s", "-", "-");
	printf(" %10.1f", sum->ns);
	if (counted)
		printf(" %8.1f", sum->instructions);
	if (peer < 0)
		printf(" %22s\n", "-");
	else
		printf(" %22.1f\n", peer);
}

static void speed(unsigned int repeats)
{
	static const unsigned int orders[] = { 0, 3, 6, 9 };
	const struct phase worst = { 1e9, 1e9 };
	struct phase alloc, freed, sum;
	unsigned int i, r, threads;
	enum workload work;

	printf("%-9s %7s %6s %10s %10s %10s", "case", "threads", "order", "alloc ns",
	       "free ns", "pair ns");
	if (counted)
		printf(" %8s", "instr.");
	printf(" %22s\n", rows_peer_name);
	for (threads = 1; threads <= MAX_THREADS; threads++) {
		for (work = 0; work < NR_WORKLOADS; work++) {
			for (i = 0; i < ARRAY_SIZE(orders); i++) {
				alloc = worst;
				freed = worst;
				for (r = 0; r < repeats; r++)
					run(work, orders[i], threads,
					    share(work, orders[i], threads), MAX_ROUNDS,
					    &alloc, &freed);
				sum.ns = alloc.ns + freed.ns;
				sum.instructions =
					alloc.instructions + freed.instructions;
				phase_rows(workload_names[work], "", orders[i], threads,
					   &sum);
				if (work == AT_ONCE_CASE) {
					print_line(workload_names[work], threads,
						   orders[i], NULL, NULL, &sum);
					continue;
				}
				phase_rows(workload_names[work], "_alloc", orders[i],
					   threads, &alloc);
				phase_rows(workload_names[work], "_free", orders[i],
					   threads, &freed);
				print_line(workload_names[work], threads, orders[i],
					   &alloc, &freed, &sum);
			}
		}
	}
}

#ifndef PEER
/* --- keeping blocks whole ------------------------------------------------- */

/* What the magazines hold is free too: it counts once it is back in its block. */
static void count_whole(unsigned long round)
{
	struct allocator_report r;
	char name[48];

	array_ops.drain(NULL, &allocator);
	allocator_report(&allocator, 0, &r);
	snprintf(name, sizeof(name), "keep_whole_%lu_rounds", round);
	row(name, 0, 1, "blocks", (double)r.whole);
	printf("%6lu %11lu %22.0f\n", round, r.whole, rows_peer(name, 0, 1));
}

/* 90 % allocated, a random half freed, then 10 % replaced in each round. */
static void keep_whole(void)
{
	unsigned long n = NR_PAGES / 10 * 9, live = n / 2, part = live / 10;
	unsigned long i, pfn, round;
	u32 *pfns = malloc(n * sizeof(*pfns));
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
	printf("\nWholly free blocks, of an ideal %lu\n%6s %11s %22s\n",
	       NR_BLOCKS - (live + BLOCK_PAGES - 1) / BLOCK_PAGES, "rounds", "blocks",
	       REFERENCE);
	count_whole(0);
	for (round = 1; round <= 100; round++) {
		shuffle(pfns, live, round + 1);
		for (i = 0; i < part; i++)
			allocator_free(&allocator, pfns[i], 0);
		for (i = 0; i < part; i++) {
			if (allocator_alloc(&allocator, 0, 0, UM_ZERO, &pfn))
				fail("out of pages");
			pfns[i] = (u32)pfn;
		}
		if (round == 20 || round == 40 || round == 60 || round == 100)
			count_whole(round);
	}
	for (i = 0; i < live; i++)
		allocator_free(&allocator, pfns[i], 0);
	free(pfns);
	stop();
}

static void metadata(void)
{
	unsigned long regions;
	double all, block = sizeof(struct block);

	start();
	/* The region of the first block is there for it alone: leave it out. */
	regions = table_nr_regions(&allocator.table);
	all = (double)table_bytes(&allocator.table) * (double)(regions - 1) /
		      (double)regions +
	      (double)(sizeof(struct cache) + um_nr_cpus * sizeof(struct cache_cpu));
	all /= (double)NR_BLOCKS;
	printf("\nMetadata of a whole block: %.1f bytes; with the table, the cache and its "
	       "CPUs %.1f\nfor each of %lu blocks (LLFree-c: 72.8)\n",
	       block, all, NR_BLOCKS);
	row("metadata_per_block", -1, 1, "bytes", block);
	row("metadata_in_all_per_block", -1, 1, "bytes", all);
	stop();
}

#endif

/* --- the command ---------------------------------------------------------- */

static void once(char **argv)
{
	unsigned int order = (unsigned int)atoi(argv[1]);
	unsigned int nr = (unsigned int)atoi(argv[2]);
	struct phase a = { 0, 0 }, f = a;
	enum workload work;

	if (order > BLOCK_ORDER)
		fail("an order of 0 to 9, please");
	if (nr < 1 || nr > MAX_ROUNDS)
		fail("1 to 16 rounds, please");
	for (work = 0; work < NR_WORKLOADS; work++) {
		if (strcmp(argv[0], workload_names[work]))
			continue;
		printf("%lu pairs a round\n", share(work, order, 1));
		run(work, order, 1, share(work, order, 1), nr, &a, &f);
		return;
	}
	fail("a case of at_once, bulk, random or remote, please");
}

static void usage(FILE *f)
{
	fprintf(f,
		"Usage: core [--repeat N] [--json FILE] [--peer FILE]\n"
		"       core --once CASE ORDER ROUNDS\n\n"
		"Measures the core in user space: nanoseconds for alloc and free at\n"
		"orders 0, 3, 6 and 9, blocks kept whole, bytes of metadata.\n\n"
		"  --repeat N   runs of each case, of which the best counts (5)\n"
		"  --json FILE  write a row for each figure\n"
		"  --peer FILE  what the same built with -DPEER wrote, to compare\n"
		"  --once ...   do some rounds of at_once, bulk, random or remote after a\n"
		"               first one; no times\n");
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "repeat", required_argument, NULL, 'r' },
		{ "json", required_argument, NULL, 'j' },
		{ "peer", required_argument, NULL, 'p' },
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
			rows = fopen(optarg, "w");
			if (!rows)
				fail("can't write the file of rows");
			break;
		case 'p':
			rows_read_peer(optarg);
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
#ifndef PEER
	keep_whole();
	metadata();
#endif
	if (!counted)
		fprintf(stderr,
			"bench/core: no instruction counter here: none counted\n");
	if (rows && fclose(rows))
		fail("can't write the file of rows");
	return 0;
}
