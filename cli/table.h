/* SPDX-License-Identifier: MIT */
/*
 * A table of columns, printed by libsmartcols as text, raw or as JSON.
 */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include <libsmartcols/libsmartcols.h>

#include "cli.h"

struct column {
	const char *name; /* in capitals; in JSON it is the same in small letters */
	const char *help;
	enum { COLUMN_TEXT, COLUMN_NUMBER, COLUMN_SIZE, COLUMN_BOOL } type;
	bool extra; /* shown only when asked for */
};

struct table {
	const struct column *columns;
	size_t nr;
	struct style style;
	struct libscols_table *t;
	struct libscols_line *line; /* the last one added */
	int at[32];		    /* where each column is shown, -1: nowhere */
};

/*
 * Ends the program with EXIT_USAGE for a column that there is not.  @name is the
 * name of the array in JSON.
 */
void table_init(struct table *t, const char *name, const struct column *columns,
		size_t nr, const struct style *style);
void table_line(struct table *t);
/* Set a field of the last line; what is not set is empty. */
void table_text(struct table *t, size_t column, const char *text);
void table_number(struct table *t, size_t column, uint64_t value);
void table_bool(struct table *t, size_t column, bool value);
void table_print(struct table *t);
/* The same into a string to free(). */
char *table_string(struct table *t);

#endif
