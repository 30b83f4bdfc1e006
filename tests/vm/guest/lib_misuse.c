// SPDX-License-Identifier: MIT
/* tests/lib/misuse.c with the static library. */
#define _GNU_SOURCE
#include "../../lib/misuse.c"
