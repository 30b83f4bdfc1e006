/* SPDX-License-Identifier: MIT */
/*
 * What the verbs of unmapped(1) share: options, messages, exit codes, sizes.
 */
#ifndef CLI_H
#define CLI_H

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Exit codes; exec has its own for what happens to the command. */
enum {
	EXIT_DONE = 0,
	EXIT_ERROR = 1,	  /* something could not be read or done */
	EXIT_USAGE = 2,	  /* wrong options or arguments */
	EXIT_MISSING = 3, /* doctor: nothing here gives unmapped memory */
	EXIT_EXEC_SELF = 125,
	EXIT_EXEC_REFUSED = 126,
	EXIT_EXEC_NOT_FOUND = 127,
};

struct verb {
	const char *name;
	const char *synopsis; /* what follows the name */
	const char *summary;
	const char *help; /* lines of its own options, or "" */
	bool table;	  /* takes the options of tables */
	bool here;	  /* does something to this machine: no --sysroot */
	int (*run)(int argc, char **argv);
};

extern const struct verb verb_blocks, verb_doctor, verb_exec, verb_map, verb_metrics,
	verb_record, verb_shrink, verb_status, verb_top;

/* How a table is to be printed. */
struct style {
	bool json, raw, noheadings, bytes;
	const char *columns; /* --output, or NULL */
};

enum { /* options without a letter of their own */
       OPT_NOHEADINGS = 256,
       OPT_OUTPUT_ALL,
       OPT_SYSROOT,
       OPT_OWN, /* the first one of a verb */
};

/* For each verb's array of options, and its string of letters. */
#define COMMON_OPTIONS \
	{ "help", no_argument, NULL, 'h' }, \
	{ \
		"sysroot", required_argument, NULL, OPT_SYSROOT \
	}
#define TABLE_OPTIONS \
	{ "json", no_argument, NULL, 'J' }, { "raw", no_argument, NULL, 'r' }, \
		{ "bytes", no_argument, NULL, 'b' }, \
		{ "noheadings", no_argument, NULL, 'n' }, \
		{ "output", required_argument, NULL, 'o' }, \
	{ \
		"output-all", no_argument, NULL, OPT_OUTPUT_ALL \
	}
#define TABLE_LETTERS "hJrbno:"

/*
 * Deal with an option that is not the verb's own.  Does not return after --help
 * or an option that there is not.
 */
void option_common(int c, const struct verb *v, struct style *s);
/* Ends with EXIT_USAGE if there are arguments left. */
void no_arguments(int argc, char **argv, const struct verb *v);

void try_help(const struct verb *v) __attribute__((noreturn));
/* "unmapped: ..." on standard error. */
void complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The same, and the end with EXIT_ERROR. */
void give_up(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
/* From now on the program's own errors, of usage too, end with @code. */
void fail_with(int code);
void *check_memory(void *p);

#define SIZE_TEXT 24
/* "64M", "1.5G" or, with @bytes, "67108864"; returns @text. */
const char *size_text(char text[SIZE_TEXT], uint64_t size, bool bytes);
/* A number of bytes with K, M, G or T behind it.  Return: 0, -EINVAL, -ERANGE. */
int size_parse(const char *text, uint64_t *size);
/* A number without sign, all of @text.  Return: 0, -EINVAL, -ERANGE. */
int number_parse(const char *text, uint64_t min, uint64_t max, uint64_t *value);

/* Flush standard output; its errors are the program's. */
int finish(int code);

#endif
