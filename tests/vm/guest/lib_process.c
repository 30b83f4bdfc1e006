// SPDX-License-Identifier: MIT
/* tests/lib/process.c with the static library. */
#define _GNU_SOURCE
#include "../../lib/process.c"
