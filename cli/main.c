// SPDX-License-Identifier: MIT
/*
 * unmapped - see and use memory that is absent from the direct map.
 */
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

#ifndef VERSION
#define VERSION "0"
#endif

static const struct verb *const verbs[] = {
	&verb_status, &verb_map,    &verb_top,	   &verb_blocks, &verb_shrink,
	&verb_exec,   &verb_doctor, &verb_metrics, &verb_record,
};

static void usage(void)
{
	size_t i;

	printf("Usage: unmapped VERB [OPTION...]\n\n"
	       "Memory that is absent from the kernel's direct map, and the direct map.\n\n"
	       "Verbs:\n");
	for (i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		printf("  %-9s %s\n", verbs[i]->name, verbs[i]->summary);
	printf("\nOptions:\n"
	       "  -h, --help     this text; unmapped VERB --help says more\n"
	       "  -V, --version  the version\n\n"
	       "For more see unmapped(1).\n");
}

int main(int argc, char **argv)
{
	size_t i;

	setlocale(LC_ALL, "");
	if (argc < 2) {
		fprintf(stderr, "unmapped: no verb given\n");
		try_help(NULL);
	}
	if (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help")) {
		usage();
		return finish(EXIT_DONE);
	}
	if (!strcmp(argv[1], "-V") || !strcmp(argv[1], "--version")) {
		printf("unmapped %s\n", VERSION);
		return finish(EXIT_DONE);
	}
	for (i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (!strcmp(argv[1], verbs[i]->name))
			return finish(verbs[i]->run(argc - 1, argv + 1));
	fprintf(stderr, "unmapped: there is no verb '%s'\n", argv[1]);
	try_help(NULL);
}
