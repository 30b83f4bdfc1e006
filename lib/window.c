// SPDX-License-Identifier: MIT
/*
 * The machine under the core: a window of addresses, in which memory of the
 * backend is mapped block by block.
 *
 * The core's pfn is an offset in the window, so that the block of an address is
 * found without a search, and an address from elsewhere is known as such.  What is
 * not mapped is a reservation without access.  Memory is not in any direct map of
 * ours, so unmap() and map() of the core have nothing to do.
 *
 * Backends that don't populate have memory behind a page from its first touch on.
 * That is done here, before the page is handed out, by a system call that writes
 * into it: where there is no memory left the call fails, while an instruction would
 * raise SIGBUS.
 */
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "lib.h"

/* The largest window, and the least that will do, in bytes. */
#define WINDOW_MAX (1UL << 36)
#define WINDOW_MIN (1UL << 26)

/* After this long, in ns, blocks that nobody needed are given back. */
#define DECAY 1000000000ULL
/* The clock is looked at in one of so many calls. */
#define DECAY_CALLS 64U

/* --- addresses ------------------------------------------------------------- */

static bool va_is_used(unsigned long block)
{
	return lib.va_used[block / 64] >> block % 64 & 1;
}

static void va_set(unsigned long block, unsigned long nr, bool used)
{
	for (; nr--; block++)
		if (used)
			lib.va_used[block / 64] |= 1ULL << block % 64;
		else
			lib.va_used[block / 64] &= ~(1ULL << block % 64);
}

/* The first run of blocks that nothing is mapped at; 0 if there is none. */
static unsigned long va_find(unsigned long nr)
{
	unsigned long block, i, end = lib.nr_pfns / BLOCK_PAGES;

	for (block = nr; block + nr <= end; block += nr) {
		for (i = 0; i < nr && !va_is_used(block + i);)
			i++;
		if (i == nr)
			return block;
	}
	return 0;
}

/* Addresses for 2^@order pages; pieces of less than a block share blocks. */
static int va_alloc(unsigned int order, unsigned long *pfn)
{
	unsigned long nr = 1UL << (max(order, BLOCK_ORDER) - BLOCK_ORDER), block;
	unsigned long next;
	int err = -ENOMEM;

	um_spin_lock(&lib.va_lock);
	if (order < BLOCK_ORDER) {
		next = (lib.va_next + (1UL << order) - 1) & ~((1UL << order) - 1);
		if (lib.va_next % BLOCK_PAGES == 0 ||
		    next / BLOCK_PAGES != lib.va_next / BLOCK_PAGES)
			next = va_find(1) * BLOCK_PAGES;
		if (next) {
			va_set(next / BLOCK_PAGES, 1, true);
			lib.va_pieces[next / BLOCK_PAGES] += (u16)(1U << order);
			lib.va_next = next + (1UL << order);
			*pfn = next;
			err = 0;
		}
	} else {
		block = va_find(nr);
		if (block) {
			va_set(block, nr, true);
			*pfn = block * BLOCK_PAGES;
			err = 0;
		}
	}
	um_spin_unlock(&lib.va_lock);
	if (err)
		failed(err, "no %lu kB of addresses left", 4UL << order);
	return err;
}

static void va_free(unsigned long pfn, unsigned int order)
{
	unsigned long block = pfn / BLOCK_PAGES;

	um_spin_lock(&lib.va_lock);
	if (order >= BLOCK_ORDER) {
		va_set(block, 1UL << (order - BLOCK_ORDER), false);
	} else {
		lib.va_pieces[block] -= (u16)(1U << order);
		/* Not where the next one will be. */
		if (!lib.va_pieces[block]) {
			va_set(block, 1, false);
			if (lib.va_next / BLOCK_PAGES == block)
				lib.va_next = 0;
		}
	}
	um_spin_unlock(&lib.va_lock);
}

/* --- what the core asks for -------------------------------------------------- */

static void *reserve(void *at, size_t bytes)
{
	void *p = mmap(at, bytes, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (at ? MAP_FIXED : 0),
		       -1, 0);

	if (p != MAP_FAILED)
		madvise(p, bytes, MADV_DONTFORK);
	return p;
}

