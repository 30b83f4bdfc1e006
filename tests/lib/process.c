// SPDX-License-Identifier: MIT
/* Threads, children, limits and what others may see of the memory. */
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "testlib.h"

#define THREADS 4
#ifdef SANITIZED
#define STEPS 20000
#define FORKS 30
#else
#define STEPS 100000
#define FORKS 300
#endif

/* --- threads ------------------------------------------------------------------ */

static void *mail[64];
static pthread_mutex_t mail_lock = PTHREAD_MUTEX_INITIALIZER;
static volatile bool stop;

static void *swap(uint64_t r, void *p)
{
	void *other;

	pthread_mutex_lock(&mail_lock);
	other = mail[r % 64];
	mail[r % 64] = p;
	pthread_mutex_unlock(&mail_lock);
	return other;
}

static void *work(void *arg)
{
	uint64_t seed = (uintptr_t)arg, r;
	unsigned char *p;
	size_t size;
	long i;

	for (i = 0; i < STEPS / smaller && !stop; i++) {
		r = rng(&seed);
		size = (r >> 8) % (r & 0xff ? 200 : 50000);
		p = (r >> 40) % 500 ? unmapped_malloc(size)
				    : unmapped_guarded_malloc(size);
		if (!p || !is_zero(p, size))
			abort();
		memset(p, 1, size);
		unmapped_free(r >> 50 & 3 ? p : swap(r >> 20, p));
	}
	return NULL;
}

static void run(unsigned int nr, void *(*fn)(void *))
{
	pthread_t threads[400];
	uintptr_t i;

	for (i = 0; i < nr; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, fn, (void *)(i + 1)),
				 0);
	for (i = 0; i < nr; i++)
		pthread_join(threads[i], NULL);
}

static void free_mail(void)
{
	int i;

	for (i = 0; i < 64; i++)
		unmapped_free(swap((uint64_t)i, NULL));
}

static void threads_share_an_arena(void **state)
{
	(void)state;
	stop = false;
	run(THREADS, work);
	free_mail();
	assert_int_equal(stats().nr_objects, 0);
	/* What they had in magazines came back when they ended. */
	unmapped_trim();
	assert_int_equal(stats().mapped, 0);
}

static void *use_a_little(void *arg)
{
	void *p = unmapped_malloc(32);

	usleep(arg ? 100000 : 0);
	unmapped_free(p);
	return NULL;
}

/* More at a time than there are slots; and one after the other. */
static void many_threads(void **state)
{
	int i;

	(void)state;
	run(400, use_a_little);
	for (i = 0; i < 1000; i++) {
		pthread_t t;

		assert_int_equal(pthread_create(&t, NULL, use_a_little, NULL), 0);
		pthread_join(t, NULL);
	}
	assert_int_equal(stats().nr_objects, 0);
	unmapped_trim();
	assert_int_equal(stats().mapped, 0);
}

static void free_late(void *p)
{
	unmapped_free(p);
	unmapped_free(unmapped_malloc(100));
}

static void *leave_to_destructor(void *key)
{
	/* Each destructor of the process runs again as long as there is one. */
	pthread_setspecific(*(pthread_key_t *)key, unmapped_malloc(48));
	return NULL;
}

static void used_after_the_thread_ended(void **state)
{
	pthread_key_t keys[4];
	pthread_t t;
	int i;

	(void)state;
	for (i = 0; i < 4; i++) {
		pthread_key_create(&keys[i], free_late);
		assert_int_equal(pthread_create(&t, NULL, leave_to_destructor, &keys[i]),
				 0);
		pthread_join(t, NULL);
	}
	for (i = 0; i < 4; i++)
		pthread_key_delete(keys[i]);
	assert_int_equal(stats().nr_objects, 0);
	unmapped_trim();
	assert_int_equal(stats().mapped, 0);
}

/* --- children ------------------------------------------------------------------ */

