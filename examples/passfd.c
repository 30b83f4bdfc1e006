// SPDX-License-Identifier: MIT
/*
 * passfd - hand a secret to another process without copying it.
 *
 * The secret is written into a file of secret memory, whose descriptor is sent over
 * a Unix socket. The receiver maps it: one page, two owners, and no byte of it passes
 * through the socket. The receiver here is a child, but it could be any process.
 */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <unmapped.h>

#define BYTES 4096
#define TEXT  "attack at dawn"

static int send_fd(int socket, int fd)
{
	char control[CMSG_SPACE(sizeof(fd))] = { 0 }, byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	return sendmsg(socket, &msg, 0) == 1 ? 0 : -1;
}

static int receive_fd(int socket)
{
	char control[CMSG_SPACE(sizeof(int))], byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *c;
	int fd;

	if (recvmsg(socket, &msg, MSG_CMSG_CLOEXEC) != 1)
		return -1;
	c = CMSG_FIRSTHDR(&msg);
	if (!c || c->cmsg_type != SCM_RIGHTS)
		return -1;
	memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

static char *map(int fd)
{
	char *p = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return p == MAP_FAILED ? NULL : p;
}

static int receiver(int socket)
{
	int fd = receive_fd(socket);
	char *secret = fd < 0 ? NULL : map(fd);

	if (!secret || strcmp(secret, TEXT))
		return 1;
	/* It is the same memory: the sender sees this. */
	unmapped_memzero(secret, BYTES);
	return 0;
}

int main(void)
{
	int fd = unmapped_fd(BYTES), sockets[2], status;
	char *secret;
	pid_t pid;

	if (fd < 0) {
		fprintf(stderr, "passfd: %s\n", unmapped_strerror());
		return 2;
	}
	secret = map(fd);
	if (!secret || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets)) {
		perror("passfd");
		return 1;
	}
	strcpy(secret, TEXT);
	pid = fork();
	if (!pid) {
		/* What a child has by inheritance is not the point. */
		munmap(secret, BYTES);
		close(fd);
		_exit(receiver(sockets[1]));
	}
	if (pid < 0 || send_fd(sockets[0], fd) || waitpid(pid, &status, 0) != pid) {
		perror("passfd");
		return 1;
	}
	if (status || secret[0]) {
		fprintf(stderr, "passfd: the receiver did not get it\n");
		return 1;
	}
	printf("received and wiped by the other process\n");
	return 0;
}