static void mark_touched(unsigned long pfn, unsigned long nr, bool touched)
{
	unsigned long mask, n;

	for (; nr; nr -= n, pfn += n) {
		n = min(nr, 64 - pfn % 64);
		mask = (n == 64 ? ~0UL : (1UL << n) - 1) << pfn % 64;
		if (touched)
			__atomic_fetch_or(&lib.touched[pfn / 64], mask, __ATOMIC_RELAXED);
		else
			__atomic_fetch_and(&lib.touched[pfn / 64], ~mask,
					   __ATOMIC_RELAXED);
	}
}

static inline bool is_touched(unsigned long pfn)
{
	return READ_ONCE(lib.touched[pfn / 64]) >> pfn % 64 & 1;
}

static int window_get(void *host, int nid, unsigned int order, unsigned int flags,
		      unsigned long *pfn)
{
	size_t bytes = PAGE_SIZE << order;
	int err;

	(void)host;
	(void)nid;
	(void)flags;
	if (va_alloc(order, pfn))
		return -ENOMEM;
	err = lib.backend->map(page_address(*pfn), bytes);
	if (err) {
		reserve(page_address(*pfn), bytes);
		va_free(*pfn, order);
		return -ENOMEM;
	}
	if (lib.watched)
		watch_pages(page_address(*pfn), bytes);
	if (lib.backend->populated)
		mark_touched(*pfn, 1UL << order, true);
	return 0;
}

/* The system zeroes it once more. */
static void window_put(void *host, unsigned long pfn, unsigned int order)
{
	(void)host;
	mark_touched(pfn, 1UL << order, false);
	/* With too many mappings it stays, zeroed, and nobody uses it any more. */
	if (reserve(page_address(pfn), PAGE_SIZE << order) != MAP_FAILED)
		va_free(pfn, order);
}

static int window_unmap(void *host, unsigned long pfn, unsigned int order)
{
	(void)host;
	(void)pfn;
	(void)order;
	return 0;
}

static void window_flush(void *host)
{
	(void)host;
}

static int window_heal(void *host, unsigned long pfn)
{
	(void)host;
	(void)pfn;
	return -EBUSY;
}

static bool window_unbroken(void *host, unsigned long pfn)
{
	(void)host;
	(void)pfn;
	return false;
}

static void window_zero(void *host, unsigned long pfn, unsigned int order)
{
	unsigned long end = pfn + (1UL << order);

	(void)host;
	for (; pfn < end; pfn++)
		if (is_touched(pfn))
			memset(page_address(pfn), 0, PAGE_SIZE);
}

static u64 window_now(void *host)
{
	struct timespec t;

	(void)host;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (u64)t.tv_sec * 1000000000ULL + (u64)t.tv_nsec;
}

/* Others drain themselves when they end. */
static void window_drain(void *host, struct allocator *a)
{
	(void)host;
	allocator_drain_cpu(a);
}

static int window_nearest_node(void *host, int nid, int prev)
{
	(void)host;
	return prev < 0 ? nid : -1;
}

static const struct um_host_ops ops = {
	.get = window_get,
	.put = window_put,
	.unmap = window_unmap,
	.map = window_unmap,
	.flush = window_flush,
	.heal = window_heal,
	.heal_region = window_heal,
	.unbroken = window_unbroken,
	.zero = window_zero,
	.now = window_now,
	.drain = window_drain,
	.nearest_node = window_nearest_node,
};

/* --- pages -------------------------------------------------------------------- */

/* What other threads are on serves before more is taken from the system. */
int pages_alloc(unsigned int order, unsigned long *pfn)
{
	if (!allocator_alloc(&lib.pages, 0, order, UM_ZERO | UM_NOWAIT, pfn))
		return 0;
	return allocator_alloc(&lib.pages, 0, order, UM_ZERO, pfn);
}

void pages_free(unsigned long pfn, unsigned long nr)
{
	unsigned int order;

	while (nr) {
		for (order = 0; order < BLOCK_ORDER && 2UL << order <= nr &&
				!(pfn & ((2UL << order) - 1));)
			order++;
		allocator_free(&lib.pages, pfn, order);
		pfn += 1UL << order;
		nr -= 1UL << order;
	}
}

int pages_touch(unsigned long pfn, unsigned long nr)
{
	unsigned int *p;

	for (; nr--; pfn++) {
		if (likely(is_touched(pfn)))
			continue;
		p = page_address(pfn);
		/* It writes the number of the processor. */
		if (syscall(SYS_getcpu, p, NULL, NULL) && errno == EFAULT)
			return failed_touch();
		*p = 0;
		mark_touched(pfn, 1, true);
	}
	return 0;
}

