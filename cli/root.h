/* SPDX-License-Identifier: MIT */
/*
 * Files of this machine, or of a recorded one: all that is read goes through
 * here, so that --sysroot DIR works for everything.
 */
#ifndef CLI_ROOT_H
#define CLI_ROOT_H

#include <stdbool.h>
#include <stddef.h>

/* Read below @dir from now on.  Return: 0 or -errno. */
int root_set(const char *dir);
bool root_recorded(void);

/*
 * Open @path, which is absolute.  In a recorded root no link leads out of it, and
 * only regular files open.  Return: a descriptor or -errno.
 */
int root_open(const char *path);
/* Return: 0, or -errno: why there is no such file. */
int root_access(const char *path);

/**
 * root_read - all of a text file
 *
 * Return: a string to free(), or NULL with errno set; EFBIG for more than 1 MiB.
 * Bytes of 0 are kept, and end the string for who does not look at @len.
 */
char *root_read(const char *path, size_t *len);

#endif
