// SPDX-License-Identifier: GPL-2.0 OR MIT
/* See machine.h for the model. */
#include <stdarg.h>

#include "machine.h"

struct machine *machine_current;

void machine_broken(struct machine *m, const char *format, ...)
{
	va_list args;

	if (m->broken[0])
		return;
	va_start(args, format);
	vsnprintf(m->broken, sizeof(m->broken), format, args);
	va_end(args);
}

void machine_warn(const char *file, int line, const char *what)
{
	struct machine *m = machine_current;

	__atomic_add_fetch(&m->warnings, 1, __ATOMIC_RELAXED);
	if (m->warnings > m->expected_warnings + m->failed[OP_MAP])
		machine_broken(m, "warning at %s:%d: %s", file, line, what);
}

/* --- what every operation checks ------------------------------------------ */

static bool in_memory(struct machine *m, const char *op, unsigned long pfn,
		      unsigned int order)
{
	if (order <= REGION_ORDER && pfn + (1UL << order) <= m->nr_pages &&
	    !(pfn & ((1UL << order) - 1)))
		return true;
	machine_broken(m, "%s() of pfn %#lx, order %u, which there is not", op, pfn,
		       order);
	return false;
}

/* Called with the machine unlocked or locked; true when it shall fail. */
static bool called(struct machine *m, enum machine_op op, bool may_sleep)
{
	static const char *const names[NR_OPS] = {
		"get", "unmap", "map",	"heal",	 "heal_region",
		"put", "flush", "zero", "drain",
	};

	m->calls[op]++;
	if (um_spin_depth && op != OP_ZERO)
		machine_broken(m, "%s() under a spinlock", names[op]);
	if (may_sleep && um_atomic)
		machine_broken(m, "%s() in atomic context", names[op]);
	if ((int)op < NR_FALLIBLE &&
	    (m->fails[op] || (m->fail_at[op] >= 0 && m->fail_at[op]-- == 0))) {
		m->failed[op]++;
		return true;
	}
	return false;
}

/* Every page of the range is the core's, and in the state it should be. */
static bool core_has(struct machine *m, const char *op, unsigned long pfn,
		     unsigned int order, bool absent)
{
	unsigned long i;

	if (!in_memory(m, op, pfn, order))
		return false;
	for (i = pfn; i < pfn + (1UL << order); i++) {
		if (m->owner[i] != OWNER_CORE) {
			machine_broken(m, "%s() of pfn %#lx, which is not the core's", op,
				       i);
			return false;
		}
		if (m->map.absent[i] != absent) {
			machine_broken(m, "%s() of pfn %#lx, which is %s", op, i,
				       absent ? "present" : "absent");
			return false;
		}
	}
	return true;
}

/* --- memory ---------------------------------------------------------------- */

static bool run_is_free(const struct machine *m, unsigned long pfn, unsigned int order)
{
	unsigned long i;

	for (i = pfn; i < pfn + (1UL << order); i++)
		if (m->owner[i] != OWNER_NONE)
			return false;
	return true;
}

/* The first that is free of the aligned runs from @from to @end. */
static int find_run(struct machine *m, unsigned int order, unsigned long from,
		    unsigned long end, unsigned long *pfn)
{
	unsigned long mask = (1UL << order) - 1;

	for (from = (from + mask) & ~mask; from + mask < end; from += mask + 1) {
		if (!run_is_free(m, from, order))
			continue;
		*pfn = from;
		return 0;
	}
	return -ENOMEM;
}

int machine_find(struct machine *m, int nid, unsigned int order, unsigned long *pfn)
{
	unsigned long blocks = m->config.node_pages >> BLOCK_ORDER;
	unsigned long first = (unsigned long)nid * blocks;
	unsigned long k, b, i, start = 0;
	unsigned int pass;

	if (order > BLOCK_ORDER)
		return find_run(m, order, first << BLOCK_ORDER,
				(first + blocks) << BLOCK_ORDER, pfn);
	if (m->config.scatter) {
		m->random = m->random * 6364136223846793005UL + 1442695040888963407UL;
		start = (m->random >> 33) % blocks;
	}
	/* As a buddy allocator does: a whole block is broken only at last. */
	for (pass = order == BLOCK_ORDER; pass < 2; pass++) {
		for (k = 0; k < blocks; k++) {
			b = first + (start + k) % blocks;
			if ((m->nr_used[b] == 0) != pass ||
			    m->nr_used[b] + (1U << order) > BLOCK_PAGES)
				continue;
			for (i = b << BLOCK_ORDER; i < (b + 1) << BLOCK_ORDER;
			     i += 1UL << order) {
				if (!run_is_free(m, i, order))
					continue;
				*pfn = i;
				return 0;
			}
		}
	}
	return -ENOMEM;
}