size_t pages_touched(void)
{
	unsigned long i, nr = 0;

	for (i = 0; i < lib.nr_pfns / 64; i++)
		if (i % (BLOCK_PAGES / 64) || va_is_used(i / (BLOCK_PAGES / 64)))
			nr += hweight_long(READ_ONCE(lib.touched[i]));
		else
			i += BLOCK_PAGES / 64 - 1;
	return nr * PAGE_SIZE;
}

void pages_decay(void)
{
	static __thread unsigned int calls;
	u64 now, at = READ_ONCE(lib.decay_at);

	if (lib.backend->keep || ++calls % DECAY_CALLS)
		return;
	now = window_now(NULL);
	if (now >= at && cmpxchg(&lib.decay_at, at, now + DECAY) == at && at)
		allocator_decay(&lib.pages);
}

static int slab_get(void *host, unsigned long *pfn)
{
	(void)host;
	if (pages_alloc(0, pfn))
		return -ENOMEM;
	if (!pages_touch(*pfn, 1))
		return 0;
	pages_free(*pfn, 1);
	return -ENOMEM;
}

static void slab_put(void *host, unsigned long pfn)
{
	(void)host;
	pages_free(pfn, 1);
	pages_decay();
}

static const struct slab_ops slab_ops = { .get = slab_get, .put = slab_put };

/* --- life ----------------------------------------------------------------------- */

/* A reservation aligned to a region, as large as can be had. */
static char *reserve_window(size_t *bytes)
{
	size_t align = PAGE_SIZE << REGION_ORDER;
	char *p, *start;

	for (*bytes = WINDOW_MAX; *bytes >= WINDOW_MIN; *bytes /= 2) {
		align = min(align, *bytes);
		p = reserve(NULL, *bytes + align);
		if (p == MAP_FAILED)
			continue;
		start = (char *)(((uintptr_t)p + align - 1) & ~(align - 1));
		if (start > p)
			munmap(p, (size_t)(start - p));
		if (p + align > start)
			munmap(start + *bytes, (size_t)(p + align - start));
		return start;
	}
	return NULL;
}

static int no_window(int err)
{
	if (err == EAGAIN)
		return failed(-ENOMEM,
			      "mlockall(MCL_FUTURE) counts addresses that hold "
			      "nothing, and RLIMIT_MEMLOCK is too low for %lu "
			      "MB of them",
			      WINDOW_MIN >> 20);
	return failed(-ENOMEM, "no %lu MB of addresses: RLIMIT_AS?", WINDOW_MIN >> 20);
}

static void free_tables(void)
{
	um_free(lib.va_used);
	um_free(lib.va_pieces);
	um_free(lib.touched);
	um_free(lib.spans);
	munmap(lib.base, lib.nr_pfns * PAGE_SIZE);
}

void window_destroy(void)
{
	slabs_destroy(&lib.slabs);
	allocator_destroy(&lib.pages);
	free_tables();
}

int window_init(u64 secret)
{
	unsigned long nr_blocks;
	size_t bytes;
	int err;

	lib.base = reserve_window(&bytes);
	if (!lib.base)
		return no_window(errno);
	/* Nothing is ever in block 0: the core has no pages there. */
	lib.nr_pfns = bytes / PAGE_SIZE;
	nr_blocks = lib.nr_pfns / BLOCK_PAGES;
	lib.va_used = um_alloc((nr_blocks + 63) / 64 * 8, GFP_KERNEL);
	lib.va_pieces = um_alloc(nr_blocks * sizeof(*lib.va_pieces), GFP_KERNEL);
	lib.touched = um_alloc(lib.nr_pfns / 8, GFP_KERNEL);
	lib.spans = um_alloc(nr_blocks * sizeof(*lib.spans), GFP_KERNEL);
	err = -ENOMEM;
	if (!lib.va_used || !lib.va_pieces || !lib.touched || !lib.spans)
		goto no_tables;
	err = allocator_init(&lib.pages, &ops, &lib, 1, lib.nr_pfns);
	if (err)
		goto no_tables;
	err = slabs_init(&lib.slabs, &slab_ops, &lib, lib.base, lib.nr_pfns, secret);
	if (err)
		goto no_slabs;
	/* Locked memory is scarce: no more of it at a time than is needed. */
	lib.pages.batch_limit = 1;
	lib.pages.floor = 1;
	return 0;
no_slabs:
	allocator_destroy(&lib.pages);
no_tables:
	free_tables();
	return failed(err, "no memory for metadata");
}
