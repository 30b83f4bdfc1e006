// SPDX-License-Identifier: MIT
/* Linked to selftests: what a child inherits in a buffer would be said twice. */
#include <stdio.h>

static void __attribute__((constructor)) unbuffered(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
}
