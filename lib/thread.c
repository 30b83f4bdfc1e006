// SPDX-License-Identifier: MIT
/*
 * Threads as CPUs of the core, and starting the library.
 *
 * A thread gets a slot when it first comes and gives it back, drained, when it
 * ends.  Those that come when all are taken, or after they gave theirs back, use
 * slot 0 under a lock.
 */
#include <sched.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "lib.h"

struct lib lib;

/* Not wiped: what a child has to know of its parent. */
static struct range {
	char *start, *end;
} parents[8];
static unsigned int nr_parents;
static struct range ours;
static pthread_key_t key;
static bool key_made;
static __thread bool ended;

static void thread_end(void *unused);

/* In a child, where only this thread goes on: it has no slot there. */
static void forked(void)
{
	um_cpu = 0;
}

__attribute__((constructor(101))) static void init(void)
{
	metadata_init();
	wipe_on_fork(&lib, sizeof(lib));
	if (key_made)
		return;
	key_made = !pthread_key_create(&key, thread_end);
	pthread_atfork(NULL, NULL, forked);
}

bool inherited(const void *p)
{
	unsigned int i;

	for (i = 0; i < nr_parents; i++)
		if ((const char *)p >= parents[i].start &&
		    (const char *)p < parents[i].end)
			return true;
	return false;
}

/*
 * Where the parent's window was nothing else may come to lie, so that what is left
 * of pointers to its secrets never points to something else.
 */
static void keep_out_of_parents(void)
{
	struct range *r;
	char *p;

	if (!ours.start)
		return;
	if (nr_parents < ARRAY_SIZE(parents)) {
		parents[nr_parents++] = ours;
	} else {
		/* Of distant ancestors a range that has them all will do. */
		r = &parents[nr_parents - 1];
		r->start = min(r->start, ours.start);
		r->end = max(r->end, ours.end);
	}
	p = mmap(ours.start, (size_t)(ours.end - ours.start), PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1,
		 0);
	if (p != MAP_FAILED && p != ours.start) /* before Linux 4.17 */
		munmap(p, (size_t)(ours.end - ours.start));
	ours.start = NULL;
}

static int start(void)
{
	u64 secret = 0;
	int err;

	um_cpu = 0;
	keep_out_of_parents();
	while (!secret)
		if (getrandom(&secret, sizeof(secret), 0) != sizeof(secret))
			return failed(-ENOSYS, "getrandom: %s", strerror(errno));
	lib.watched = watch_wanted();
	memset(lib.missing, 0, sizeof(lib.missing));
	err = backend_init();
	if (!err)
		err = window_init(secret);
	if (!err) {
		err = wipes_init();
		if (err)
			window_destroy();
	}
	if (err) {
		lib.backend = NULL;
		return err;
	}
	ours.start = lib.base;
	ours.end = lib.base + lib.nr_pfns * PAGE_SIZE;
	lib.slots[0] = 1; /* shared */
	smp_store_release(&lib.ready, true);
	return 0;
}

static int slot_take(void)
{
	unsigned long free;
	unsigned int i;

	for (i = 0; i < NR_SLOTS / 64; i++) {
		free = ~READ_ONCE(lib.slots[i]);
		while (free) {
			if (!test_and_set_bit(__ffs(free),
					      (unsigned long *)&lib.slots[i]))
				return (int)(i * 64 + __ffs(free));
			free &= free - 1;
		}
	}
	return 0;
}

static void thread_end(void *unused)
{
	int slot = um_cpu;

	(void)unused;
	ended = true;
	if (!slot || !smp_load_acquire(&lib.ready))
		return;
	slabs_drain_cpu(&lib.slabs);
	allocator_drain_cpu(&lib.pages);
	um_cpu = 0;
	__atomic_fetch_and(&lib.slots[slot / 64], ~(1ULL << slot % 64), __ATOMIC_SEQ_CST);
}

enum entry thread_enter(void)
{
	int err = 0, slot;

	if (unlikely(!smp_load_acquire(&lib.ready))) {
		init();
		pthread_mutex_lock(&lib.starting);
		if (!lib.ready)
			err = start();
		pthread_mutex_unlock(&lib.starting);
		if (err)
			return ENTRY_FAILED;
	}
	if (!ended && key_made && !lib.watched) {
		slot = slot_take();
		if (slot && !pthread_setspecific(key, &lib)) {
			um_cpu = slot;
			return ENTERED;
		}
		if (slot)
			__atomic_fetch_and(&lib.slots[slot / 64], ~(1ULL << slot % 64),
					   __ATOMIC_SEQ_CST);
	}
	pthread_mutex_lock(&lib.slot0);
	if (lib.watched)
		watch_pause();
	return ENTERED_SHARED;
}

void thread_leave(void)
{
	if (lib.watched)
		watch_resume();
	pthread_mutex_unlock(&lib.slot0);
}

void thread_drain_shared(void)
{
	int slot = um_cpu;

	if (!slot)
		return; /* it is ours */
	pthread_mutex_lock(&lib.slot0);
	um_cpu = 0;
	slabs_drain_cpu(&lib.slabs);
	allocator_drain_cpu(&lib.pages);
	um_cpu = slot;
	pthread_mutex_unlock(&lib.slot0);
}
