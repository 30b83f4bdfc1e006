/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The kernel's names that the core uses, for user space.
 *
 * They are as in the kernel where that costs nothing and stricter where a test
 * wants to know: with UM_CHECKS, a lock taken twice or out of order, a call
 * that may sleep under a spinlock, and an allocation of the kind GFP_KERNEL in
 * atomic context abort the program; and the N-th allocation can be made to
 * fail (um_fail_nth).  Without UM_CHECKS it is as fast as it can be.
 *
 * A "CPU" is a number that the host gives to each thread (um_cpu); two threads
 * must not have the same one at the same time.
 */
#ifndef UM_PLATFORM_USER_H
#define UM_PLATFORM_USER_H

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef unsigned int gfp_t;

#define likely(x)			__builtin_expect(!!(x), 1)
#define unlikely(x)			__builtin_expect(!!(x), 0)
#define READ_ONCE(x)			__atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, v)		__atomic_store_n(&(x), (v), __ATOMIC_RELAXED)
#define smp_load_acquire(p)		__atomic_load_n((p), __ATOMIC_ACQUIRE)
#define smp_store_release(p, v)		__atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define smp_mb()			__atomic_thread_fence(__ATOMIC_SEQ_CST)
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define ARRAY_SIZE(a)			(sizeof(a) / sizeof((a)[0]))
#define min(a, b)			((a) < (b) ? (a) : (b))
#define max(a, b)			((a) > (b) ? (a) : (b))
#define cond_resched() \
	do { \
	} while (0)
#define BITS_PER_LONG 64
#define __percpu
#undef __always_inline
#define __always_inline	      inline __attribute__((always_inline))
#define ____cacheline_aligned __attribute__((aligned(64)))
#define PAGE_SHIFT	      12
#ifndef PAGE_SIZE
#define PAGE_SIZE 4096UL
#endif

#define GFP_KERNEL	    1U
#define GFP_NOWAIT	    2U
#define __GFP_NOWARN	    0U
#define __GFP_RETRY_MAYFAIL 0U

/* --- checks ------------------------------------------------------------- */

/* Called with the text of a broken assertion; the default prints and aborts. */
extern void (*um_warn)(const char *file, int line, const char *what);
/* How many checked allocations from now on succeed; negative: all of them. */
extern long um_fail_nth;
extern __thread int um_cpu;
extern __thread int um_spin_depth; /* spinlocks held by this thread */
extern __thread bool um_atomic;	   /* the caller may not sleep */
extern unsigned int um_nr_cpus;

