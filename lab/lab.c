// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * lab - random and recorded traces on the simulated machine.
 *
 * Prints a line for each batch of traces in TAP form; for a trace that fails,
 * what is broken, in which step, and the command that shows it again.
 */
#include <getopt.h>
#include <signal.h>
#include <unistd.h>

#include "trace.h"

static const char *const op_names[NR_FALLIBLE + 1] = {
	"get", "unmap", "map", "heal", "heal_region", "metadata",
};

struct options {
	u64 seed;
	unsigned long steps, traces;
	bool fail_every, quick, vary;
	const char *record, *replay;
	struct machine_config machine;
};

static unsigned long nr_ok, nr_failed;

static void verdict(bool ok, const char *format, unsigned long a, const char *what)
{
	printf("%sok %lu - ", ok ? "" : "not ", nr_ok + nr_failed + 1);
	printf(format, a, what);
	printf("\n");
	*(ok ? &nr_ok : &nr_failed) += 1;
}

static void usage(FILE *f)
{
	fprintf(f,
		"Usage: lab [OPTION...]\n\n"
		"Runs traces of allocations on a simulated machine and checks every\n"
		"invariant after each step.  Fails if one is broken.\n\n"
		"  --seed N        first seed (1)\n"
		"  --steps N       steps of a trace (200)\n"
		"  --traces N      how many seeds to run (1)\n"
		"  --vary          another kind of machine for each seed\n"
		"  --fail-every    run each trace again and again, so that each call of\n"
		"                  each operation that can fail fails once\n"
		"  --memory SIZE   of the machine, as 64M or 4G (48M)\n"
		"  --nodes N       NUMA nodes (2)\n"
		"  --cpus N        1 to %u (2)\n"
		"  --boot-small N  each N-th block is in 4 KiB entries from boot on\n"
		"  --boot-2m       no 1 GiB entries from boot on\n"
		"  --no-1g-heal    1 GiB entries can't be healed, as on most kernels\n"
		"  --reclaim       the system shrinks the caches when it is out of memory\n"
		"  --scatter       the system's blocks come in random order\n"
		"  --quick         look at each page at the end only, not after each step\n"
		"  --record FILE   write the (last) trace as text\n"
		"  --replay FILE   run that instead of a random one\n",
		MAX_CPUS);
}

static unsigned long parse_size(const char *s)
{
	char *end;
	unsigned long n = strtoul(s, &end, 10);

	if (*end == 'G')
		n <<= 30;
	else if (*end == 'M')
		n <<= 20;
	else if (*end)
		return 0;
	return n;
}

static void vary_machine(struct machine_config *c, u64 seed)
{
	c->nr_nodes = 1 + seed % 3;
	c->nr_cpus = 1 + seed / 2 % 4;
	c->node_pages = (3 + seed % 11) * BLOCK_PAGES;
	c->boot_small = seed % 5 == 4 ? 3 : 0;
	c->boot_split_regions = seed % 7 == 6;
	c->cant_heal_regions = seed % 4 == 3;
	c->reclaim = seed % 3 == 2;
	c->scatter = seed % 2;
	c->dirty_is_fine = seed % 13 == 12;
}

static void explain(const struct trace *t, const struct trace_result *r, u64 seed)
{
	FILE *f = fopen("lab-failed.trace", "w");

	printf("# broken: %s\n# in step %lu of %lu, seed %llu", r->broken, r->step, t->nr,
	       (unsigned long long)seed);
	if (t->fail_op >= 0)
		printf(", call %ld of %s failing", t->fail_nth, op_names[t->fail_op]);
	printf("\n");
	if (!f)
		return;
	trace_write(t, f);
	fclose(f);
	printf("# again: lab --replay lab-failed.trace\n");
}

/* How often a call of each was made to fail. */
static unsigned long reached[NR_FALLIBLE + 1];