static void take(struct machine *m, unsigned long pfn, unsigned int order,
		 enum owner owner, u64 tag)
{
	unsigned long i;

	for (i = pfn; i < pfn + (1UL << order); i++) {
		if (m->map.absent[i])
			machine_broken(m,
				       "pfn %#lx is with the system and absent: "
				       "clearing it kills the kernel",
				       i);
		if (owner == OWNER_OTHERS && m->tag[i] && m->tag[i] != OTHERS_TAG)
			machine_broken(m, "pfn %#lx comes to others with old content", i);
		m->owner[i] = owner;
		m->tag[i] = tag;
		m->nr_used[i >> BLOCK_ORDER]++;
		m->nr_core[i >> BLOCK_ORDER] += owner == OWNER_CORE;
	}
}

/* Of blocks: page owner and the like account by what was got, so it goes as it came. */
static void came(struct machine *m, unsigned long pfn, unsigned int order, bool whole)
{
	unsigned long b = pfn >> BLOCK_ORDER, end = (pfn + (1UL << order)) >> BLOCK_ORDER;

	if (order < BLOCK_ORDER)
		end = b + 1;
	memset(&m->came_whole[b], whole, end - b);
}

static void check_whole(struct machine *m, unsigned long pfn, unsigned int order)
{
	unsigned long b, end = (pfn + (1UL << order)) >> BLOCK_ORDER;

	for (b = pfn >> BLOCK_ORDER; b < end; b++)
		if (!m->came_whole[b])
			machine_broken(
				m, "put() of block %#lx as one, which came in pieces", b);
}

static void give_back(struct machine *m, unsigned long pfn, unsigned int order)
{
	unsigned long i;

	for (i = pfn; i < pfn + (1UL << order); i++) {
		m->nr_used[i >> BLOCK_ORDER]--;
		m->nr_core[i >> BLOCK_ORDER] -= m->owner[i] == OWNER_CORE;
		m->owner[i] = OWNER_NONE;
	}
}

/* --- the operations --------------------------------------------------------- */

static int machine_get(void *host, int nid, unsigned int order, unsigned int flags,
		       unsigned long *pfn)
{
	struct machine *m = host;
	unsigned long larger;
	int err;

	machine_lock(m);
	if (nid < 0 || nid >= (int)m->config.nr_nodes || order > REGION_ORDER ||
	    flags & ~UM_TRY) {
		machine_broken(m, "get() of node %d, order %u, flags %#x", nid, order,
			       flags);
		machine_unlock(m);
		return -ENOMEM;
	}
	if (called(m, OP_GET, true)) {
		machine_unlock(m);
		return -ENOMEM;
	}
	err = machine_find(m, nid, order, pfn);
	if (!err && order < BLOCK_ORDER && !m->failed[OP_GET] && !m->config.threaded &&
	    !machine_find(m, nid, order + 1, &larger))
		machine_broken(m,
			       "get() of order %u although there is a larger one at %#lx",
			       order, larger);
	if (err && m->config.reclaim && !(flags & UM_TRY)) {
		machine_unlock(m);
		allocator_shrink(&m->allocator, -1, 1UL << order, UM_TRY);
		machine_lock(m);
		err = machine_find(m, nid, order, pfn);
	}
	if (!err) {
		take(m, *pfn, order, OWNER_CORE, 0);
		came(m, *pfn, order, order >= BLOCK_ORDER);
	}
	machine_unlock(m);
	return err;
}

static int machine_get_near(void *host, int nid, unsigned int *order, unsigned long *pfn)
{
	struct machine *m = host;
	unsigned long first = (unsigned long)nid * m->config.node_pages;
	unsigned long end = ((*pfn >> REGION_ORDER) + 1) << REGION_ORDER;
	unsigned int largest = *order;
	int err = -ENOMEM;

	machine_lock(m);
	end = min(end, first + m->config.node_pages);
	if (!called(m, OP_GET, true))
		err = find_run(m, BLOCK_ORDER, max(*pfn, first), end, pfn);
	for (*order = BLOCK_ORDER; !err && *order < largest; ++*order)
		if (*pfn & 1UL << *order || *pfn + (2UL << *order) > end ||
		    !run_is_free(m, *pfn, *order + 1))
			break;
	if (!err) {
		take(m, *pfn, *order, OWNER_CORE, 0);
		came(m, *pfn, *order, true);
	}
	machine_unlock(m);
	return err;
}

