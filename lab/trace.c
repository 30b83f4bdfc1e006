// SPDX-License-Identifier: GPL-2.0 OR MIT
/* See trace.h for the model. */
#include "trace.h"

enum step_op {
	STEP_ALLOC,
	STEP_BULK,
	STEP_FREE,
	STEP_FREE_PIECES,
	STEP_FREE_MANY,
	STEP_SHRINK,
	STEP_DRAIN,
	STEP_TICK,
	STEP_OTHERS_ALLOC,
	STEP_OTHERS_FREE,
	STEP_OTHERS_FRAGMENT,
	STEP_OTHERS_UNMAP,
	STEP_OTHERS_MAP,
	STEP_OTHERS_FILL,
	STEP_OFFLINE, /* a range of blocks gives back what is free of it */
	STEP_LEAVE,   /* all clients free all, and the caches are emptied */
	NR_STEP_OPS,
};

static const char *const step_names[NR_STEP_OPS] = {
	"alloc",	   "bulk",	   "free",	 "free-pieces",	 "free-many",
	"shrink",	   "drain",	   "tick",	 "others-alloc", "others-free",
	"others-fragment", "others-unmap", "others-map", "others-fill",	 "offline",
	"leave",
};

/* How often each comes in a random trace. */
static const u8 step_weights[NR_STEP_OPS] = {
	30, 6, 22, 6, 4, 4, 2, 3, 6, 6, 4, 2, 2, 1, 2, 2,
};

static const struct {
	const char *name;
	size_t offset, size;
} machine_fields[] = {
#define FIELD(f) \
	{ \
#f, offsetof(struct machine_config, f), \
			sizeof(((struct machine_config *)0)->f) \
	}
	FIELD(nr_nodes),
	FIELD(nr_cpus),
	FIELD(node_pages),
	FIELD(boot_small),
	FIELD(boot_split_regions),
	FIELD(cant_heal_regions),
	FIELD(reclaim),
	FIELD(scatter),
	FIELD(dirty_is_fine),
};

void trace_init(struct trace *t)
{
	memset(t, 0, sizeof(*t));
	t->machine = (struct machine_config){
		.nr_nodes = 2,
		.nr_cpus = 2,
		.node_pages = 12 * BLOCK_PAGES,
	};
	t->check_pages = true;
	t->fail_op = -1;
}

void trace_destroy(struct trace *t)
{
	free(t->steps);
}

static void add_step(struct trace *t, struct step s)
{
	if (t->nr == t->room) {
		t->room = max(t->room * 2, 64UL);
		t->steps = realloc(t->steps, t->room * sizeof(*t->steps));
		if (!t->steps)
			abort();
	}
	t->steps[t->nr++] = s;
}

/* --- from a seed, from bytes, from text ------------------------------------- */