/* Every call of every operation that can fail, one after the other. */
static bool fail_every(struct trace *t, u64 seed, unsigned long *runs)
{
	struct trace_result r;

	for (t->fail_op = 0; t->fail_op <= NR_FALLIBLE; t->fail_op++) {
		for (t->fail_nth = 0;; t->fail_nth++) {
			++*runs;
			if (!trace_run(t, &r)) {
				explain(t, &r, seed);
				return false;
			}
			if (!r.failed)
				break;
			reached[t->fail_op]++;
		}
	}
	t->fail_op = -1;
	return true;
}

static void summary(const struct trace_result *r)
{
	printf("# %lu requests served, %lu refused; get %lu, put %lu, flushes %lu, "
	       "splits %lu and %lu, heals %lu and %lu\n",
	       r->handed_out, r->refused, r->calls[OP_GET], r->calls[OP_PUT], r->flushes,
	       r->splits_2m, r->splits_1g, r->heals_2m, r->heals_1g);
}

static void run_random(const struct options *o)
{
	unsigned long i, runs = 0, good = 0;
	struct trace_result r;
	FILE *f;

	for (i = 0; i < o->traces; i++) {
		struct trace t;
		bool ok;

		trace_init(&t);
		t.machine = o->machine;
		t.check_pages = !o->quick;
		if (o->vary)
			vary_machine(&t.machine, o->seed + i);
		trace_random(&t, o->seed + i, o->steps);
		f = o->record ? fopen(o->record, "w") : NULL;
		if (f) {
			trace_write(&t, f);
			fclose(f);
		}
		ok = trace_run(&t, &r);
		runs++;
		if (!ok)
			explain(&t, &r, o->seed + i);
		else if (o->fail_every)
			ok = fail_every(&t, o->seed + i, &runs);
		good += ok;
		trace_destroy(&t);
		if (!ok)
			break;
	}
	if (good)
		summary(&r);
	if (o->fail_every) {
		printf("# calls that failed:");
		for (i = 0; i <= NR_FALLIBLE; i++)
			printf(" %s %lu%s", op_names[i], reached[i],
			       i < NR_FALLIBLE ? "," : "\n");
	}
	verdict(good == o->traces,
		o->fail_every ? "%lu runs, %s" : "%lu random traces, %s", runs,
		o->fail_every ? "each call that can fail failing once"
			      : "every invariant after every step");
}

static void run_recorded(const struct options *o)
{
	struct trace_result r;
	struct trace t;
	FILE *f = fopen(o->replay, "r");
	bool ok = false;
	int line;

	if (!f) {
		fprintf(stderr, "lab: %s: %s\n", o->replay, strerror(errno));
		exit(2);
	}
	trace_init(&t);
	line = trace_read(&t, f);
	fclose(f);
	if (line) {
		fprintf(stderr, "lab: %s:%d: not a line of a trace\n", o->replay, line);
		exit(2);
	}
	ok = trace_run(&t, &r);
	if (!ok)
		printf("# broken: %s\n# in step %lu of %lu\n", r.broken, r.step, t.nr);
	else
		summary(&r);
	verdict(ok, "%lu steps of %s", t.nr, o->replay);
	trace_destroy(&t);
}

/*
 * Pages have no memory behind them: whoever follows an address of the direct map
 * (metadata in unmapped memory) gets here.  Other faults are as they were.
 */
static struct sigaction faults_before;

static void fault(int signal, siginfo_t *info, void *context)
{
	unsigned long pfn = (unsigned long)(uintptr_t)info->si_addr >> PAGE_SHIFT;
	char text[80];
	int n;

	(void)context;
	if (!machine_current || pfn >= machine_current->nr_pages) {
		sigaction(signal, &faults_before, NULL);
		return;
	}
	n = snprintf(text, sizeof(text), "# broken: pfn %#lx was touched, owner %u, %s\n",
		     pfn, machine_current->owner[pfn],
		     machine_current->map.absent[pfn] ? "absent" : "present");
	_exit(write(STDOUT_FILENO, text, (size_t)n) == n ? 1 : 2);
}

