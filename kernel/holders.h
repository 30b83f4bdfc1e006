/* SPDX-License-Identifier: GPL-2.0 */
/* Who holds unmapped memory; see holders.c. */
#ifndef UNMAPPED_HOLDERS_H
#define UNMAPPED_HOLDERS_H

#include <linux/atomic.h>
#include <linux/list.h>
#include <linux/sched.h>
#include <linux/types.h>

struct seq_file;
struct spare;

/**
 * struct holder - of an object: who made it, and how much it holds
 * @list:	of all of them
 * @pages:	pages that it holds now
 * @busy:	its pages are being moved: it stays
 * @pid, @comm:	of the process that made it, which may be gone
 */
struct holder {
	struct list_head list;
	atomic_long_t pages;
	bool busy;
	pid_t pid;
	char comm[TASK_COMM_LEN];
};

/* The calling process holds something from now on.  May sleep. */
void holder_add(struct holder *h);
/* No more.  May sleep. */
void holder_del(struct holder *h);

/*
 * Whether anybody holds what must survive a hibernation: then the log says who.
 * May sleep.
 */
bool holders_must_survive(void);

/* Wipe the objects that need not.  The gate of pm.c is held.  May sleep. */
void holders_wipe(void);

/*
 * Whether any object has pages that @s wants; and to move them, as many as it has
 * room for.  Return: how many were moved.  The gate of pm.c is held, shared.  May
 * sleep.
 */
bool holders_in_pieces(struct spare *s);
unsigned long holders_move(struct spare *s);

/* Text of the debugfs file. */
void holders_show(struct seq_file *m);

#endif /* UNMAPPED_HOLDERS_H */
