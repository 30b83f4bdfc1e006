// SPDX-License-Identifier: GPL-2.0 OR MIT
/* In test builds, the invariant that the environment says to break. */
#include "platform.h"

#ifdef UM_BREAK
int um_break;

static void __attribute__((constructor)) from_environment(void)
{
	const char *number = getenv("UM_BREAK");

	um_break = number ? atoi(number) : 0;
}
#endif
