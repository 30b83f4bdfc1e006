// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * libFuzzer's way in: bytes are a machine, a failure and the steps of a trace
 * (lab/trace.h), and every invariant is checked after every step.  A crash file
 * can be read as text: the fuzzer prints the trace when one is broken.
 */
#include "trace.h"

#define MAX_STEPS 150UL

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct trace_result r;
	struct trace t;

	trace_init(&t);
	t.check_pages = false; /* at the end; each block still is */
	trace_from_bytes(&t, data, min(size, 4 * (MAX_STEPS + 1)));
	if (!trace_run(&t, &r)) {
		fprintf(stderr, "broken: %s, in step %lu of this trace:\n", r.broken,
			r.step);
		trace_write(&t, stderr);
		abort();
	}
	trace_destroy(&t);
	return 0;
}
