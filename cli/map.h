/* SPDX-License-Identifier: MIT */
/*
 * The picture of the direct map: text for a walk.
 */
#ifndef CLI_MAP_H
#define CLI_MAP_H

#include <stdio.h>

#include "walk.h"

#define MAP_WIDTHS "8, 16, 32, 64, 128, 256 or 512"

/* What a cell of the picture says: of what is in it, the one that is last here. */
enum cell {
	CELL_NONE,
	CELL_1G,
	CELL_2M,
	CELL_4K,
	CELL_HEALABLE,
	CELL_PAGES_ABSENT,
	CELL_BLOCK_ABSENT,
	NR_CELLS
};

/* Of blocks [first, first + nr) of a region. */
enum cell map_cell(const struct walk_region *r, unsigned int first, unsigned int nr);
/* One line for each GiB, of @width cells. */
void map_draw(FILE *to, const struct walk *w, unsigned int width, bool colour);
void map_legend(FILE *to, unsigned int width, bool colour);
/* Lines that say how much is what. */
void map_totals(FILE *to, const struct walk_totals *t, bool bytes);

/*
 * Walk the direct map of this machine, or of the recorded one, and say on standard
 * error what makes the result doubtful.
 *
 * Return: 0, or -errno and why[].
 */
#define MAP_WHY 256
int map_read(struct walk *w, char why[MAP_WHY]);

#endif
