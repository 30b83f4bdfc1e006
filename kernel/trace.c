// SPDX-License-Identifier: GPL-2.0
/* The code behind the tracepoints that trace.h defines. */
#define CREATE_TRACE_POINTS
#include "trace.h"
