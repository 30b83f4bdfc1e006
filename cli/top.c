// SPDX-License-Identifier: MIT
/*
 * unmapped top - the direct map, the allocator and who holds its memory, live.
 *
 * On a terminal the screen is drawn anew each time, and q ends it; elsewhere it is
 * plain text, once if not asked for more.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "root.h"
#include "snapshot.h"

static struct termios saved;
static bool raw_input;
static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
	(void)sig;
	stop = 1;
}

static void terminal_end(void)
{
	if (raw_input)
		tcsetattr(STDIN_FILENO, TCSANOW, &saved);
	raw_input = false;
}

/* Keys without waiting for a line. */
static void terminal_begin(void)
{
	const struct sigaction act = { .sa_handler = on_signal };
	struct termios t;

	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
	if (tcgetattr(STDIN_FILENO, &saved))
		return;
	t = saved;
	t.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw_input = !tcsetattr(STDIN_FILENO, TCSANOW, &t);
	atexit(terminal_end);
}

/* Wait for the next time.  Return: whether there is one. */
static bool pause_for(unsigned int ms)
{
	struct pollfd p = { .fd = raw_input ? STDIN_FILENO : -1, .events = POLLIN };
	char key;

	if (poll(&p, 1, (int)ms) > 0 && (read(STDIN_FILENO, &key, 1) < 1 || key == 'q'))
		stop = 1;
	return !stop;
}

static unsigned int rows(void)
{
	struct winsize ws = {};

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) || ws.ws_row < 12)
		return 24;
	return ws.ws_row;
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int by_pages(const void *a, const void *b)
{
	const struct holder *x = a, *y = b;

	return (x->pages < y->pages) - (x->pages > y->pages);
}

static double rate(uint64_t now, uint64_t then, double time)
{
	return time > 0 && now > then ? (double)(now - then) / time : 0;
}

static void direct_map(const struct snapshot *s, const struct snapshot *old, double time)
{
	const struct counters *c = &s->counters;
	char t[5][SIZE_TEXT];

	printf("Direct map  1G %s, 2M %s, 4K %s",
	       size_text(t[0], snapshot_mapped(s, ENTRY_1G), false),
	       size_text(t[1], snapshot_mapped(s, ENTRY_2M), false),
	       size_text(t[2], snapshot_mapped(s, ENTRY_4K), false));
	if (s->walked)
		printf(", absent %s, healable %s",
		       size_text(t[3], snapshot_absent(s), false),
		       size_text(t[4], s->map.healable_2m, false));
	printf("\n");
	if (c->has_splits)
		printf("Splits      %" PRIu64 " of 2M, %" PRIu64 " of 1G, %.1f/s\n",
		       c->splits_2m, c->splits_1g,
		       old ? rate(c->splits_2m + c->splits_1g,
				  old->counters.splits_2m + old->counters.splits_1g, time)
			   : 0);
}

static void allocator(const struct snapshot *s, const struct snapshot *old, double time)
{
	uint64_t flushes = stats_value(&s->stats, "flushes");
	char t[3][SIZE_TEXT];

	printf("Allocator   %s held, %s in use, %s free\n",
	       size_text(t[0], snapshot_bytes(s, "pages_owned"), false),
	       size_text(t[1], snapshot_bytes(s, "pages_allocated"), false),
	       size_text(t[2], snapshot_bytes(s, "pages_free"), false));
	printf("Traffic     %" PRIu64 " refills, %" PRIu64 " flushes, %.1f/s; %" PRIu64
	       " blocks taken, %" PRIu64 " released\n",
	       stats_value(&s->stats, "refills"), flushes,
	       old ? rate(flushes, stats_value(&old->stats, "flushes"), time) : 0,
	       stats_value(&s->stats, "blocks_taken"),
	       stats_value(&s->stats, "blocks_released"));
}

static void holders(struct snapshot *s, size_t max)
{
	char t[2][SIZE_TEXT];
	size_t i;

	printf("\n%10s %7s %8s %8s %-5s %s\n", "PID", "UID", "USED", "SIZE", "FLAGS",
	       "COMM");
	if (s->holders.nr)
		qsort(s->holders.list, s->holders.nr, sizeof(*s->holders.list), by_pages);
	for (i = 0; i < s->holders.nr && i < max; i++) {
		const struct holder *h = &s->holders.list[i];

		size_text(t[0], h->pages * KCORE_PAGE, false);
		if (h->kernel)
			printf("%10s %7s %8s %8s %-5s %s\n", "-", "-", t[0], "-",
			       h->flags, h->comm);
		else
			printf("%10" PRIu32 " %7" PRIu32 " %8s %8s %-5s %s\n", h->pid,
			       h->uid, t[0], size_text(t[1], h->bytes, false), h->flags,
			       h->comm);
	}
}

static void show(struct snapshot *s, const struct snapshot *old, double time, bool tty)
{
	if (tty)
		printf("\033[H\033[J");
	direct_map(s, old, time);
	if (s->debugfs_err) {
		printf("Allocator   %s\n", debugfs_why(s->debugfs_err));
	} else {
		allocator(s, old, time);
		holders(s, tty ? rows() - 7 : SIZE_MAX);
	}
	if (!tty)
		printf("\n");
	fflush(stdout);
}

static unsigned int option_number(const char *option, const char *text, uint64_t max)
{
	uint64_t value;

	if (number_parse(text, 1, max, &value)) {
		complain("%s takes a number of 1 to %" PRIu64 ", not '%s'", option, max,
			 text);
		try_help(&verb_top);
	}
	return (unsigned int)value;
}

static int top(int argc, char **argv)
{
	static const struct option options[] = {
		COMMON_OPTIONS,
		{ "delay", required_argument, NULL, 'd' },
		{ "iterations", required_argument, NULL, 'n' },
		{ "once", no_argument, NULL, 'o' },
		{}
	};
	bool tty = isatty(STDOUT_FILENO);
	unsigned int delay = 2, left = tty ? UINT32_MAX : 1;
	struct snapshot s[2];
	double time[2] = {};
	unsigned int i = 0;
	struct style style = {};
	bool first = true;
	int c;

	while ((c = getopt_long(argc, argv, "hd:n:o", options, NULL)) >= 0) {
		switch (c) {
		case 'd':
			delay = option_number("--delay", optarg, 3600);
			break;
		case 'n':
			left = option_number("--iterations", optarg, UINT32_MAX);
			break;
		case 'o':
			left = 1;
			tty = false;
			break;
		default:
			option_common(c, &verb_top, &style);
		}
	}
	no_arguments(argc, argv, &verb_top);
	if (tty)
		terminal_begin();
	for (;;) {
		snapshot_take(&s[i], true);
		time[i] = seconds();
		show(&s[i], first ? NULL : &s[!i], time[i] - time[!i], tty);
		if (!first)
			snapshot_free(&s[!i]);
		first = false;
		i = !i;
		if (!--left || ferror(stdout) || !pause_for(delay * 1000))
			break;
	}
	snapshot_free(&s[!i]);
	return EXIT_DONE;
}

const struct verb verb_top = {
	.name = "top",
	.synopsis = "[OPTION...]",
	.summary = "Show the direct map, the allocator and its users, live",
	.help = "  -d, --delay N       seconds between two looks, 2 if not given\n"
		"  -n, --iterations N  end after so many; 1 if there is no terminal\n"
		"  -o, --once          one look, as plain text\n",
	.run = top,
};
