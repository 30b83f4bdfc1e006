// SPDX-License-Identifier: MIT
/*
 * The files of the module in debugfs: stats, pagetypeinfo and holders.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "debugfs.h"
#include "root.h"

/* The next line, cut off at its end; NULL behind the last one. */
static char *next_line(char **text)
{
	char *line = *text;

	if (!line || !*line)
		return NULL;
	*text = strchr(line, '\n');
	if (*text)
		*(*text)++ = 0;
	return line;
}

/* A number at the beginning of @p; @p is moved behind it.  False if none is. */
static bool take_number(const char **p, uint64_t *value)
{
	char *end;

	*p += strspn(*p, " ");
	if (**p < '0' || **p > '9')
		return false;
	errno = 0;
	*value = strtoull(*p, &end, 10);
	*p = end;
	return !errno;
}

static bool take_word(const char **p, char *word, size_t size)
{
	size_t len;

	*p += strspn(*p, " ");
	len = strcspn(*p, " ");
	if (!len || len >= size)
		return false;
	memcpy(word, *p, len);
	word[len] = 0;
	*p += len;
	return true;
}

/* Room for one more in an array that grows by doubling. */
static void *grow(void *array, size_t nr, size_t size)
{
	if (nr & (nr - 1))
		return array;
	return reallocarray(array, nr ? nr * 2 : 1, size);
}

/*
 * Call @parse for each line of a copy of @text.  Return: 0, or what it returned
 * that is less.
 */
static int each_line(const char *text, void *arg,
		     int (*parse)(void *arg, const char *line))
{
	char *copy = strdup(text), *rest = copy, *line;
	int err = copy ? 0 : -ENOMEM;

	while (!err) {
		line = next_line(&rest);
		if (!line)
			break;
		err = parse(arg, line);
	}
	free(copy);
	return err;
}

/* --- stats ----------------------------------------------------------------- */

static int stats_line(void *arg, const char *line)
{
	struct stats *s = arg;
	struct stat_line new, *more;

	if (!take_word(&line, new.name, sizeof(new.name)) ||
	    !take_number(&line, &new.value) || *line)
		return 0;
	more = grow(s->lines, s->nr, sizeof(new));
	if (!more)
		return -ENOMEM;
	s->lines = more;
	s->lines[s->nr++] = new;
	return 0;
}

int stats_parse(struct stats *s, const char *text)
{
	memset(s, 0, sizeof(*s));
	return each_line(text, s, stats_line);
}

uint64_t stats_value(const struct stats *s, const char *name)
{
	size_t i;

	for (i = 0; i < s->nr; i++)
		if (!strcmp(s->lines[i].name, name))
			return s->lines[i].value;
	return 0;
}

/* --- pagetypeinfo ---------------------------------------------------------- */

static struct node_blocks *node_get(struct blocks *b, uint64_t node)
{
	struct node_blocks *more;
	size_t i;

	for (i = 0; i < b->nr; i++)
		if (b->nodes[i].node == node)
			return &b->nodes[i];
	more = grow(b->nodes, b->nr, sizeof(*more));
	if (!more)
		return NULL;
	b->nodes = more;
	more = &b->nodes[b->nr++];
	memset(more, 0, sizeof(*more));
	more->node = (unsigned int)node;
	return more;
}

/* "Node N, type Unmapped ORDER..." and "Node N, WHOLE PARTIAL FULL FALLBACK". */
static int blocks_line(void *arg, const char *line)
{
	struct node_blocks *n;
	uint64_t node, v[ORDERS];
	char word[16];
	size_t i, nr = 4;

	if (!take_word(&line, word, sizeof(word)) || strcmp(word, "Node") ||
	    !take_number(&line, &node) || node > 4095 || *line++ != ',')
		return 0;
	line += strspn(line, " ");
	if (!strncmp(line, "type ", 5)) {
		line += 5;
		if (!take_word(&line, word, sizeof(word)) || strcmp(word, "Unmapped"))
			return 0;
		nr = ORDERS;
	}
	for (i = 0; i < nr; i++)
		if (!take_number(&line, &v[i]))
			return 0;
	n = node_get(arg, node);
	if (!n)
		return -ENOMEM;
	if (nr == ORDERS) {
		memcpy(n->free, v, sizeof(n->free));
		return 0;
	}
	n->whole = v[0];
	n->partial = v[1];
	n->full = v[2];
	n->fallback = v[3];
	return 0;
}

int blocks_parse(struct blocks *b, const char *text)
{
	memset(b, 0, sizeof(*b));
	return each_line(text, b, blocks_line);
}

/* --- holders --------------------------------------------------------------- */

static bool take_id(const char **p, uint32_t *id, bool *none)
{
	uint64_t value = 0;

	*p += strspn(*p, " ");
	*none = **p == '-';
	if (*none)
		(*p)++;
	else if (!take_number(p, &value) || value > UINT32_MAX)
		return false;
	*id = (uint32_t)value;
	return true;
}

/* "PID UID PAGES BYTES FLAGS COMM", where the kernel's line has dashes. */
static int holders_line(void *arg, const char *line)
{
	struct holders *h = arg;
	struct holder new = {}, *more;
	bool no_uid;

	if (!take_id(&line, &new.pid, &new.kernel) ||
	    !take_id(&line, &new.uid, &no_uid) || !take_number(&line, &new.pages))
		return 0;
	line += strspn(line, " ");
	if (new.kernel &&*line == '-')
		line++;
	else if (!take_number(&line, &new.bytes))
		return 0;
	if (!take_word(&line, new.flags, sizeof(new.flags)))
		return 0;
	line += strspn(line, " ");
	snprintf(new.comm, sizeof(new.comm), "%s", line);
	more = grow(h->list, h->nr, sizeof(new));
	if (!more)
		return -ENOMEM;
	h->list = more;
	h->list[h->nr++] = new;
	return 0;
}

int holders_parse(struct holders *h, const char *text)
{
	memset(h, 0, sizeof(*h));
	return each_line(text, h, holders_line);
}

/* --- the files ------------------------------------------------------------- */

int stats_read(struct stats *s)
{
	char *text = root_read(DEBUGFS "stats", NULL);
	int err;

	memset(s, 0, sizeof(*s));
	if (!text)
		return -errno;
	err = stats_parse(s, text);
	free(text);
	return err;
}

int blocks_read(struct blocks *b)
{
	char *text = root_read(DEBUGFS "pagetypeinfo", NULL);
	int err;

	memset(b, 0, sizeof(*b));
	if (!text)
		return -errno;
	err = blocks_parse(b, text);
	free(text);
	return err;
}

int holders_read(struct holders *h)
{
	char *text = root_read(DEBUGFS "holders", NULL);
	int err;

	memset(h, 0, sizeof(*h));
	if (!text)
		return -errno;
	err = holders_parse(h, text);
	free(text);
	return err;
}

bool module_loaded(void)
{
	return !root_access("/sys/module/unmapped");
}

const char *debugfs_why(int err)
{
	if (err == -EACCES || err == -EPERM)
		return DEBUGFS ": only root may look there";
	if (err != -ENOENT)
		return strerror(-err);
	if (!module_loaded())
		return "the module is not loaded: modprobe unmapped";
	return DEBUGFS ": not there; mount -t debugfs debugfs /sys/kernel/debug";
}