static void machine_put(void *host, unsigned long pfn, unsigned int order)
{
	struct machine *m = host;
	unsigned long i;

	machine_lock(m);
	called(m, OP_PUT, false);
	if (core_has(m, "put", pfn, order, false)) {
		if (order >= BLOCK_ORDER)
			check_whole(m, pfn, order);
		for (i = pfn; i < pfn + (1UL << order); i++) {
			if (m->cant_map[i])
				machine_broken(
					m,
					"pfn %#lx was released although map() of it "
					"failed",
					i);
			if (m->holder[i])
				machine_broken(m, "pfn %#lx was released while in use",
					       i);
			if (m->tag[i] && !m->config.dirty_is_fine)
				machine_broken(
					m, "pfn %#lx was released with old content", i);
			if (m->config.dirty_is_fine)
				m->tag[i] = 0;
		}
		give_back(m, pfn, order);
	}
	machine_unlock(m);
}

static int machine_unmap(void *host, unsigned long pfn, unsigned int order)
{
	struct machine *m = host;
	int ret = UNMAP_ERRNO;

	machine_lock(m);
	if (!called(m, OP_UNMAP, true) && core_has(m, "unmap", pfn, order, false))
		ret = directmap_unmap(&m->map, pfn, order, SPLIT_BY_US);
	machine_unlock(m);
	return ret;
}

static int machine_map(void *host, unsigned long pfn, unsigned int order)
{
	struct machine *m = host;
	int ret = -EIO;

	machine_lock(m);
	if (called(m, OP_MAP, false)) {
		/* A region may well be mapped block by block then. */
		if (order <= BLOCK_ORDER) {
			m->map_failed[pfn >> BLOCK_ORDER] = true;
			memset(&m->cant_map[pfn], true, 1UL << order);
		}
	} else if (core_has(m, "map", pfn, order, true)) {
		ret = directmap_map(&m->map, pfn, order);
		if (ret < 0)
			machine_broken(m, "map() of pfn %#lx, order %u, would split", pfn,
				       order);
	}
	machine_unlock(m);
	return ret;
}

static void machine_flush(void *host)
{
	struct machine *m = host;

	machine_lock(m);
	called(m, OP_FLUSH, true);
	directmap_flush(&m->map);
	machine_unlock(m);
}

static int machine_heal(void *host, unsigned long pfn)
{
	struct machine *m = host;
	int ret = -EBUSY;

	machine_lock(m);
	if (in_memory(m, "heal", pfn, BLOCK_ORDER)) {
		if (!called(m, OP_HEAL, true))
			ret = directmap_heal(&m->map, pfn);
		if (ret == -EPERM)
			machine_broken(m, "heal() of pfn %#lx, which others split", pfn);
		m->heal_refused[pfn >> BLOCK_ORDER] = !!ret;
	}
	machine_unlock(m);
	return ret;
}

static int machine_heal_region(void *host, unsigned long pfn)
{
	struct machine *m = host;
	int ret = -EBUSY;

	machine_lock(m);
	if (pfn >= m->nr_pages || pfn & ((1UL << REGION_ORDER) - 1)) {
		machine_broken(m, "heal_region() of pfn %#lx", pfn);
	} else {
		if (!called(m, OP_HEAL_REGION, true) && !m->config.cant_heal_regions)
			ret = directmap_heal_region(&m->map, pfn);
		if (ret == -EPERM)
			machine_broken(m, "heal_region() of pfn %#lx, which others split",
				       pfn);
	}
	machine_unlock(m);
	return ret;
}

static bool machine_unbroken(void *host, unsigned long pfn)
{
	struct machine *m = host;
	bool unbroken;

	machine_lock(m);
	unbroken = pfn < m->nr_pages && !m->map.region_split[pfn >> REGION_ORDER] &&
		   !m->map.region_absent[pfn >> REGION_ORDER];
	machine_unlock(m);
	return unbroken;
}

