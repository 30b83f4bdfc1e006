// SPDX-License-Identifier: MIT
/*
 * inner - the only process of a machine within the machine: see nested.c.
 *
 * Writes the secret that the kernel's command line has (masked, in hexadecimal)
 * into its memory, says so, and ends the machine when it reads something.
 */
#include "guest.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <termios.h>
#include <unistd.h>

#define PAGES 64

static bool secret_of_command_line(struct secret *s)
{
	char line[2048] = "", *at;
	unsigned int byte;
	FILE *f;
	int i;

	f = fopen("/proc/cmdline", "re");
	if (!f || !fgets(line, sizeof(line), f))
		return false;
	fclose(f);
	at = strstr(line, "secret=");
	if (!at)
		return false;
	for (i = 0, at += 7; i < SECRET_BYTES; i++, at += 2) {
		if (sscanf(at, "%2x", &byte) != 1)
			return false;
		s->masked[i] = (uint8_t)byte;
	}
	return true;
}

int main(void)
{
	uint8_t *p = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	struct secret secret;
	char c;
	int i;

	if (mount("proc", "/proc", "proc", 0, NULL) || p == MAP_FAILED ||
	    !secret_of_command_line(&secret)) {
		printf("inner: no secret\n");
	} else {
		for (i = 0; i < PAGES; i++)
			secret_write(p + i * PAGE, &secret);
		printf("inner: up\n");
	}
	fflush(stdout);
	if (read(0, &c, 1) == 1)
		printf("inner: %s\n", secret_at(p, &secret) ? "kept" : "lost");
	fflush(stdout);
	tcdrain(1);
	reboot(RB_AUTOBOOT);
	return 1;
}
