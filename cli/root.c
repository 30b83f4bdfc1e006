// SPDX-License-Identifier: MIT
/*
 * Files of this machine or of a recorded one.
 *
 * A recorded root comes from somebody else: links in it are followed inside of
 * it only, and a FIFO or device is refused rather than waited for.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/openat2.h>

#include "root.h"

#define TEXT_MAX (1UL << 20)

static int root_fd = -1; /* of the recorded root */

int root_set(const char *dir)
{
	int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (root_fd >= 0)
		close(root_fd);
	root_fd = fd;
	return 0;
}

bool root_recorded(void)
{
	return root_fd >= 0;
}

static int open_recorded(const char *path)
{
	struct open_how how = {
		.flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	struct stat st;
	long fd;

	fd = syscall(SYS_openat2, root_fd, path, &how, sizeof(how));
	if (fd < 0)
		return -errno;
	if (fstat((int)fd, &st) || !S_ISREG(st.st_mode)) {
		close((int)fd);
		return -EINVAL;
	}
	return (int)fd;
}

int root_open(const char *path)
{
	int fd;

	if (root_fd >= 0)
		return open_recorded(path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int root_access(const char *path)
{
	struct open_how how = {
		.flags = O_PATH | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	long fd;

	if (root_fd < 0)
		return access(path, F_OK) ? -errno : 0;
	fd = syscall(SYS_openat2, root_fd, path, &how, sizeof(how));
	if (fd < 0)
		return -errno;
	close((int)fd);
	return 0;
}

char *root_read(const char *path, size_t *len)
{
	size_t have = 0, size = 8192;
	char *text = NULL, *more;
	ssize_t n = 0;
	int fd, err = 0;

	fd = root_open(path);
	if (fd < 0) {
		errno = -fd;
		return NULL;
	}
	for (;;) {
		if (!text || have + 1 == size) {
			size *= text ? 2 : 1;
			err = size > TEXT_MAX ? EFBIG : 0;
			more = err ? NULL : realloc(text, size);
			if (!more) {
				err = err ? err : ENOMEM;
				break;
			}
			text = more;
		}
		n = read(fd, text + have, size - 1 - have);
		if (n <= 0)
			break;
		have += (size_t)n;
	}
	if (n < 0)
		err = errno;
	close(fd);
	if (err) {
		free(text);
		errno = err;
		return NULL;
	}
	text[have] = 0;
	if (len)
		*len = have;
	return text;
}
