// SPDX-License-Identifier: MIT
/*
 * Tables by libsmartcols.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "table.h"

static int column_find(const struct table *t, const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < t->nr; i++)
		if (strlen(t->columns[i].name) == len &&
		    !strncasecmp(t->columns[i].name, name, len))
			return (int)i;
	return -1;
}

static void columns_help(const struct table *t)
{
	size_t i;

	fprintf(stderr, "Columns:\n");
	for (i = 0; i < t->nr; i++)
		fprintf(stderr, "  %-10s %s\n", t->columns[i].name, t->columns[i].help);
}

static void column_show(struct table *t, size_t i)
{
	const struct column *c = &t->columns[i];
	struct libscols_column *col;
	char name[32];
	size_t n;
	int json = SCOLS_JSON_STRING;

	if (t->at[i] >= 0)
		return;
	for (n = 0; n + 1 < sizeof(name) && c->name[n]; n++)
		name[n] = (char)(t->style.json ? tolower(c->name[n]) : c->name[n]);
	name[n] = 0;
	if (c->type == COLUMN_NUMBER || (c->type == COLUMN_SIZE && t->style.bytes))
		json = SCOLS_JSON_NUMBER;
	else if (c->type == COLUMN_BOOL)
		json = SCOLS_JSON_BOOLEAN;
	t->at[i] = (int)scols_table_get_ncols(t->t);
	col = check_memory(scols_table_new_column(
		t->t, name, 0, c->type == COLUMN_TEXT ? 0 : SCOLS_FL_RIGHT));
	scols_column_set_json_type(col, json);
}

static void columns_choose(struct table *t, const char *list)
{
	bool all = list && !strcmp(list, "all");
	size_t i, len;
	int found;

	if (!list || *list == '+' || all)
		for (i = 0; i < t->nr; i++)
			if (all || !t->columns[i].extra)
				column_show(t, i);
	if (!list || all)
		return;
	for (list += *list == '+';; list += len + 1) {
		len = strcspn(list, ",");
		found = column_find(t, list, len);
		if (found < 0) {
			complain("there is no column '%.*s'", (int)len, list);
			columns_help(t);
			exit(EXIT_USAGE);
		}
		column_show(t, (size_t)found);
		if (!list[len])
			return;
	}
}

void table_init(struct table *t, const char *name, const struct column *columns,
		size_t nr, const struct style *style)
{
	size_t i;

	memset(t, 0, sizeof(*t));
	t->columns = columns;
	t->nr = nr;
	t->style = *style;
	for (i = 0; i < nr; i++)
		t->at[i] = -1;
	t->t = check_memory(scols_new_table());
	scols_table_set_name(t->t, name);
	scols_table_enable_json(t->t, style->json);
	scols_table_enable_raw(t->t, style->raw);
	scols_table_enable_noheadings(t->t, style->noheadings);
	columns_choose(t, style->columns);
}

void table_line(struct table *t)
{
	t->line = check_memory(scols_table_new_line(t->t, NULL));
}

void table_text(struct table *t, size_t column, const char *text)
{
	if (t->at[column] >= 0 &&
	    scols_line_set_data(t->line, (size_t)t->at[column], text))
		give_up("out of memory");
}

void table_number(struct table *t, size_t column, uint64_t value)
{
	char text[SIZE_TEXT];

	if (t->columns[column].type == COLUMN_SIZE)
		size_text(text, value, t->style.bytes);
	else
		snprintf(text, sizeof(text), "%" PRIu64, value);
	table_text(t, column, text);
}

void table_bool(struct table *t, size_t column, bool value)
{
	if (t->style.json)
		table_text(t, column, value ? "1" : "0");
	else
		table_text(t, column, value ? "yes" : "no");
}

void table_print(struct table *t)
{
	scols_table_set_stream(t->t, stdout);
	if (scols_print_table(t->t))
		give_up("out of memory");
	scols_unref_table(t->t);
}

char *table_string(struct table *t)
{
	char *text = NULL;

	if (scols_print_table_to_string(t->t, &text))
		give_up("out of memory");
	scols_unref_table(t->t);
	return check_memory(text);
}
