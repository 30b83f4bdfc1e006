// SPDX-License-Identifier: MIT
/*
 * unmapped shrink - have the allocator give free memory back to the system.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "debugfs.h"
#include "kcore.h"
#include "root.h"

static uint64_t owned(void)
{
	struct stats s;
	uint64_t pages;
	int err = stats_read(&s);

	if (err)
		give_up("%s", debugfs_why(err));
	pages = stats_value(&s, "pages_owned");
	free(s.lines);
	return pages * KCORE_PAGE;
}

static void write_pages(const char *text)
{
	int fd = open(DEBUGFS "shrink", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		give_up("%s", debugfs_why(-errno));
	if (write(fd, text, strlen(text)) < 0)
		give_up(DEBUGFS "shrink: %s: %s", text, strerror(errno));
	close(fd);
}

static int shrink(int argc, char **argv)
{
	static const struct option options[] = { COMMON_OPTIONS,
						 { "quiet", no_argument, NULL, 'q' },
						 { "bytes", no_argument, NULL, 'b' },
						 {} };
	char text[24] = "all", s[2][SIZE_TEXT];
	struct style style = {};
	uint64_t size, before, after;
	bool quiet = false;
	int c;

	while ((c = getopt_long(argc, argv, "hqb", options, NULL)) >= 0) {
		if (c == 'q')
			quiet = true;
		else
			option_common(c, &verb_shrink, &style);
	}
	if (argc - optind > 1) {
		complain("shrink takes one size, not '%s' as well", argv[optind + 1]);
		try_help(&verb_shrink);
	}
	if (optind < argc && strcmp(argv[optind], "all")) {
		if (size_parse(argv[optind], &size)) {
			complain("'%s' is no size: a number of bytes with K, M, G or T "
				 "behind it, or all",
				 argv[optind]);
			try_help(&verb_shrink);
		}
		snprintf(text, sizeof(text), "%" PRIu64,
			 size / KCORE_PAGE + (size % KCORE_PAGE != 0));
	}
	if (root_recorded()) {
		complain("shrink changes this machine; it has no --sysroot");
		try_help(&verb_shrink);
	}
	before = owned();
	write_pages(text);
	after = owned();
	if (!quiet)
		printf("%s given back, %s held\n",
		       size_text(s[0], before > after ? before - after : 0, style.bytes),
		       size_text(s[1], after, style.bytes));
	return EXIT_DONE;
}

const struct verb verb_shrink = {
	.name = "shrink",
	.synopsis = "[OPTION...] [SIZE|all]",
	.summary = "Have the allocator give free memory back to the system",
	.help = "  -q, --quiet         say nothing\n"
		"  -b, --bytes         sizes in bytes\n",
	.here = true,
	.run = shrink,
};