static void machine_zero(void *host, unsigned long pfn, unsigned int order)
{
	struct machine *m = host;

	machine_lock(m);
	called(m, OP_ZERO, false);
	if (core_has(m, "zero", pfn, order, true)) {
		memset(&m->tag[pfn], 0, sizeof(*m->tag) << order);
		m->pages_zeroed += 1UL << order;
	}
	machine_unlock(m);
}

static u64 machine_now(void *host)
{
	struct machine *m = host;

	return __atomic_load_n(&m->clock, __ATOMIC_RELAXED);
}

static void machine_wake(void *host, int nid)
{
	struct machine *m = host;

	machine_lock(m);
	if ((unsigned int)nid >= m->config.nr_nodes)
		machine_broken(m, "a refill of node %d is asked for", nid);
	m->asked++;
	machine_unlock(m);
}

static void machine_drain(void *host, struct allocator *a)
{
	struct machine *m = host;
	int cpu = um_cpu;

	machine_lock(m);
	called(m, OP_DRAIN, true);
	machine_unlock(m);
	if (m->config.threaded) {
		for (cpu = 0; cpu < (int)m->config.nr_cpus; cpu++)
			__atomic_store_n(&m->drain_wanted[cpu], 1, __ATOMIC_RELEASE);
		machine_safe_point(m);
		return;
	}
	for (um_cpu = 0; um_cpu < (int)m->config.nr_cpus; um_cpu++)
		if (allocator_cpu_holds(a, (unsigned int)um_cpu))
			allocator_drain_cpu(a);
	um_cpu = cpu;
}

void machine_safe_point(struct machine *m)
{
	if (__atomic_exchange_n(&m->drain_wanted[um_cpu], 0, __ATOMIC_ACQUIRE))
		allocator_drain_cpu(&m->allocator);
}

/* Nodes stand in a row: the nearer number is the nearer node. */
static int machine_nearest_node(void *host, int nid, int prev)
{
	struct machine *m = host;
	int n = (int)m->config.nr_nodes;
	int distance = prev < 0 ? 0 : abs(prev - nid);

	if (prev >= nid && nid - distance >= 0 && distance)
		return nid - distance;
	distance = prev < 0 ? 0 : distance + 1;
	if (nid + distance < n)
		return nid + distance;
	return nid - distance >= 0 ? nid - distance : -1;
}

/* --- others ----------------------------------------------------------------- */

static int others_take(struct machine *m, unsigned long pfn, unsigned int order)
{
	struct others_page *more;

	if (m->nr_others == m->room_others) {
		m->room_others = max(m->room_others * 2, 64UL);
		more = realloc(m->others, m->room_others * sizeof(*more));
		if (!more)
			return -ENOMEM;
		m->others = more;
	}
	take(m, pfn, order, OWNER_OTHERS, OTHERS_TAG);
	m->others[m->nr_others++] = (struct others_page){ .pfn = pfn, .order = order };
	return 0;
}

int others_alloc(struct machine *m, int nid, unsigned int order)
{
	unsigned long pfn;
	int err = machine_find(m, nid, order, &pfn);

	return err ? err : others_take(m, pfn, order);
}

int others_fragment(struct machine *m, int nid)
{
	unsigned long pfn;
	int err = machine_find(m, nid, BLOCK_ORDER, &pfn);

	return err ? err : others_take(m, pfn + BLOCK_PAGES / 2, 0);
}

void others_map(struct machine *m, unsigned long i)
{
	struct others_page *p = &m->others[i];

	if (p->absent && directmap_map(&m->map, p->pfn, p->order))
		machine_broken(m, "others can't map their pfn %#lx again", p->pfn);
	p->absent = false;
}

/* One page at a time, as set_direct_map_invalid_noflush(): splits for good. */
void others_unmap(struct machine *m, unsigned long i)
{
	struct others_page *p = &m->others[i];
	unsigned long pfn;
	int err = 0;

	if (p->absent)
		return;
	for (pfn = p->pfn; pfn < p->pfn + (1UL << p->order); pfn++)
		err |= directmap_unmap(&m->map, pfn, 0, SPLIT_BY_OTHERS) < 0;
	/* Their own flush; ours are counted apart. */
	directmap_flush(&m->map);
	m->map.flushes--;
	if (err)
		machine_broken(m, "others can't unmap their pfn %#lx", p->pfn);
	p->absent = true;
}

