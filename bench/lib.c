// SPDX-License-Identifier: MIT
/*
 * What a secret costs: libunmapped beside libsodium, OpenSSL's secure heap and
 * libgcrypt's secure memory, in one run.
 *
 *	at_once	  one object is allocated, written to, and freed with wiping
 *	live	  the same while 4,000 of 32 bytes are live
 *	replace	  one of those, at random, is freed and allocated anew
 *
 * All is timed by the thread's own clock, so that others on the machine disturb
 * less, in rounds that take turns between the libraries; the best round counts.
 * With threads, the throughput of all of them is what is compared.  Each row that
 * --json writes has one peer; a library that others have no answer to stands beside
 * malloc(3) and explicit_bzero(3).
 */
#define _GNU_SOURCE
#define OPENSSL_SUPPRESS_DEPRECATED
#include <gcrypt.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <sched.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "unmapped.h"

#define ROUNDS	 9
#define ROUND_NS 2e7
#define LIVE	 4000
#define MAX	 4

struct library {
	const char *name;
	void *(*alloc)(size_t size);
	void (*free)(void *p, size_t size);
};

static void ours_free(void *p, size_t size)
{
	(void)size;
	unmapped_free(p);
}

static void sodium_done(void *p, size_t size)
{
	(void)size;
	sodium_free(p);
}

static void *openssl_alloc(size_t size)
{
	return OPENSSL_secure_malloc(size);
}

static void openssl_done(void *p, size_t size)
{
	OPENSSL_secure_clear_free(p, size);
}

static void gcrypt_done(void *p, size_t size)
{
	(void)size;
	gcry_free(p);
}

static void malloc_done(void *p, size_t size)
{
	explicit_bzero(p, size);
	free(p);
}

static const struct library ours = { "unmapped", unmapped_malloc, ours_free };
static const struct library guarded = { "unmapped guarded", unmapped_guarded_malloc,
					ours_free };
static const struct library libsodium = { "libsodium", sodium_malloc, sodium_done };
static const struct library openssl = { "openssl", openssl_alloc, openssl_done };
static const struct library gcrypt = { "libgcrypt", gcry_malloc_secure, gcrypt_done };
static const struct library plain = { "malloc", malloc, malloc_done };

static FILE *json;

static double now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void *need(void *p, const struct library *l)
{
	if (p)
		return p;
	fprintf(stderr, "bench/lib: %s: out of memory: %s\n", l->name,
		unmapped_strerror());
	exit(1);
}

/* --- the loops -------------------------------------------------------------- */

struct job {
	const struct library *l;
	size_t size;
	unsigned long n;
	unsigned int cpu;
	void **live; /* replace these; NULL: at once */
	double ns;
	pthread_t thread;
};

static void at_once(const struct job *j)
{
	unsigned long i;
	char *p;

	for (i = 0; i < j->n; i++) {
		p = need(j->l->alloc(j->size), j->l);
		*(volatile char *)p = 1;
		j->l->free(p, j->size);
	}
}

static void replace(const struct job *j)
{
	uint64_t s = 88172645463325252ULL;
	unsigned long i, k;

	for (i = 0; i < j->n; i++) {
		s ^= s << 13;
		s ^= s >> 7;
		s ^= s << 17;
		k = s % LIVE;
		j->l->free(j->live[k], j->size);
		j->live[k] = need(j->l->alloc(j->size), j->l);
		*(volatile char *)j->live[k] = 1;
	}
}

static void *run(void *arg)
{
	struct job *j = arg;
	double start;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(j->cpu % (unsigned int)sysconf(_SC_NPROCESSORS_ONLN), &set);
	sched_setaffinity(0, sizeof(set), &set);
	start = now(CLOCK_THREAD_CPUTIME_ID);
	if (j->live)
		replace(j);
	else
		at_once(j);
	j->ns = (now(CLOCK_THREAD_CPUTIME_ID) - start) / (double)j->n;
	return NULL;
}

/* Of so many threads: nanoseconds for each object that all of them make. */
static double once(const struct library *l, size_t size, void **live, unsigned int nr,
		   unsigned long n)
{
	struct job jobs[MAX];
	double rate = 0;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		jobs[i] = (struct job){ l, size, n, i, live, 0, 0 };
		if (pthread_create(&jobs[i].thread, NULL, run, &jobs[i]))
			exit(1);
	}
	for (i = 0; i < nr; i++) {
		pthread_join(jobs[i].thread, NULL);
		rate += 1 / jobs[i].ns;
	}
	return 1 / rate;
}

static void row(const char *name, unsigned int threads, const char *unit, double value,
		const char *peer, double peer_value)
{
	printf("%-28s %u  %12.1f %-6s %-14s %12.1f  %7.2f\n", name, threads, value, unit,
	       peer, peer_value, peer_value / value);
	if (json)
		fprintf(json,
			"{\"suite\": \"lib\", \"case\": \"%s, %s\", \"order\": 0, "
			"\"threads\": %u, \"unit\": \"%s\", \"value\": %.1f, "
			"\"peer\": \"%s\", \"peer_value\": %.1f}\n",
			name, peer, threads, unit, value, peer, peer_value);
}

