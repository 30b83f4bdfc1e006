// SPDX-License-Identifier: MIT
/*
 * The picture of the direct map: a line of cells for each GiB.
 *
 * A cell stands for several blocks and shows the rarest thing in it: one absent
 * page in 16 MiB is to be seen.
 */
#include <inttypes.h>

#include "cli.h"
#include "map.h"

static const struct {
	char letter;
	const char *colour; /* background, as ECMA-48 has it */
	const char *text;
} cells[NR_CELLS] = {
	[CELL_NONE] = { ' ', "", "no memory" },
	[CELL_1G] = { 'G', "\033[42;30m", "1 GiB entry" },
	[CELL_2M] = { 'M', "\033[46;30m", "2 MiB entries" },
	[CELL_4K] = { 'k', "\033[41;37m", "4 KiB entries" },
	[CELL_HEALABLE] = { 'h', "\033[43;30m", "4 KiB entries that could be of 2 MiB" },
	[CELL_PAGES_ABSENT] = { 'a', "\033[45;37m", "4 KiB entries, some absent" },
	[CELL_BLOCK_ABSENT] = { 'U', "\033[44;37m",
				"2 MiB absent as a whole, as the allocator takes it" },
};

static enum cell block_cell(const struct walk_block *b)
{
	if (!b->ram)
		return CELL_NONE;
	if (b->kind != KIND_TABLE)
		return b->kind == KIND_MAPPED ? CELL_2M : CELL_BLOCK_ABSENT;
	if (b->mapped != b->ram)
		return CELL_PAGES_ABSENT;
	return b->healable ? CELL_HEALABLE : CELL_4K;
}

enum cell map_cell(const struct walk_region *r, unsigned int first, unsigned int nr)
{
	enum cell last = CELL_NONE, c;
	unsigned int i;

	if (r->kind != KIND_TABLE)
		return r->kind == KIND_MAPPED ? CELL_1G : CELL_BLOCK_ABSENT;
	for (i = first; i < first + nr; i++) {
		c = block_cell(&r->blocks[i]);
		if (c > last)
			last = c;
	}
	return last;
}

void map_draw(FILE *to, const struct walk *w, unsigned int width, bool colour)
{
	unsigned int each = REGION_BLOCKS / width, i;
	enum cell c, before;
	size_t n;

	for (n = 0; n < w->nr_regions; n++) {
		fprintf(to, "%6" PRIu64 "G |", w->regions[n].start / REGION_BYTES);
		before = CELL_NONE;
		for (i = 0; i < width; i++) {
			c = map_cell(&w->regions[n], i * each, each);
			if (colour && c != before)
				fprintf(to, "\033[0m%s", cells[c].colour);
			fputc(cells[c].letter, to);
			before = c;
		}
		fprintf(to, "%s|\n", colour && before != CELL_NONE ? "\033[0m" : "");
	}
}

void map_legend(FILE *to, unsigned int width, bool colour)
{
	char text[SIZE_TEXT];
	unsigned int c;

	fprintf(to, "\nEach cell is %s and shows what comes last of:\n",
		size_text(text, REGION_BYTES / width, false));
	for (c = CELL_1G; c < NR_CELLS; c++)
		fprintf(to, "  %s%c%s %s\n", colour ? cells[c].colour : "",
			cells[c].letter, colour ? "\033[0m" : "", cells[c].text);
}

void map_totals(FILE *to, const struct walk_totals *t, bool bytes)
{
	char s[4][SIZE_TEXT];

	fprintf(to, "Memory %s: %s by 1 GiB entries, %s by 2 MiB, %s by 4 KiB\n",
		size_text(s[0], t->ram, bytes),
		size_text(s[1], t->mapped[ENTRY_1G], bytes),
		size_text(s[2], t->mapped[ENTRY_2M], bytes),
		size_text(s[3], t->mapped[ENTRY_4K], bytes));
	fprintf(to, "Absent %s: %s as whole 1 GiB, %s as whole 2 MiB, %s by 4 KiB\n",
		size_text(s[0],
			  t->absent[ENTRY_1G] + t->absent[ENTRY_2M] + t->absent[ENTRY_4K],
			  bytes),
		size_text(s[1], t->absent[ENTRY_1G], bytes),
		size_text(s[2], t->absent[ENTRY_2M], bytes),
		size_text(s[3], t->absent[ENTRY_4K], bytes));
	fprintf(to,
		"Could be healed: %s of 4 KiB entries to 2 MiB ones, "
		"%s of 2 MiB entries to 1 GiB ones\n",
		size_text(s[0], t->healable_2m, bytes),
		size_text(s[1], t->healable_1g, bytes));
	fprintf(to,
		"Entries, absent and beyond memory too: %s of 1 GiB, %s of 2 MiB, %s of 4 KiB; "
		"%" PRIu64 " split in the kernel's image\n",
		size_text(s[0], t->entries[ENTRY_1G], bytes),
		size_text(s[1], t->entries[ENTRY_2M], bytes),
		size_text(s[2], t->entries[ENTRY_4K], bytes), t->image_splits);
}
