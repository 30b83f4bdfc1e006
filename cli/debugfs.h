/* SPDX-License-Identifier: MIT */
/*
 * What the module says in debugfs.  The text may be anything: lines that are not
 * of the known form are left out.
 */
#ifndef CLI_DEBUGFS_H
#define CLI_DEBUGFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DEBUGFS	   "/sys/kernel/debug/unmapped/"
#define ORDERS	   10
#define COMM_BYTES 64

/* One counter of the file stats. */
struct stat_line {
	char name[32];
	uint64_t value;
};

struct stats {
	struct stat_line *lines;
	size_t nr;
};

struct node_blocks { /* of the file pagetypeinfo */
	unsigned int node;
	uint64_t free[ORDERS]; /* free runs by order */
	uint64_t whole, partial, full, fallback;
};

struct blocks {
	struct node_blocks *nodes;
	size_t nr;
};

struct holder {	     /* of the file holders */
	bool kernel; /* all callers in the kernel together: no pid, uid, size */
	uint32_t pid, uid;
	uint64_t pages, bytes;
	char flags[8];
	char comm[COMM_BYTES];
};

struct holders {
	struct holder *list;
	size_t nr;
};

/* Return: 0 or -ENOMEM.  To be freed by free() of the array. */
int stats_parse(struct stats *s, const char *text);
int blocks_parse(struct blocks *b, const char *text);
int holders_parse(struct holders *h, const char *text);

/*
 * The same from the files: -ENOENT without debugfs or without the module,
 * -EACCES for who may not read there.
 */
int stats_read(struct stats *s);
int blocks_read(struct blocks *b);
int holders_read(struct holders *h);

/* 0 for a counter that there is not. */
uint64_t stats_value(const struct stats *s, const char *name);

/* Is there such a module?  Says nothing about debugfs. */
bool module_loaded(void);
/* A message for what a *_read() returned: what is wrong and what would help. */
const char *debugfs_why(int err);

#endif