int main(int argc, char **argv)
{
	const struct sigaction on_fault = {
		.sa_sigaction = fault,
		.sa_flags = SA_SIGINFO,
	};

	enum {
		SEED = 256,
		STEPS,
		TRACES,
		VARY,
		FAIL,
		MEMORY,
		NODES,
		CPUS,
		BOOT_SMALL,
		BOOT_2M,
		NO_HEAL,
		RECLAIM,
		SCATTER,
		QUICK,
		RECORD,
		REPLAY,
		HELP
	};
	static const struct option list[] = {
		{ "seed", 1, NULL, SEED },
		{ "steps", 1, NULL, STEPS },
		{ "traces", 1, NULL, TRACES },
		{ "vary", 0, NULL, VARY },
		{ "fail-every", 0, NULL, FAIL },
		{ "memory", 1, NULL, MEMORY },
		{ "nodes", 1, NULL, NODES },
		{ "cpus", 1, NULL, CPUS },
		{ "boot-small", 1, NULL, BOOT_SMALL },
		{ "boot-2m", 0, NULL, BOOT_2M },
		{ "no-1g-heal", 0, NULL, NO_HEAL },
		{ "reclaim", 0, NULL, RECLAIM },
		{ "scatter", 0, NULL, SCATTER },
		{ "quick", 0, NULL, QUICK },
		{ "record", 1, NULL, RECORD },
		{ "replay", 1, NULL, REPLAY },
		{ "help", 0, NULL, HELP },
		{ 0 },
	};
	struct options o = { .seed = 1, .steps = 200, .traces = 1 };
	unsigned long memory = 48UL << 20;
	int opt;

	sigaction(SIGSEGV, &on_fault, &faults_before);
	o.machine.nr_nodes = 2;
	o.machine.nr_cpus = 2;
	while ((opt = getopt_long(argc, argv, "", list, NULL)) >= 0) {
		switch (opt) {
		case SEED:
			o.seed = strtoull(optarg, NULL, 0);
			break;
		case STEPS:
			o.steps = strtoul(optarg, NULL, 0);
			break;
		case TRACES:
			o.traces = strtoul(optarg, NULL, 0);
			break;
		case VARY:
			o.vary = true;
			break;
		case FAIL:
			o.fail_every = true;
			break;
		case MEMORY:
			memory = parse_size(optarg);
			break;
		case NODES:
			o.machine.nr_nodes = (unsigned int)atoi(optarg);
			break;
		case CPUS:
			o.machine.nr_cpus = (unsigned int)atoi(optarg);
			break;
		case BOOT_SMALL:
			o.machine.boot_small = (unsigned int)atoi(optarg);
			break;
		case BOOT_2M:
			o.machine.boot_split_regions = true;
			break;
		case NO_HEAL:
			o.machine.cant_heal_regions = true;
			break;
		case RECLAIM:
			o.machine.reclaim = true;
			break;
		case SCATTER:
			o.machine.scatter = true;
			break;
		case QUICK:
			o.quick = true;
			break;
		case RECORD:
			o.record = optarg;
			break;
		case REPLAY:
			o.replay = optarg;
			break;
		case HELP:
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (optind != argc || !o.traces || o.machine.nr_nodes < 1 ||
	    o.machine.nr_nodes > 64 || o.machine.nr_cpus < 1 ||
	    o.machine.nr_cpus > MAX_CPUS ||
	    memory / o.machine.nr_nodes < 2 * BLOCK_PAGES * PAGE_SIZE) {
		usage(stderr);
		return 2;
	}
	o.machine.node_pages = memory / o.machine.nr_nodes / PAGE_SIZE &
			       ~(BLOCK_PAGES - 1UL);
	if (o.replay)
		run_recorded(&o);
	else
		run_random(&o);
	printf("%lu passed, %lu failed, 0 skipped\n", nr_ok, nr_failed);
	return nr_failed ? 1 : 0;
}