static int read_it(void *p)
{
	return *(volatile char *)p;
}

static int read_it_after_use(void *p)
{
	int i;

	/* All that the child allocates, and whatever else is mapped. */
	for (i = 0; i < 100; i++)
		if (!unmapped_malloc(100000) ||
		    mmap(NULL, 1UL << 30, PROT_READ,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
			 0) == MAP_FAILED)
			return 99;
	return *(volatile char *)p;
}

static int start_afresh(void *p)
{
	char *mine[100];
	int i, status;
	pid_t pid;

	if (stats().nr_objects || stats().mapped)
		return 1;
	unmapped_free(p); /* nothing, but no error */
	if (unmapped_usable_size(p))
		return 2;
	for (i = 0; i < 100; i++) {
		mine[i] = unmapped_malloc(i % 3 ? 32 : 5000);
		if (!mine[i] || !is_zero(mine[i], 32))
			return 3;
		memset(mine[i], 3, 32);
	}
	/* And its own child, of both. */
	pid = fork();
	if (!pid) {
		unmapped_free(p);
		unmapped_free(mine[0]);
		_exit(!unmapped_malloc(1) || stats().nr_objects != 1);
	}
	if (waitpid(pid, &status, 0) != pid || status)
		return 4;
	for (i = 0; i < 100; i++) {
		if (mine[i][31] != 3)
			return 5;
		unmapped_free(mine[i]);
	}
	return stats().nr_objects ? 6 : 0;
}

/* Each frees what it has of all before it. */
static int generations(void *arg)
{
	int generation = (int)(intptr_t)arg, status, i;
	static void *of[20];
	pid_t pid;

	for (i = 0; i < generation; i++)
		unmapped_free(of[i]);
	of[generation] = unmapped_malloc(100);
	if (!of[generation] || stats().nr_objects != 1)
		return 1;
	if (generation == 19)
		return 0;
	pid = fork();
	if (!pid)
		_exit(generations((void *)(intptr_t)(generation + 1)));
	if (waitpid(pid, &status, 0) != pid)
		return 2;
	unmapped_free(of[generation]);
	return status || stats().nr_objects ? 3 : 0;
}

static void twenty_generations(void **state)
{
	(void)state;
	assert_child(generations, (void *)0, 0, NULL);
}

static void a_child_has_none_of_it(void **state)
{
	char *p = unmapped_malloc(32), *large = unmapped_malloc(100000);
	char *guarded = unmapped_guarded_malloc(32);

	(void)state;
	strcpy(p, "secret");
	strcpy(large, "large");
	strcpy(guarded, "guarded");
	assert_child(read_it, p, 128 + SIGSEGV, NULL);
	assert_child(read_it, large, 128 + SIGSEGV, NULL);
	assert_child(read_it_after_use, p, 128 + SIGSEGV, NULL);
	assert_child(start_afresh, p, 0, NULL);
	assert_child(start_afresh, large, 0, NULL);
	assert_child(start_afresh, guarded, 0, NULL);
	assert_string_equal(p, "secret");
	assert_string_equal(large, "large");
	assert_string_equal(guarded, "guarded");
	unmapped_free(p);
	unmapped_free(large);
	unmapped_free(guarded);
}