#define WARN_ON(cond) \
	({ \
		bool warn__ = !!(cond); \
		if (unlikely(warn__)) \
			um_warn(__FILE__, __LINE__, #cond); \
		unlikely(warn__); \
	})
#define WARN_ON_ONCE(cond) WARN_ON(cond)
#define WARN_ONCE(cond, ...) \
	({ \
		bool warn__ = !!(cond); \
		if (unlikely(warn__)) { \
			char text__[160]; \
			snprintf(text__, sizeof(text__), __VA_ARGS__); \
			um_warn(__FILE__, __LINE__, text__); \
		} \
		unlikely(warn__); \
	})

#ifdef UM_CHECKS
static inline void might_sleep(void)
{
	if (um_spin_depth || um_atomic)
		um_warn(__FILE__, __LINE__, "may sleep in atomic context");
}
#else
static inline void might_sleep(void)
{
}
#endif

static inline bool um_should_fail(void)
{
#ifdef UM_CHECKS
	if (um_fail_nth >= 0 && um_fail_nth-- == 0)
		return true;
#endif
	return false;
}

/* --- atomics ------------------------------------------------------------ */

typedef struct {
	int counter;
} atomic_t;
typedef struct {
	long counter;
} atomic_long_t;

#define UM_ATOMIC(prefix, type, base) \
	static inline base prefix##_read(const type *v) \
	{ \
		return __atomic_load_n(&v->counter, __ATOMIC_RELAXED); \
	} \
	static inline void prefix##_set(type *v, base i) \
	{ \
		__atomic_store_n(&v->counter, i, __ATOMIC_RELAXED); \
	} \
	static inline base prefix##_add_return(base i, type *v) \
	{ \
		return __atomic_add_fetch(&v->counter, i, __ATOMIC_SEQ_CST); \
	} \
	static inline void prefix##_add(base i, type *v) \
	{ \
		__atomic_add_fetch(&v->counter, i, __ATOMIC_RELAXED); \
	} \
	static inline void prefix##_inc(type *v) \
	{ \
		prefix##_add(1, v); \
	} \
	static inline bool prefix##_try_cmpxchg(type *v, base *old, base new) \
	{ \
		return __atomic_compare_exchange_n(&v->counter, old, new, false, \
						   __ATOMIC_SEQ_CST, __ATOMIC_RELAXED); \
	} \
	static inline base prefix##_xchg(type *v, base new) \
	{ \
		return __atomic_exchange_n(&v->counter, new, __ATOMIC_SEQ_CST); \
	} \
	static inline base prefix##_fetch_or(base i, type *v) \
	{ \
		return __atomic_fetch_or(&v->counter, i, __ATOMIC_SEQ_CST); \
	} \
	static inline base prefix##_fetch_andnot(base i, type *v) \
	{ \
		return __atomic_fetch_and(&v->counter, ~i, __ATOMIC_SEQ_CST); \
	}

UM_ATOMIC(atomic, atomic_t, int)
UM_ATOMIC(atomic_long, atomic_long_t, long)

/* A race detector does not see what assembly does. */
#ifdef __SANITIZE_THREAD__
#define UM_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UM_TSAN 1
#endif
#endif

/* As the kernel's, on an array of unsigned long; returns the old bit. */
static inline bool test_and_set_bit(long nr, unsigned long *addr)
{
#if defined(__x86_64__) && !defined(UM_TSAN)
	bool old;

	/* The compilers of today make a compare-exchange loop of fetch_or. */
	__asm__ volatile("lock btsq %2, %1"
			 : "=@ccc"(old), "+m"(addr[nr / BITS_PER_LONG])
			 : "r"(nr % BITS_PER_LONG)
			 : "memory");
	return old;
#else
	unsigned long mask = 1UL << (nr % BITS_PER_LONG);

	return __atomic_fetch_or(&addr[nr / BITS_PER_LONG], mask, __ATOMIC_SEQ_CST) &
	       mask;
#endif
}

#define cmpxchg(p, old, new) \
	({ \
		__typeof__(*(p)) cmp__ = (old); \
		__atomic_compare_exchange_n((p), &cmp__, (new), false, __ATOMIC_SEQ_CST, \
					    __ATOMIC_SEQ_CST); \
		cmp__; \
	})

/* --- bits --------------------------------------------------------------- */

static inline unsigned int __ffs(unsigned long w)
{
	return (unsigned int)__builtin_ctzl(w);
}

static inline unsigned int hweight_long(unsigned long w)
{
	return (unsigned int)__builtin_popcountl(w);
}

static inline unsigned int hweight32(u32 w)
{
	return (unsigned int)__builtin_popcount(w);
}

/* --- lists -------------------------------------------------------------- */

struct list_head {
	struct list_head *next, *prev;
};

static inline void INIT_LIST_HEAD(struct list_head *l)
{
	l->next = l;
	l->prev = l;
}

static inline bool list_empty(const struct list_head *l)
{
	return l->next == l;
}

static inline void list_add_tail(struct list_head *n, struct list_head *l)
{
	n->prev = l->prev;
	n->next = l;
	l->prev->next = n;
	l->prev = n;
}

static inline void list_del_init(struct list_head *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	INIT_LIST_HEAD(n);
}

static inline void list_move_tail(struct list_head *n, struct list_head *l)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	list_add_tail(n, l);
}

#define list_entry(ptr, type, member)	     container_of(ptr, type, member)
#define list_first_entry(head, type, member) list_entry((head)->next, type, member)
#define list_last_entry(head, type, member)  list_entry((head)->prev, type, member)
#define list_for_each_entry(pos, head, member) \
	for (pos = list_first_entry(head, __typeof__(*pos), member); \
	     &pos->member != (head); \
	     pos = list_entry(pos->member.next, __typeof__(*pos), member))

#define list_for_each_entry_safe(pos, n, head, member) \
	for (pos = list_first_entry(head, __typeof__(*pos), member), \
	    n = list_entry(pos->member.next, __typeof__(*pos), member); \
	     &pos->member != (head); \
	     pos = n, n = list_entry(n->member.next, __typeof__(*n), member))

/* --- locks -------------------------------------------------------------- */

typedef struct {
	int locked;
} spinlock_t;

static inline void spin_lock_init(spinlock_t *l)
{
	l->locked = 0;
}

