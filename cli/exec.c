// SPDX-License-Identifier: MIT
/*
 * unmapped exec - run a command, and report what it did to the direct map.
 *
 * The counters are the machine's: what others do meanwhile is in them, too.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli.h"
#include "root.h"
#include "snapshot.h"
#include "table.h"

enum { COL_ITEM, COL_BEFORE, COL_AFTER, COL_CHANGE };

static const struct column columns[] = {
	[COL_ITEM] = { "ITEM", "what was counted", COLUMN_TEXT, false },
	[COL_BEFORE] = { "BEFORE", "in JSON and with --bytes in bytes", COLUMN_SIZE,
			 false },
	[COL_AFTER] = { "AFTER", "likewise", COLUMN_SIZE, false },
	[COL_CHANGE] = { "CHANGE", "likewise, with its sign", COLUMN_SIZE, false },
};

static void row(struct table *t, const char *item, uint64_t before, uint64_t after,
		bool bytes)
{
	bool exact = t->style.bytes || !bytes;
	char text[SIZE_TEXT], change[SIZE_TEXT + 1];
	const char *sign = after < before		      ? "-"
			   : t->style.json || after == before ? ""
							      : "+";

	table_line(t);
	table_text(t, COL_ITEM, item);
	table_text(t, COL_BEFORE, size_text(text, before, exact));
	table_text(t, COL_AFTER, size_text(text, after, exact));
	size_text(text, after < before ? before - after : after - before, exact);
	snprintf(change, sizeof(change), "%s%s", sign, text);
	table_text(t, COL_CHANGE, change);
}

static void counters(struct table *t, const struct snapshot *a, const struct snapshot *b)
{
	const struct counters *x = &a->counters, *y = &b->counters;

	row(t, "DirectMap4k", x->direct[ENTRY_4K], y->direct[ENTRY_4K], true);
	row(t, "DirectMap2M", x->direct[ENTRY_2M], y->direct[ENTRY_2M], true);
	if (x->has[ENTRY_1G])
		row(t, "DirectMap1G", x->direct[ENTRY_1G], y->direct[ENTRY_1G], true);
	if (x->has_splits) {
		row(t, "direct_map_level2_splits", x->splits_2m, y->splits_2m, false);
		row(t, "direct_map_level3_splits", x->splits_1g, y->splits_1g, false);
	}
	if (x->has_collapses) {
		row(t, "direct_map_level2_collapses", x->collapses_2m, y->collapses_2m,
		    false);
		row(t, "direct_map_level3_collapses", x->collapses_1g, y->collapses_1g,
		    false);
	}
	if (a->walked && b->walked) {
		row(t, "absent", snapshot_absent(a), snapshot_absent(b), true);
		row(t, "healable", a->map.healable_2m, b->map.healable_2m, true);
	}
	if (!a->debugfs_err && !b->debugfs_err) {
		row(t, "unmapped held", snapshot_bytes(a, "pages_owned"),
		    snapshot_bytes(b, "pages_owned"), true);
		row(t, "unmapped flushes", stats_value(&a->stats, "flushes"),
		    stats_value(&b->stats, "flushes"), false);
	}
}

/* The report goes where the command's output does not. */
static int report(const char *file, const struct style *style, const struct snapshot *a,
		  const struct snapshot *b)
{
	FILE *to = file ? fopen(file, "we") : stderr;
	struct table t;
	char *text;
	int bad;

	if (!to) {
		complain("%s: %s", file, strerror(errno));
		return -1;
	}
	table_init(&t, "exec", columns, sizeof(columns) / sizeof(columns[0]), style);
	counters(&t, a, b);
	text = table_string(&t);
	bad = fputs(text, to) < 0;
	bad |= file ? fclose(to) : fflush(to);
	if (bad)
		complain("%s: %s", file ? file : "standard error", strerror(errno));
	free(text);
	return bad ? -1 : 0;
}

static int wait_for(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return EXIT_EXEC_SELF;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* As a shell does: signals of the terminal are for the command. */
static int run(char **argv)
{
	const struct sigaction ignore = { .sa_handler = SIG_IGN };
	struct sigaction old_int, old_quit;
	int code, err;
	pid_t pid;

	fflush(NULL);
	sigaction(SIGINT, &ignore, &old_int);
	sigaction(SIGQUIT, &ignore, &old_quit);
	pid = fork();
	if (!pid) {
		sigaction(SIGINT, &old_int, NULL);
		sigaction(SIGQUIT, &old_quit, NULL);
		execvp(argv[0], argv);
		err = errno;
		complain("%s: %s", argv[0], strerror(err));
		_exit(err == ENOENT ? EXIT_EXEC_NOT_FOUND : EXIT_EXEC_REFUSED);
	}
	if (pid < 0) {
		complain("fork: %s", strerror(errno));
		code = EXIT_EXEC_SELF;
	} else {
		code = wait_for(pid);
	}
	sigaction(SIGINT, &old_int, NULL);
	sigaction(SIGQUIT, &old_quit, NULL);
	return code;
}

static int exec(int argc, char **argv)
{
	static const struct option options[] = { COMMON_OPTIONS,
						 TABLE_OPTIONS,
						 { "report", required_argument, NULL,
						   'f' },
						 {} };
	struct snapshot before, after;
	struct style style = {};
	const char *file = NULL;
	int c, code;

	fail_with(EXIT_EXEC_SELF);
	while ((c = getopt_long(argc, argv, "+" TABLE_LETTERS "f:", options, NULL)) >=
	       0) {
		if (c == 'f')
			file = optarg;
		else
			option_common(c, &verb_exec, &style);
	}
	if (optind == argc || root_recorded()) {
		complain(optind == argc ? "no command given"
					: "exec runs here; it has no --sysroot");
		try_help(&verb_exec);
	}
	style.bytes |= style.json;
	snapshot_take(&before, true);
	code = run(argv + optind);
	snapshot_take(&after, true);
	if (report(file, &style, &before, &after) && !code)
		code = EXIT_EXEC_SELF;
	snapshot_free(&before);
	snapshot_free(&after);
	return code;
}

const struct verb verb_exec = {
	.name = "exec",
	.synopsis = "[OPTION...] -- COMMAND [ARGUMENT...]",
	.summary = "Run a command, and report what it did to the direct map",
	.help = "  -f, --report FILE   write the report there, not to standard error\n",
	.table = true,
	.here = true,
	.run = exec,
};
