// SPDX-License-Identifier: MIT
/*
 * All that can be known at a moment.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "root.h"
#include "snapshot.h"

static uint64_t limit_read(void)
{
	char *text = root_read("/sys/kernel/mm/unmapped/limit_kb", NULL);
	uint64_t kb = 0;

	if (text)
		text[strcspn(text, "\n")] = 0;
	if (!text || number_parse(text, 0, UINT64_MAX >> 10, &kb))
		kb = 0;
	free(text);
	return kb << 10;
}

void snapshot_take(struct snapshot *s, bool walk)
{
	const char *path;
	struct walk w;
	int err;

	memset(s, 0, sizeof(*s));
	err = counters_read(&s->counters, &path);
	if (err)
		give_up("%s: %s", path, strerror(-err));
	if (walk && !map_read(&w, s->why_not_walked)) {
		s->walked = true;
		s->map = w.totals;
		walk_free(&w);
	}
	s->loaded = module_loaded();
	s->limit = limit_read();
	s->debugfs_err = stats_read(&s->stats);
	if (!s->debugfs_err)
		s->debugfs_err = holders_read(&s->holders);
	if (!s->debugfs_err)
		s->debugfs_err = blocks_read(&s->blocks);
}

void snapshot_free(struct snapshot *s)
{
	free(s->stats.lines);
	free(s->holders.list);
	free(s->blocks.nodes);
}

uint64_t snapshot_mapped(const struct snapshot *s, enum entry_size size)
{
	return s->walked ? s->map.mapped[size] : s->counters.direct[size];
}

uint64_t snapshot_absent(const struct snapshot *s)
{
	const uint64_t *absent = s->map.absent;

	return absent[ENTRY_4K] + absent[ENTRY_2M] + absent[ENTRY_1G];
}

uint64_t snapshot_bytes(const struct snapshot *s, const char *pages)
{
	return stats_value(&s->stats, pages) * KCORE_PAGE;
}