static inline void um_spin_lock(spinlock_t *l)
{
	unsigned int spins = 0;

#ifdef UM_CHECKS
	if (um_spin_depth)
		um_warn(__FILE__, __LINE__, "a second spinlock is taken");
	um_spin_depth++;
#endif
	while (__atomic_exchange_n(&l->locked, 1, __ATOMIC_ACQUIRE)) {
		while (__atomic_load_n(&l->locked, __ATOMIC_RELAXED)) {
			__builtin_ia32_pause();
			/* Unlike in the kernel, who has it may not be running. */
			if (!(++spins % 128))
				sched_yield();
		}
	}
}

static inline void um_spin_unlock(spinlock_t *l)
{
#ifdef UM_CHECKS
	um_spin_depth--;
#endif
	__atomic_store_n(&l->locked, 0, __ATOMIC_RELEASE);
}

#define spin_lock_irqsave(l, flags) \
	do { \
		(flags) = 0; \
		um_spin_lock(l); \
	} while (0)
#define spin_unlock_irqrestore(l, flags) \
	do { \
		(void)(flags); \
		um_spin_unlock(l); \
	} while (0)

struct mutex {
	pthread_mutex_t m;
};

static inline void mutex_init(struct mutex *m)
{
	pthread_mutex_init(&m->m, NULL);
}

static inline void mutex_destroy(struct mutex *m)
{
	pthread_mutex_destroy(&m->m);
}

static inline void mutex_lock(struct mutex *m)
{
	might_sleep();
	pthread_mutex_lock(&m->m);
}

static inline bool mutex_trylock(struct mutex *m)
{
	return !pthread_mutex_trylock(&m->m);
}

static inline void mutex_unlock(struct mutex *m)
{
	pthread_mutex_unlock(&m->m);
}

/* --- per-CPU slots ------------------------------------------------------ */

/* Slots of different CPUs are this far apart, so that no line is shared. */
#define UM_CPU_STRIDE 128UL

#define alloc_percpu(type) ((type *)um_alloc_percpu(sizeof(type)))
#define per_cpu_ptr(p, cpu) \
	((__typeof__(p))((char *)(p) + UM_CPU_STRIDE * (unsigned long)(cpu)))
#define this_cpu_ptr(p)	 per_cpu_ptr(p, um_cpu)
#define this_cpu_read(x) READ_ONCE(*this_cpu_ptr(&(x)))
/* Returns the old value, as in the kernel. */
#define this_cpu_cmpxchg(x, old, new) \
	({ \
		__typeof__(x) *slot__ = this_cpu_ptr(&(x)); \
		__typeof__(x) was__ = READ_ONCE(*slot__); \
		if (was__ == (old)) \
			WRITE_ONCE(*slot__, (new)); \
		was__; \
	})
#define this_cpu_xchg(x, new) \
	({ \
		__typeof__(x) *slot__ = this_cpu_ptr(&(x)); \
		__typeof__(x) was__ = READ_ONCE(*slot__); \
		WRITE_ONCE(*slot__, (new)); \
		was__; \
	})
#define raw_smp_processor_id()	   um_cpu
#define for_each_possible_cpu(cpu) for (cpu = 0; cpu < um_nr_cpus; cpu++)

/* Where the direct map would have a page: pages here have no memory behind them. */
#define um_page_address(pfn) ((void *)(uintptr_t)((pfn) << PAGE_SHIFT))

/* The node that this CPU is likely to free to; hosts of one node have 0. */
#define numa_mem_id() 0

/* --- tracing ------------------------------------------------------------- */

#define um_trace_refill(nid, order, want, blocks, pieces, err) \
	((void)(nid), (void)(order), (void)(want), (void)(blocks), (void)(pieces), \
	 (void)(err))
#define um_trace_fallback(nid, order, largest, pieces) \
	((void)(nid), (void)(order), (void)(largest), (void)(pieces))
#define um_trace_shrink(nid, nr, released) ((void)(nid), (void)(nr), (void)(released))
#define um_trace_split(pfn, order)	   ((void)(pfn), (void)(order))
#define um_trace_heal(pfn, order)	   ((void)(pfn), (void)(order))

/* --- memory for metadata ------------------------------------------------ */

void *um_alloc(size_t size, gfp_t gfp); /* zeroed; NULL when out of it */
void um_free(const void *p);
void *um_alloc_percpu(size_t size);

#define kzalloc(size, gfp)     um_alloc(size, gfp)
#define kvzalloc(size, gfp)    um_alloc(size, gfp)
#define kcalloc(n, size, gfp)  um_alloc((n) * (size), gfp)
#define kvcalloc(n, size, gfp) um_alloc((n) * (size), gfp)
#define kfree(p)	       um_free(p)
#define kvfree(p)	       um_free(p)
#define free_percpu(p)	       um_free(p)

#endif /* UM_PLATFORM_USER_H */