#ifndef RACES_SEEN
/* Children born while other threads are in the middle of everything. */
static void forked_in_the_middle(void **state)
{
	pthread_t threads[THREADS];
	int i, status;
	uintptr_t k;
	pid_t pid;

	(void)state;
	stop = false;
	for (k = 0; k < THREADS; k++)
		pthread_create(&threads[k], NULL, work, (void *)(k + 1));
	for (i = 0; i < FORKS; i++) {
		pid = fork();
		if (!pid) {
			void *p = unmapped_malloc(32), *q = unmapped_malloc(10000);

			alarm(60);
			unmapped_free(p);
			unmapped_free(q);
			_exit(!p || !q);
		}
		assert_true(pid > 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
	}
	stop = true;
	for (k = 0; k < THREADS; k++)
		pthread_join(threads[k], NULL);
	free_mail();
	assert_int_equal(stats().nr_objects, 0);
}

#endif

/* --- limits -------------------------------------------------------------------- */

static int as_nobody(size_t limit)
{
	struct rlimit r = { limit, limit };

	/* What counts is the user's, and root has CAP_IPC_LOCK. */
	return setrlimit(RLIMIT_MEMLOCK, &r) || (!getuid() && setuid(54321)) ? -1 : 0;
}

static int nothing_allowed(void *arg)
{
	void *p;

	(void)arg;
	if (as_nobody(0))
		return 1;
	errno = 0;
	p = unmapped_malloc(32);
	fprintf(stderr, "%s", unmapped_strerror());
	return p || errno != ENOMEM ? 2 : 0;
}

static int a_little_allowed(void *arg)
{
	size_t got = 0;
	void *p, *first;

	(void)arg;
	if (as_nobody(256 * 1024))
		return 1;
	first = unmapped_malloc(1000);
	if (!first)
		return 2;
	memset(first, 1, 1000);
	for (; (p = unmapped_malloc(4096)) != NULL; got += 4096)
		memset(p, 1, 4096);
	fprintf(stderr, "%zu, %s", got, unmapped_strerror());
	if (errno != ENOMEM || got < 200 * 1024 || got >= 256 * 1024)
		return 3;
	/* It still serves from what it has. */
	unmapped_free(first);
	return !unmapped_malloc(1000);
}

static void limit_of_locked_memory(void **state)
{
	(void)state;
	assert_child(nothing_allowed, NULL, 0, "RLIMIT_MEMLOCK is 0 kB");
	assert_child(a_little_allowed, NULL, 0, "RLIMIT_MEMLOCK is 256 kB");
}

#ifndef SANITIZED /* they take terabytes of addresses themselves */
static int no_addresses(void *arg)
{
	struct rlimit r = { 1UL << 30, 1UL << 30 };
	void *p;

	(void)arg;
	if (setrlimit(RLIMIT_AS, &r))
		return 1;
	p = unmapped_malloc(100);
	if (!p)
		fprintf(stderr, "%s", unmapped_strerror());
	return !p;
}

static int hardly_any_addresses(void *arg)
{
	struct rlimit r = { 1UL << 24, 1UL << 24 };
	void *p;

	(void)arg;
	if (setrlimit(RLIMIT_AS, &r))
		return 1;
	p = unmapped_malloc(100);
	fprintf(stderr, "%s", unmapped_strerror());
	return p || errno != ENOMEM;
}

/* All that is mapped from then on is locked, reservations too. */
static int everything_locked(void *arg)
{
	void *p;

	(void)arg;
	if (mlockall(MCL_FUTURE))
		return 1;
	p = unmapped_malloc(100);
	if (!p || !unmapped_malloc(10000))
		return 2;
	return 0;
}

static int everything_locked_within(void *arg)
{
	void *p;
	int err;

	(void)arg;
	if (as_nobody(8 << 20) || mlockall(MCL_FUTURE))
		return 1;
	p = unmapped_malloc(100);
	err = errno;
	fprintf(stderr, "%s", unmapped_strerror());
	return p || err != ENOMEM;
}

static void limit_of_addresses(void **state)
{
	(void)state;
	if (!getuid())
		assert_child(everything_locked, NULL, 0, NULL);
	assert_child(everything_locked_within, NULL, 0, "MCL_FUTURE");
	assert_child(no_addresses, NULL, 0, NULL);
	assert_child(hardly_any_addresses, NULL, 0, "RLIMIT_AS");
}
#endif

/* --- backends -------------------------------------------------------------------- */

static int unknown_in_the_environment(void *arg)
{
	void *p;

	(void)arg;
	setenv("UNMAPPED_BACKEND", "locked,moon", 1);
	errno = 0;
	p = unmapped_malloc(1);
	fprintf(stderr, "%s", unmapped_strerror());
	return p || errno != EINVAL;
}

static int selected(void *arg)
{
	const char *missing;

	(void)arg;
	unsetenv("UNMAPPED_BACKEND");
	if (unmapped_select("nonsense") != -1 || errno != EINVAL)
		return 1;
	if (unmapped_select("") != -1 || errno != EINVAL)
		return 2;
	if (unmapped_select("plain"))
		return 3;
	if (strcmp(unmapped_backend(&missing), "plain") || *missing)
		return 4;
	if (unmapped_select("device,secretmem") != -1 || errno != EBUSY)
		return 5;
	return unmapped_select("secretmem,plain") ? 6 : 0;
}

/* Only what is there is used, and what is not is told once. */
static int told_what_is_missing(void *arg)
{
	const char *missing, *name;

	(void)arg;
	unsetenv("UNMAPPED_BACKEND");
	setenv("UNMAPPED_DEBUG", "1", 1);
	unmapped_malloc(1);
	name = unmapped_backend(&missing);
	if (!access("/dev/unmapped", R_OK | W_OK))
		return strcmp(name, "device") || *missing;
	return !strstr(missing, "device: No such file or directory\n") ||
	       !strcmp(name, "device");
}

static int only_the_device(void *arg)
{
	void *p;
	int err;

	(void)arg;
	setenv("UNMAPPED_BACKEND", "device", 1);
	errno = 0;
	p = unmapped_malloc(1);
	err = errno;
	if (!access("/dev/unmapped", R_OK | W_OK))
		return !p;
	fprintf(stderr, "%s", unmapped_strerror());
	return p || err != ENODEV || unmapped_backend(NULL);
}

static void backends(void **state)
{
	(void)state;
	assert_child(unknown_in_the_environment, NULL, 0, "'moon' is not");
	assert_child(selected, NULL, 0, NULL);
	assert_child(told_what_is_missing, NULL, 0, "is used\n");
	assert_child(only_the_device, NULL, 0,
		     access("/dev/unmapped", R_OK | W_OK) ? "No such file" : NULL);
}

/* What smaps says of the mapping of @p: does it have @flag? */
static bool has_flag(const void *p, const char *flag)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	unsigned long start, end;
	bool found = false, ours = false;
	char line[512];

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			ours = start <= (uintptr_t)p && (uintptr_t)p < end;
		else if (ours && !strncmp(line, "VmFlags:", 8))
			found = strstr(line, flag) != NULL;
	}
	fclose(f);
	return found;
}