static void compare(const char *name, const struct library *us, size_t size, bool live,
		    bool random, unsigned int threads, const struct library **peers)
{
	const struct library *all[6] = { us };
	unsigned long n[6];
	double best[6], ns;
	static void *held[6][LIVE];
	unsigned int nr = 1, i, k, round;

	while (*peers)
		all[nr++] = *peers++;
	for (i = 0; i < nr; i++) {
		best[i] = 1e12;
		for (k = 0; live && k < LIVE; k++)
			held[i][k] = need(all[i]->alloc(size), all[i]);
		ns = once(all[i], size, random ? held[i] : NULL, threads, 200);
		n[i] = (unsigned long)(ROUND_NS / ns) + 1;
	}
	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < nr; i++) {
			ns = once(all[i], size, random ? held[i] : NULL, threads, n[i]);
			best[i] = ns < best[i] ? ns : best[i];
		}
	}
	for (i = 0; i < nr; i++)
		for (k = 0; live && k < LIVE; k++)
			all[i]->free(held[i][k], size);
	for (i = 1; i < nr; i++)
		row(name, threads, "ns", best[0], all[i]->name, best[i]);
}

/* Two threads beside one: how many times the throughput. */
static void scaling(void)
{
	double one = 1e12, two = 1e12, ns;
	int round;

	for (round = 0; round < ROUNDS; round++) {
		ns = once(&ours, 32, NULL, 1, 2000000);
		one = ns < one ? ns : one;
		ns = once(&ours, 32, NULL, 2, 2000000);
		two = ns < two ? ns : two;
	}
	row("32 bytes, two threads", 2, "ns", two, "one thread", one);
}

/* --- first, and many ----------------------------------------------------------- */

/* In a child, where our library starts anew; its answer comes by a pipe. */
static double in_child(double (*fn)(void))
{
	double value = 0;
	int pipes[2];
	pid_t pid;

	if (pipe(pipes) || (pid = fork()) < 0)
		exit(1);
	if (!pid) {
		value = fn();
		_exit(write(pipes[1], &value, sizeof(value)) != sizeof(value));
	}
	if (read(pipes[0], &value, sizeof(value)) != sizeof(value))
		exit(1);
	waitpid(pid, NULL, 0);
	close(pipes[0]);
	close(pipes[1]);
	return value;
}

static double first(void)
{
	double start = now(CLOCK_MONOTONIC);

	need(unmapped_malloc(32), &ours);
	return (now(CLOCK_MONOTONIC) - start) / 1e3;
}

static double first_sodium(void)
{
	double start = now(CLOCK_MONOTONIC);

	need(sodium_malloc(32), &libsodium);
	return (now(CLOCK_MONOTONIC) - start) / 1e3;
}

static double kb_of_many(void)
{
	struct unmapped_stats s;
	int i;

	for (i = 0; i < 10000; i++)
		need(unmapped_malloc(32), &ours);
	unmapped_stats(&s, sizeof(s));
	return (double)s.touched / 1024;
}

static double kb_of_many_sodium(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[256];
	long kb = 0;
	int i;

	for (i = 0; i < 10000; i++)
		need(sodium_malloc(32), &libsodium);
	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "VmLck: %ld", &kb);
	return (double)kb;
}

int main(int argc, char **argv)
{
	const struct library *all[] = { &gcrypt, &openssl, &libsodium, &plain, NULL };
	const struct library *heaps[] = { &gcrypt, &openssl, &plain, NULL };
	const struct library *sodium_only[] = { &libsodium, NULL };
	const struct library *large[] = { &libsodium, &openssl, &gcrypt, NULL };
	double us[2] = { 1e9, 1e9 }, v;
	int i;

	if (argc == 3 && !strcmp(argv[1], "--json"))
		json = fopen(argv[2], "w");
	else if (argc == 2 && !strcmp(argv[1], "--once")) {
		/* For tools that count instructions. */
		once(&ours, 32, NULL, 1, 100000);
		return 0;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (sodium_init() < 0 || !gcry_check_version(NULL) ||
	    gcry_control(GCRYCTL_INIT_SECMEM, 16 << 20, 0) ||
	    gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0) ||
	    CRYPTO_secure_malloc_init(16 << 20, 16) != 1) {
		fprintf(stderr, "bench/lib: a library does not start\n");
		return 1;
	}
	for (i = 0; i < ROUNDS; i++) {
		v = in_child(first);
		us[0] = v < us[0] ? v : us[0];
		v = in_child(first_sodium);
		us[1] = v < us[1] ? v : us[1];
	}
	printf("memory: %s\n%-28s %s  %12s %-6s %-14s %12s  %7s\n",
	       unmapped_backend(NULL), "case", "t", "ours", "", "peer", "peer's",
	       "times");
	row("first 32 bytes", 1, "us", us[0], "libsodium", us[1]);
	row("10,000 of 32 bytes", 1, "kB", in_child(kb_of_many), "libsodium",
	    in_child(kb_of_many_sodium));
	compare("32 bytes, at once", &ours, 32, false, false, 1, all);
	compare("32 bytes, 4,000 live", &ours, 32, true, false, 1, heaps);
	compare("32 bytes, 4,000 replaced", &ours, 32, true, true, 1, heaps);
	scaling();
	compare("4 KiB, at once", &ours, 4096, false, false, 1, large);
	compare("64 KiB, at once", &ours, 65536, false, false, 1, large);
	compare("32 bytes, guarded", &guarded, 32, false, false, 1, sodium_only);
	return json && fclose(json);
}
