// SPDX-License-Identifier: MIT
/*
 * Memory for the core's structures, as platform_user.h asks for it, in the place
 * of core/platform_user.c: from mappings of our own, with an inaccessible page
 * before and after each.  Nearly nothing is ever freed; what is, waits for a
 * request of the same size.
 */
#include <sys/mman.h>

#include "lib.h"

#define CHUNK (1UL << 20)

struct header {
	size_t size;
	struct header *next;
};

#define HEADER 64UL

_Static_assert(sizeof(struct header) <= HEADER, "room for a header");

/* Wiped in a child, as what it points to. */
static struct {
	spinlock_t lock;
	char *next, *end;
	struct header *free;
	size_t mapped;
} __attribute__((aligned(4096))) pool;

static void warn(const char *file, int line, const char *what)
{
	say("unmapped: %s:%d: %s\n", file, line, what);
	abort();
}

void (*um_warn)(const char *file, int line, const char *what) = warn;
long um_fail_nth = -1;
__thread int um_cpu;
__thread int um_spin_depth;
__thread bool um_atomic;
unsigned int um_nr_cpus = NR_SLOTS;

int wipe_on_fork(void *p, size_t bytes)
{
	return madvise(p, bytes, MADV_WIPEONFORK) ? -errno : 0;
}

void metadata_init(void)
{
	wipe_on_fork(&pool, sizeof(pool));
}

static char *map_chunk(size_t size)
{
	char *p = mmap(NULL, size + 2 * PAGE_SIZE, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	if (mprotect(p + PAGE_SIZE, size, PROT_READ | PROT_WRITE) ||
	    wipe_on_fork(p + PAGE_SIZE, size)) {
		munmap(p, size + 2 * PAGE_SIZE);
		return NULL;
	}
	pool.mapped += size;
	return p + PAGE_SIZE;
}

void *um_alloc(size_t size, gfp_t gfp)
{
	struct header **at, *h = NULL;
	char *chunk;

	(void)gfp;
	if (um_should_fail())
		goto none;
	size = ((size + 63) & ~63UL) + HEADER;
	um_spin_lock(&pool.lock);
	for (at = &pool.free; *at && (*at)->size != size;)
		at = &(*at)->next;
	if (*at) {
		h = *at;
		*at = h->next;
		memset((char *)h + HEADER, 0, size - HEADER);
	} else if (size > CHUNK / 2) {
		h = (void *)map_chunk((size + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1));
	} else {
		if ((size_t)(pool.end - pool.next) < size) {
			chunk = map_chunk(CHUNK);
			pool.next = chunk;
			pool.end = chunk ? chunk + CHUNK : NULL;
		}
		if (pool.next) {
			h = (void *)pool.next;
			pool.next += size;
		}
	}
	if (h)
		h->size = size;
	um_spin_unlock(&pool.lock);
	if (h)
		return (char *)h + HEADER;
none:
	failed(-ENOMEM, "no memory for metadata");
	return NULL;
}

void um_free(const void *p)
{
	struct header *h = (void *)((uintptr_t)p - HEADER);

	if (!p)
		return;
	um_spin_lock(&pool.lock);
	h->next = pool.free;
	pool.free = h;
	um_spin_unlock(&pool.lock);
}

void *um_alloc_percpu(size_t size)
{
	if (WARN_ON(size > UM_CPU_STRIDE))
		return NULL;
	return um_alloc(UM_CPU_STRIDE * um_nr_cpus, GFP_KERNEL);
}

size_t metadata_bytes(void)
{
	return READ_ONCE(pool.mapped);
}