static u64 rng(u64 *state)
{
	u64 z = *state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

void trace_random(struct trace *t, u64 seed, unsigned long nr)
{
	unsigned int sum = 0, w;
	struct step s;
	u64 r;
	u8 op;

	for (op = 0; op < NR_STEP_OPS; op++)
		sum += step_weights[op];
	while (nr--) {
		r = rng(&seed);
		w = (unsigned int)(r >> 32) % sum;
		for (op = 0; w >= step_weights[op]; op++)
			w -= step_weights[op];
		s = (struct step){ op, { (u8)r, (u8)(r >> 8), (u8)(r >> 16) } };
		add_step(t, s);
	}
}

void trace_from_bytes(struct trace *t, const u8 *data, size_t size)
{
	if (size < 4)
		return;
	t->machine = (struct machine_config){
		.nr_nodes = 1 + (data[0] & 1),
		.nr_cpus = 1 + (data[0] >> 1 & 3),
		.node_pages = (2 + (data[0] >> 3 & 7)) * BLOCK_PAGES,
		.boot_small = data[1] & 3,
		.boot_split_regions = data[1] & 4,
		.cant_heal_regions = data[1] & 8,
		.reclaim = data[1] & 16,
		.scatter = data[1] & 32,
		.dirty_is_fine = (data[1] & 0xc0) == 0xc0,
	};
	t->fail_op = data[2] % (2 * NR_FALLIBLE + 2) <= NR_FALLIBLE
			     ? data[2] % (2 * NR_FALLIBLE + 2)
			     : -1;
	t->fail_nth = data[3];
	for (data += 4, size -= 4; size >= 4; data += 4, size -= 4)
		add_step(t,
			 (struct step){ data[0] < 252 ? data[0] % STEP_LEAVE : STEP_LEAVE,
					{ data[1], data[2], data[3] } });
}

static unsigned long get_field(const struct trace *t, unsigned int i)
{
	const char *p = (const char *)&t->machine + machine_fields[i].offset;

	if (machine_fields[i].size == sizeof(bool))
		return *(const bool *)p;
	if (machine_fields[i].size == sizeof(unsigned int))
		return *(const unsigned int *)p;
	return *(const unsigned long *)p;
}

static void set_field(struct trace *t, unsigned int i, unsigned long value)
{
	char *p = (char *)&t->machine + machine_fields[i].offset;

	if (machine_fields[i].size == sizeof(bool))
		*(bool *)p = value;
	else if (machine_fields[i].size == sizeof(unsigned int))
		*(unsigned int *)p = (unsigned int)value;
	else
		*(unsigned long *)p = value;
}

void trace_write(const struct trace *t, FILE *f)
{
	unsigned long i;

	for (i = 0; i < ARRAY_SIZE(machine_fields); i++)
		fprintf(f, "machine %s %lu\n", machine_fields[i].name,
			get_field(t, (unsigned int)i));
	if (t->fail_op >= 0)
		fprintf(f, "fail %d %ld\n", t->fail_op, t->fail_nth);
	for (i = 0; i < t->nr; i++)
		fprintf(f, "%s %u %u %u\n", step_names[t->steps[i].op],
			t->steps[i].arg[0], t->steps[i].arg[1], t->steps[i].arg[2]);
}

static bool sane(const struct machine_config *c)
{
	return c->nr_nodes >= 1 && c->nr_nodes <= 64 && c->nr_cpus >= 1 &&
	       c->nr_cpus <= MAX_CPUS && c->node_pages >= BLOCK_PAGES &&
	       c->node_pages % BLOCK_PAGES == 0 && c->node_pages <= 1UL << 26;
}

static bool read_line(struct trace *t, const char *line)
{
	unsigned long value;
	unsigned int a, b, c, i;
	char name[32];

	if (line[0] == '#' || line[0] == '\n')
		return true;
	if (sscanf(line, "machine %31s %lu", name, &value) == 2) {
		for (i = 0; i < ARRAY_SIZE(machine_fields); i++) {
			if (strcmp(name, machine_fields[i].name))
				continue;
			set_field(t, i, value);
			return true;
		}
		return false;
	}
	if (sscanf(line, "fail %u %lu", &a, &value) == 2 && a <= NR_FALLIBLE) {
		t->fail_op = (int)a;
		t->fail_nth = (long)value;
		return true;
	}
	if (sscanf(line, "%31s %u %u %u", name, &a, &b, &c) != 4 || a > 255 || b > 255 ||
	    c > 255)
		return false;
	for (i = 0; i < NR_STEP_OPS; i++) {
		if (strcmp(name, step_names[i]))
			continue;
		add_step(t, (struct step){ (u8)i, { (u8)a, (u8)b, (u8)c } });
		return true;
	}
	return false;
}

int trace_read(struct trace *t, FILE *f)
{
	char line[128];
	int nr = 0;

	while (fgets(line, sizeof(line), f)) {
		nr++;
		if (!read_line(t, line))
			return nr;
	}
	return sane(&t->machine) ? 0 : 1;
}

/* --- running ----------------------------------------------------------------- */

struct run {
	struct machine m;
	struct client clients[NR_CLIENTS];
	struct trace_result *result;
};

static unsigned int order_of(u8 arg)
{
	return arg < 128 ? 0 : (arg - 128U) % (BLOCK_ORDER + 1);
}

/* Some of the whole blocks are runs of up to eight. */
static unsigned int run_of(const u8 *arg)
{
	return order_of(arg[1]) == BLOCK_ORDER && arg[2] >> 5 > 4 ? (arg[2] >> 5) - 4U
								  : 0;
}

static unsigned int flags_of(u8 arg)
{
	return ((arg & 3) != 3 ? UM_ZERO : 0) | ((arg & 12) == 12 ? UM_NOWAIT : 0) |
	       (arg & 16 ? UM_THISNODE : 0);
}

static void shrink(struct run *run, const u8 *arg)
{
	struct machine *m = &run->m;
	int nid = arg[0] & 1 ? -1 : (arg[0] >> 1) % (int)m->config.nr_nodes;
	unsigned long nr = arg[1] == 255 ? ~0UL : 1 + arg[1] * 16UL;
	unsigned long before = m->calls[OP_PUT], done;

	done = allocator_shrink(&m->allocator, nid, nr, arg[2] & 1 ? UM_TRY : 0);
	if (done && before == m->calls[OP_PUT])
		machine_broken(m, "shrink says %lu pages and released none", done);
}

/* What is left of the range is what clients hold, and what could not be mapped. */
static void offline(struct run *run, const u8 *arg)
{
	struct machine *m = &run->m;
	unsigned long nr_blocks = m->nr_pages / BLOCK_PAGES;
	unsigned long first = (arg[0] << 8 | arg[1]) % nr_blocks;
	unsigned long i, end = min(first + 1 + arg[2] % 8, nr_blocks), left, has = 0;

	left = allocator_release_range(&m->allocator, first * BLOCK_PAGES,
				       end * BLOCK_PAGES);
	for (i = first; i < end; i++) {
		has += m->nr_core[i];
		if (m->nr_core[i] && !m->nr_held[i] && !m->map_failed[i])
			machine_broken(m, "block %lu is free, and not given back", i);
	}
	if (left != has)
		machine_broken(m, "offline says %lu pages are left, not %lu", left, has);
}

/* The numbers of a step are taken modulo what there is. */
static void do_step(struct run *run, const struct step *s)
{
	struct machine *m = &run->m;
	struct client *c = &run->clients[s->arg[0] % NR_CLIENTS];
	unsigned int nodes = m->config.nr_nodes;
	int nid = (s->arg[0] >> 4) % (int)nodes;
	unsigned long other = m->nr_others ? (s->arg[1] << 8 | s->arg[2]) % m->nr_others
					   : 0;
	unsigned long i, n;

	um_cpu = (s->arg[0] >> 2) % (int)m->config.nr_cpus;
	switch ((enum step_op)s->op) {
	case STEP_ALLOC:
		if (client_alloc(c, nid, order_of(s->arg[1]) + run_of(s->arg),
				 flags_of(s->arg[2])))
			run->result->refused++;
		else
			run->result->handed_out++;
		break;
	case STEP_BULK:
		run->result->handed_out +=
			client_alloc_bulk(c, nid, flags_of(s->arg[2]), s->arg[1] * 5UL);
		break;
	case STEP_FREE:
	case STEP_FREE_PIECES:
		if (!c->nr_held)
			break;
		i = (s->arg[1] << 8 | s->arg[2]) % c->nr_held;
		if (s->op == STEP_FREE_PIECES && s->arg[0] & 0x80)
			client_free(c, client_join(c, i), REGION_ORDER);
		else
			client_free(c, i,
				    s->op == STEP_FREE ? REGION_ORDER : s->arg[2] % 4);
		break;
	case STEP_FREE_MANY:
		n = c->nr_held * s->arg[1] / 255;
		for (i = 0; i < n; i++)
			client_free(c, (s->arg[2] + i * 7) % c->nr_held, BLOCK_ORDER);
		break;
	case STEP_SHRINK:
		shrink(run, s->arg);
		break;
	case STEP_DRAIN:
		allocator_drain_cpu(&m->allocator);
		break;
	case STEP_TICK:
		m->clock += s->arg[1] * 20000000ULL;
		break;
	case STEP_OTHERS_ALLOC:
		others_alloc(m, nid, order_of(s->arg[1]));
		break;
	case STEP_OTHERS_FREE:
		if (m->nr_others)
			others_free(m, other);
		break;
	case STEP_OTHERS_FRAGMENT:
		for (i = 0; i <= s->arg[1] % 8U; i++)
			others_fragment(m, nid);
		break;
	case STEP_OTHERS_UNMAP:
		if (m->nr_others && m->others[other].order < BLOCK_ORDER)
			others_unmap(m, other);
		break;
	case STEP_OTHERS_MAP:
		if (m->nr_others)
			others_map(m, other);
		break;
	case STEP_OTHERS_FILL:
		others_fill(m, nid, s->arg[1] * 2U);
		break;
	case STEP_OFFLINE:
		offline(run, s->arg);
		break;
	case STEP_LEAVE:
		for (i = 0; i < NR_CLIENTS; i++)
			client_free_all(&run->clients[i]);
		allocator_shrink(&m->allocator, -1, ~0UL, 0);
		break;
	case NR_STEP_OPS:
		break;
	}
	um_cpu = 0;
}

static void finish(struct run *run, const struct snapshot *before)
{
	unsigned int i;

	for (i = 0; i < NR_CLIENTS; i++)
		client_free_all(&run->clients[i]);
	others_free_all(&run->m);
	check_end(&run->m, before);
}

bool trace_run(const struct trace *t, struct trace_result *r)
{
	struct run run = { .result = r };
	struct machine *m = &run.m;
	struct snapshot before;
	unsigned long left;
	unsigned int i;
	int err;

	memset(r, 0, sizeof(*r));
	um_fail_nth = t->fail_op == NR_FALLIBLE ? t->fail_nth : -1;
	err = machine_init(m, &t->machine);
	if (err) {
		/* Only when that was asked for, and with nothing left behind. */
		r->failed = t->fail_op == NR_FALLIBLE && err == -ENOMEM;
		if (!r->failed)
			snprintf(r->broken, sizeof(r->broken), "init failed: %d", err);
		um_fail_nth = -1;
		return r->failed;
	}
	for (i = 0; i < NR_CLIENTS; i++)
		client_init(&run.clients[i], m, i + 1);
	if (t->fail_op >= 0 && t->fail_op < NR_FALLIBLE)
		m->fail_at[t->fail_op] = t->fail_nth;
	snapshot_take(&before, m);

	for (r->step = 0; r->step < t->nr; r->step++) {
		do_step(&run, &t->steps[r->step]);
		check_step(m, t->check_pages);
		if (m->broken[0])
			break;
	}
	left = (unsigned long)um_fail_nth;
	if (!m->broken[0])
		finish(&run, &before);

	memcpy(r->broken, m->broken, sizeof(r->broken));
	memcpy(r->calls, m->calls, sizeof(r->calls));
	r->failed = t->fail_op >= 0 && t->fail_op < NR_FALLIBLE
			    ? m->failed[t->fail_op] > 0
			    : t->fail_op == NR_FALLIBLE && left == ~0UL;
	r->splits_2m = m->map.splits_2m;
	r->splits_1g = m->map.splits_1g;
	r->heals_2m = m->map.heals_2m;
	r->heals_1g = m->map.heals_1g;
	r->flushes = m->map.flushes;
	um_fail_nth = -1;
	for (i = 0; i < NR_CLIENTS; i++)
		client_destroy(&run.clients[i]);
	snapshot_free(&before);
	machine_destroy(m);
	return !r->broken[0];
}
