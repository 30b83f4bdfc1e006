// SPDX-License-Identifier: MIT
/* tests/lib/api.c with the static library. */
#define _GNU_SOURCE
#include "../../lib/api.c"
