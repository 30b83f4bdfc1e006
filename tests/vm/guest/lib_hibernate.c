// SPDX-License-Identifier: MIT
/*
 * lib_hibernate - the library when the system prepares to hibernate: refused by
 * default, wiped on request, and nobody takes zeroes for a secret.
 *
 * An open /dev/snapshot gives the notice, as in hibernate-prepare.c.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "unmapped.h"

#define SNAPSHOT "/tmp/snapshot"
#define NR	 100
#define LARGE	 (300 * 1024UL)
#define ROUNDS	 30

static int notice(void)
{
	return open(SNAPSHOT, O_RDONLY | O_CLOEXEC);
}

static bool hibernated(void)
{
	int n = notice();

	if (n < 0)
		return false;
	close(n);
	return true;
}

/* Without a word from the program nothing is lost. */
static int by_default(void *unused)
{
	char *p = unmapped_strdup("secret");
	int n;

	(void)unused;
	if (!p || strcmp(unmapped_backend(NULL), "device"))
		return 1;
	n = notice();
	if (n >= 0 || errno != EBUSY || strcmp(p, "secret") || unmapped_wipes())
		return 2;
	if (!unmapped_wipe_on_hibernate() || errno != EBUSY ||
	    !strstr(unmapped_strerror(), "too late"))
		return 3;
	unmapped_free(p);
	return 0;
}

static int written_past_the_end(void *unused)
{
	char *p = unmapped_malloc(40);
	volatile char *q;

	(void)unused;
	if (!p || !hibernated() || unmapped_wipes() != 1)
		return 1;
	unmapped_free(p);
	q = unmapped_malloc(40);
	if (q != p)
		return 2;
	q[unmapped_usable_size((char *)q)] = 1;
	unmapped_free((char *)q); /* the end */
	return 3;
}

static void wiped(void)
{
	struct unmapped_status status = { .argsz = sizeof(status) };
	struct unmapped_stats s;
	char *small[NR], *large, *guarded, *closed;
	int i, fd, zero = 0;

	for (i = 0; i < NR; i++) {
		small[i] = unmapped_malloc(8 + 20 * (size_t)i);
		if (!small[i])
			die("%s", unmapped_strerror());
		memset(small[i], 0x5a, unmapped_usable_size(small[i]));
	}
	large = unmapped_malloc(LARGE);
	guarded = unmapped_guarded_malloc(100);
	closed = unmapped_guarded_malloc(PAGE);
	fd = unmapped_fd(PAGE);
	if (!large || !guarded || !closed || fd < 0)
		die("%s", unmapped_strerror());
	memset(large, 0x5a, LARGE);
	memset(guarded, 0x5a, 100);
	memset(closed, 0x5a, PAGE);
	unmapped_protect(closed, UNMAPPED_NOACCESS);
	ok(!ioctl(fd, UNMAPPED_IOC_STATUS, &status) &&
		   status.flags & UNMAPPED_CREATE_WIPE_ON_HIBERNATE,
	   "files are to be wiped, too");
	ok(unmapped_wipes() == 0 && !unmapped_wipe_on_hibernate(), "nothing was wiped");

	ok(hibernated(), "the system may hibernate");
	ok(unmapped_wipes() == 1 && unmapped_wipes() == 1, "what it did is told");
	for (i = 0; i < NR; i++)
		zero += is_zero(small[i], unmapped_usable_size(small[i]));
	unmapped_protect(closed, UNMAPPED_READONLY);
	ok(zero == NR && is_zero(large, LARGE) && is_zero(guarded, 100) &&
		   is_zero(closed, PAGE),
	   "all objects are zero");
	unmapped_protect(closed, UNMAPPED_NOACCESS);

	for (i = 0; i < NR; i += 2)
		unmapped_free(small[i]);
	memset(large, 0x5a, LARGE);
	ok(hibernated() && unmapped_wipes() == 2, "the next time as well");
	ok(hibernated() && hibernated() && unmapped_wipes() == 3,
	   "two that nobody asked between are one");
	for (i = 1; i < NR; i += 2)
		unmapped_free(small[i]);
	unmapped_free(large);
	unmapped_free(guarded);
	unmapped_free(closed);
	close(fd);
	ok(!unmapped_stats(&s, sizeof(s)) && !s.nr_objects, "all can be freed");
}

static atomic_bool stop;
static atomic_long used, fetched, wrong;

/* What unmapped_wipes() is for; each has a secret of its own. */
static void *user(void *secret)
{
	volatile uint64_t *p = secret;
	unsigned long stored = unmapped_wipes();
	uint64_t value;

	*p = 42;
	while (!stop) {
		value = *p;
		if (unmapped_wipes() != stored) {
			stored = unmapped_wipes();
			*p = 42;
			fetched++;
			continue;
		}
		used++;
		wrong += value != 42;
	}
	return NULL;
}

static void noticed(void)
{
	pthread_t threads[2];
	void *secrets[2];
	int i, done = 0;

	for (i = 0; i < 2; i++) {
		secrets[i] = unmapped_malloc(i ? 2 * BLOCK : 32);
		if (!secrets[i] || pthread_create(&threads[i], NULL, user, secrets[i]))
			die("thread");
	}
	for (i = 0; i < ROUNDS; i++) {
		usleep(20000);
		done += hibernated();
	}
	stop = true;
	for (i = 0; i < 2; i++) {
		pthread_join(threads[i], NULL);
		unmapped_free(secrets[i]);
	}
	note("%d times; used %ld, fetched %ld", done, used, fetched);
	ok(done == ROUNDS && used > ROUNDS && fetched >= ROUNDS / 2 && !wrong,
	   "two threads: nobody used zeroes for a secret, got %ld", wrong);
}

int main(void)
{
	snapshot_device(SNAPSHOT);
	ok(in_child(by_default, NULL) == 0, "refused, and nothing is wiped, by default");
	ok(!unmapped_wipe_on_hibernate(), "unmapped_wipe_on_hibernate()");
	ok(in_child(written_past_the_end, NULL) == 128 + SIGABRT,
	   "in a child as well; and an object that was there is watched again");
	wiped();
	noticed();
	return finish();
}