static void never_dumped_nor_swapped(void **state)
{
	char *p = unmapped_malloc(32);

	(void)state;
	assert_true(has_flag(p, " dd"));
	assert_true(has_flag(p, " dc"));
	if (!strcmp(unmapped_backend(NULL), "locked"))
		assert_true(has_flag(p, " lo"));
	unmapped_free(p);
}

/* A process that may trace us reads what it can. */
static void read_by_others(void **state)
{
	bool hidden = strcmp(unmapped_backend(NULL), "locked") &&
		      strcmp(unmapped_backend(NULL), "plain");
	char *p = unmapped_malloc(32), got[32] = { 0 };
	int fd = open("/proc/self/mem", O_RDONLY);
	struct iovec to = { got, 32 }, from = { p, 32 };

	(void)state;
	assert_true(fd >= 0);
	memcpy(p, "an open secret, to some at least", 32);
	if (hidden) {
		assert_int_equal(pread(fd, got, 32, (off_t)(uintptr_t)p), -1);
		assert_int_equal(process_vm_readv(getpid(), &to, 1, &from, 1, 0), -1);
		assert_true(is_zero(got, 32));
	} else {
		assert_int_equal(pread(fd, got, 32, (off_t)(uintptr_t)p), 32);
		assert_memory_equal(got, p, 32);
	}
	close(fd);
	unmapped_free(p);
}

