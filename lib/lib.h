/* SPDX-License-Identifier: MIT */
/*
 * The library: the core (core/) hosted in a process.
 *
 *	objects	 unmapped_malloc() and its like: slabs, or whole pages (alloc.c)
 *	guarded	 pages between inaccessible ones (guarded.c)
 *	window	 one range of addresses that all memory is mapped in, so that the
 *		 core's pfn is an offset in it (window.c)
 *	backend	 what memory is mapped there (backend.c)
 *	thread	 each thread is a CPU of the core (thread.c)
 *	watch	 what Valgrind's memcheck is told (watch.c)
 *	metadata memory for the core's structures; malloc() is not used (metadata.c)
 *
 * All state is in struct lib and in memory from metadata.c.  Both are wiped in a
 * child by the kernel itself (MADV_WIPEONFORK), locks and all, and the window is
 * not there at all (MADV_DONTFORK): whatever other threads were about when the
 * process was forked, the child finds a library that was never used.
 */
#ifndef LIB_H
#define LIB_H

#include "allocator.h"
#include "slab.h"
#include "unmapped.h"

#define EXPORT __attribute__((visibility("default")))

/* Threads with magazines of their own, and slot 0 that all others share. */
#define NR_SLOTS 256U

enum span_kind { SPAN_NONE, SPAN_LARGE, SPAN_GUARDED };

/**
 * struct span - an object with pages of its own, by the page it starts in
 * @kind:	enum span_kind
 * @access:	UNMAPPED_NOACCESS etc.
 * @lead:	pages of it before this one
 * @nr:		pages of it, guards as well
 * @size:	bytes for its client
 */
struct span {
	u8 kind;
	u8 access;
	u32 lead;
	u32 nr;
	size_t size;
};

struct lib {
	bool ready;
	bool watched; /* by memcheck */
	pthread_mutex_t starting;
	pthread_mutex_t slot0;	  /* of those who use slot 0 */
	u64 slots[NR_SLOTS / 64]; /* in use */

	const struct backend *backend;
	char missing[512];	 /* better backends, and why they are not used */
	char *base;		 /* of the window, where pfn 0 would be */
	unsigned long *sentinel; /* see unmapped_wipes(); NULL: nothing is wiped */
	unsigned long wipes;
	unsigned long nr_pfns;
	spinlock_t va_lock;
	u64 *va_used;	       /* by block: addresses taken */
	u16 *va_pieces;	       /* by block: pages of it in pieces */
	unsigned long va_next; /* of pieces: where the next one may be, a pfn */
	u64 *touched;	       /* by page: has memory behind it */
	u64 decay_at;

	struct allocator pages;
	struct slabs slabs;
	struct span **spans;	  /* by block: of its pages */
} __attribute__((aligned(4096))); /* whole pages: the kernel wipes no less */

extern struct lib lib;

/* --- thread.c --------------------------------------------------------------- */

enum entry { ENTERED, ENTERED_SHARED, ENTRY_FAILED };

/*
 * Before anything that uses a CPU of the core, by a thread that has none yet
 * (um_cpu is 0): the library is started, and the thread gets a slot.
 */
enum entry thread_enter(void);
void thread_leave(void);

#define ENTER() (likely(um_cpu) ? ENTERED : thread_enter())
#define LEAVE(entry) \
	do { \
		if (unlikely((entry) == ENTERED_SHARED)) \
			thread_leave(); \
	} while (0)

/* Whether an address was a secret of our parent's, or of one before it. */
bool inherited(const void *p);

/* Take slot 0, for what has to be done to it by one who has a slot. */
void thread_drain_shared(void);

/* --- watch.c ------------------------------------------------------------------ */

/* Whether memcheck runs us; all else is called only if so. */
bool watch_wanted(void);
/* The library is at work in this thread, and touches what the program must not. */
void watch_pause(void);
void watch_resume(void);
void watch_pages(const void *p, size_t bytes);
void watch_alloc(void *p, size_t size);
void watch_free(void *p, size_t usable);
void watch_usable(const void *p, size_t usable);

/* --- window.c ----------------------------------------------------------------- */

/* Return: 0 or a negative errno, and failed() was told. */
int window_init(u64 secret);
void window_destroy(void);

static inline void *page_address(unsigned long pfn)
{
	return lib.base + (pfn << PAGE_SHIFT);
}

/* Whether an address lies in the window, and on which page. */
static inline bool page_of(const void *p, unsigned long *pfn)
{
	*pfn = (unsigned long)((const char *)p - lib.base) >> PAGE_SHIFT;
	return *pfn >= BLOCK_PAGES && *pfn < lib.nr_pfns;
}

/* 2^@order pages; 0 or -ENOMEM.  pages_free() takes any number, from any on. */
int pages_alloc(unsigned int order, unsigned long *pfn);
void pages_free(unsigned long pfn, unsigned long nr);
/* See to it that there is memory behind pages; 0 or -ENOMEM. */
int pages_touch(unsigned long pfn, unsigned long nr);
size_t pages_touched(void);
/* Give back what was not needed for a while; called now and then. */
void pages_decay(void);

/* --- alloc.c ------------------------------------------------------------------ */

/* The span that an object begins at, made if @make; NULL if there is none. */
struct span *span_of(unsigned long pfn, bool make);
unsigned int order_of(size_t bytes);
_Noreturn void misuse(const void *p, const char *what);

/* --- guarded.c ---------------------------------------------------------------- */

void guarded_free(void *p, unsigned long pfn, struct span *s);

/* --- backend.c ---------------------------------------------------------------- */

/**
 * struct backend - a kind of memory
 * @missing:	why it can't be used, or NULL
 * @map:	@bytes of zeroed memory in the place of what is at @at.  Return: 0 or
 *		a negative errno, and failed() was told
 * @fd:		see unmapped_fd(); NULL when there is no such thing
 * @populated:	map() sees to it that there is memory behind all of it
 * @keep:	taking it costs so much that it is not given back unless asked
 */
struct backend {
	const char *name;
	const char *(*missing)(void);
	int (*map)(void *at, size_t bytes);
	int (*fd)(size_t bytes);
	bool populated;
	bool keep;
};

/* Choose one; 0 or a negative errno, and failed() was told. */
int backend_init(void);

/*
 * See to it that wipes are noticed, if the program wants them, in the window's first
 * page; the same returns.
 */
int wipes_init(void);
unsigned long wipes(void);

/* --- error.c ------------------------------------------------------------------ */

/* Remember why this thread failed; returns @err, which is negative. */
int failed(int err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same for RLIMIT_MEMLOCK. */
int failed_limit(size_t bytes);
/* The same for a page that could not be had when it was touched. */
int failed_touch(void);
/* To stderr, without malloc(). */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* --- metadata.c --------------------------------------------------------------- */

void metadata_init(void);
size_t metadata_bytes(void);
/* Memory that is gone in a child; 0 or a negative errno. */
int wipe_on_fork(void *p, size_t bytes);

#endif /* LIB_H */
