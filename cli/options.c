// SPDX-License-Identifier: MIT
/*
 * Options that all verbs take, and what is said when one is wrong.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "root.h"

static int code_error = EXIT_ERROR, code_usage = EXIT_USAGE;

void fail_with(int code)
{
	code_error = code;
	code_usage = code;
}

static void usage(const struct verb *v)
{
	printf("Usage: unmapped %s%s%s\n\n%s.\n\nOptions:\n%s", v->name,
	       *v->synopsis ? " " : "", v->synopsis, v->summary, v->help);
	if (v->table)
		printf("  -J, --json          as JSON\n"
		       "  -r, --raw           fields separated by one space\n"
		       "  -n, --noheadings    no line of headings\n"
		       "  -b, --bytes         sizes in bytes\n"
		       "  -o, --output LIST   columns, separated by commas; +LIST adds them\n"
		       "      --output-all    all columns\n");
	if (!v->here)
		printf("      --sysroot DIR   look at what unmapped record wrote to DIR\n");
	printf("  -h, --help          this text\n");
}

void option_common(int c, const struct verb *v, struct style *s)
{
	int err;

	switch (c) {
	case 'J':
		s->json = true;
		return;
	case 'r':
		s->raw = true;
		return;
	case 'n':
	case OPT_NOHEADINGS:
		s->noheadings = true;
		return;
	case 'b':
		s->bytes = true;
		return;
	case 'o':
		s->columns = optarg;
		return;
	case OPT_OUTPUT_ALL:
		s->columns = "all";
		return;
	case OPT_SYSROOT:
		err = root_set(optarg);
		if (err)
			give_up("%s: %s", optarg, strerror(-err));
		return;
	case 'h':
		usage(v);
		exit(finish(EXIT_DONE));
	default:
		try_help(v);
	}
}

void no_arguments(int argc, char **argv, const struct verb *v)
{
	if (optind == argc)
		return;
	complain("%s takes no argument '%s'", v->name, argv[optind]);
	try_help(v);
}

void try_help(const struct verb *v)
{
	fprintf(stderr, "Try 'unmapped %s%s--help'.\n", v ? v->name : "", v ? " " : "");
	exit(code_usage);
}

static void say(const char *fmt, va_list ap)
{
	fflush(stdout);
	fputs("unmapped: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
}

void complain(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
}

void give_up(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
	exit(code_error);
}

void *check_memory(void *p)
{
	if (!p)
		give_up("out of memory");
	return p;
}

int finish(int code)
{
	if ((fflush(stdout) || ferror(stdout)) && code == EXIT_DONE) {
		fprintf(stderr, "unmapped: standard output: %s\n", strerror(errno));
		return EXIT_ERROR;
	}
	return code;
}