static void a_file_to_pass(void **state)
{
	int fd = unmapped_fd(5000);
	char *p, *q;

	(void)state;
	if (!strcmp(unmapped_backend(NULL), "locked") ||
	    !strcmp(unmapped_backend(NULL), "plain")) {
		assert_int_equal(fd, -1);
		assert_int_equal(errno, EOPNOTSUPP);
		assert_non_null(strstr(unmapped_strerror(), "no file"));
		return;
	}
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	q = mmap(NULL, 8192, PROT_READ, MAP_SHARED, fd, 0);
	assert_true(p != MAP_FAILED && q != MAP_FAILED);
	strcpy(p, "shared");
	assert_string_equal(q, "shared");
	munmap(p, 8192);
	munmap(q, 8192);
	close(fd);
	assert_int_equal(unmapped_fd(0), -1);
	assert_int_equal(errno, EINVAL);
}

/* A program that closes all that it does not know. */
static int closes_everything(void *arg)
{
	int fd;

	(void)arg;
	if (!unmapped_malloc(32))
		return 1;
	for (fd = 3; fd < 1000; fd++)
		close(fd);
	for (fd = 3; fd < 10; fd++)
		if (open("/dev/null", O_RDWR) != fd)
			return 2;
	return !unmapped_malloc(5UL << 20);
}

static void descriptors_closed_by_others(void **state)
{
	(void)state;
	assert_child(closes_everything, NULL, 0, NULL);
}

/* Chosen before memory is; nothing is wiped here, whatever the backend. */
static int wiping_chosen(void *arg)
{
	char *p;

	(void)arg;
	if (unmapped_wipe_on_hibernate())
		return 1;
	p = unmapped_strdup("kept");
	if (!p || unmapped_wipe_on_hibernate() || unmapped_wipes())
		return 2;
	if (strcmp(p, "kept"))
		return 3;
	unmapped_free(p);
	p = unmapped_guarded_malloc(5000);
	if (!p || unmapped_wipes())
		return 4;
	unmapped_free(p);
	return stats().nr_objects ? 5 : 0;
}

static int wiping_chosen_too_late(void *arg)
{
	void *p = unmapped_malloc(1);

	(void)arg;
	if (!p || unmapped_wipe_on_hibernate() != -1 || errno != EBUSY)
		return 1;
	return strstr(unmapped_strerror(), "too late") ? 0 : 2;
}

static void hibernation(void **state)
{
	(void)state;
	assert_child(wiping_chosen, NULL, 0, NULL);
	assert_child(wiping_chosen_too_late, NULL, 0, NULL);
	assert_int_equal(unmapped_wipes(), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(threads_share_an_arena),
		cmocka_unit_test(many_threads),
		cmocka_unit_test(used_after_the_thread_ended),
		cmocka_unit_test(a_child_has_none_of_it),
		cmocka_unit_test(twenty_generations),
#ifndef RACES_SEEN
		cmocka_unit_test(forked_in_the_middle),
#endif
		cmocka_unit_test(limit_of_locked_memory),
#ifndef SANITIZED
		cmocka_unit_test(limit_of_addresses),
#endif
		cmocka_unit_test(backends),
		cmocka_unit_test(never_dumped_nor_swapped),
		cmocka_unit_test(read_by_others),
		cmocka_unit_test(a_file_to_pass),
		cmocka_unit_test(descriptors_closed_by_others),
		cmocka_unit_test(hibernation),
	};
	const struct CMUnitTest small[] = {
		cmocka_unit_test(threads_share_an_arena),
		cmocka_unit_test(used_after_the_thread_ended),
		cmocka_unit_test(twenty_generations),
		cmocka_unit_test(never_dumped_nor_swapped),
		cmocka_unit_test(hibernation),
	};

	return run_or_small("process", tests, small);
}