void others_free(struct machine *m, unsigned long i)
{
	others_map(m, i);
	give_back(m, m->others[i].pfn, m->others[i].order);
	m->others[i] = m->others[--m->nr_others];
}

void others_free_all(struct machine *m)
{
	while (m->nr_others)
		others_free(m, m->nr_others - 1);
}

void others_pass_on(struct machine *m, unsigned long i, struct piece *p)
{
	*p = (struct piece){ .pfn = m->others[i].pfn, .order = m->others[i].order };
	others_free(m, i);
	take(m, p->pfn, p->order, OWNER_CORE, 0);
}

void others_fill(struct machine *m, int nid, unsigned int keep)
{
	unsigned long pfn, i;

	while (!machine_find(m, nid, 0, &pfn))
		if (others_take(m, pfn, 0))
			return;
	for (i = m->nr_others; i-- > 0;) {
		pfn = m->others[i].pfn;
		if (machine_node(m, pfn) == nid && pfn % BLOCK_PAGES >= keep)
			others_free(m, i);
	}
}

/* --- life ------------------------------------------------------------------- */

int machine_init(struct machine *m, const struct machine_config *config)
{
	unsigned long nr_blocks, b, r;
	unsigned int i;
	int err;

	memset(m, 0, sizeof(*m));
	m->config = *config;
	m->nr_pages = config->nr_nodes * config->node_pages;
	nr_blocks = m->nr_pages >> BLOCK_ORDER;
	for (i = 0; i < NR_FALLIBLE; i++)
		m->fail_at[i] = -1;
	pthread_mutex_init(&m->lock, NULL);
	m->owner = calloc(m->nr_pages, sizeof(*m->owner));
	m->tag = calloc(m->nr_pages, sizeof(*m->tag));
	m->holder = calloc(m->nr_pages, sizeof(*m->holder));
	m->nr_core = calloc(nr_blocks, sizeof(*m->nr_core));
	m->nr_held = calloc(nr_blocks, sizeof(*m->nr_held));
	m->nr_used = calloc(nr_blocks, sizeof(*m->nr_used));
	m->came_whole = calloc(nr_blocks, 1);
	m->heal_refused = calloc(nr_blocks, 1);
	m->map_failed = calloc(nr_blocks, 1);
	m->cant_map = calloc(m->nr_pages, 1);
	err = directmap_init(&m->map, m->nr_pages);
	if (err || !m->owner || !m->tag || !m->holder || !m->nr_core || !m->nr_held ||
	    !m->nr_used || !m->came_whole || !m->heal_refused || !m->map_failed ||
	    !m->cant_map)
		abort();

	/* The first block is the kernel's own. */
	take(m, 0, BLOCK_ORDER, OWNER_BOOT, OTHERS_TAG);
	for (r = 0; config->boot_split_regions && r < m->map.nr_regions; r++)
		m->map.region_split[r] = SPLIT_BY_BOOT;
	for (b = 0; config->boot_small && b < nr_blocks; b += config->boot_small)
		directmap_split(&m->map, b << BLOCK_ORDER, SPLIT_BY_BOOT);

	m->ops = (struct um_host_ops){
		.get = machine_get,
		.get_near = machine_get_near,
		.put = machine_put,
		.unmap = machine_unmap,
		.map = machine_map,
		.flush = machine_flush,
		.heal = machine_heal,
		.heal_region = machine_heal_region,
		.unbroken = machine_unbroken,
		.zero = config->dirty_is_fine ? NULL : machine_zero,
		.now = machine_now,
		.wake = machine_wake,
		.drain = machine_drain,
		.nearest_node = machine_nearest_node,
	};
	um_nr_cpus = config->nr_cpus;
	machine_current = m;
	um_warn = machine_warn;
	err = allocator_init(&m->allocator, &m->ops, m, config->nr_nodes, m->nr_pages);
	if (err) {
		m->allocator.nr_nodes = 0;
		machine_destroy(m);
	}
	return err;
}

void machine_destroy(struct machine *m)
{
	if (m->allocator.nr_nodes)
		allocator_destroy(&m->allocator);
	directmap_destroy(&m->map);
	free(m->owner);
	free(m->tag);
	free(m->holder);
	free(m->nr_core);
	free(m->nr_held);
	free(m->nr_used);
	free(m->came_whole);
	free(m->heal_refused);
	free(m->map_failed);
	free(m->cant_map);
	free(m->others);
	pthread_mutex_destroy(&m->lock);
}
