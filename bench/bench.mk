# SPDX-License-Identifier: GPL-2.0 OR MIT
#
# How the core is measured, in user space.
#
# Counting bits is one instruction in the kernel, which patches popcnt in where
# the processor has it, and a call into libgcc in user space unless the compiler
# may use popcnt: that takes x86-64-v2.

BENCH_C     := bench/core.c bench/array.c bench/rows.c
BENCH_FLAGS := $(HOST_FLAGS) -O2 -march=x86-64-v2

$(HOST)/bench-core: $(BENCH_C) $(CORE_C) $(HOST_H) $(wildcard bench/*.h) bench/bench.mk
	@mkdir -p $(@D)
	@$(CC) $(BENCH_FLAGS) $(filter %.c,$^) -o $@ -pthread

# LLFREE=DIR: LLFree-c's sources, compiled as ours are and as its own Makefile does
# for a release, to be measured before the core in the same run.
$(HOST)/bench-llfree: $(BENCH_C) bench/peer.c $(CORE_C) $(HOST_H) $(wildcard bench/*.h)
	@mkdir -p $(HOST)/llfree
	@cd $(HOST)/llfree && $(CLANG) -std=gnu11 -O2 -march=x86-64-v2 -DNDEBUG -DNO_LOG \
		-DSTD $(patsubst %,-I$(LLFREE)/%,include std src) -I$(CURDIR)/bench -w -c \
		$(wildcard $(LLFREE)/src/*.c) $(CURDIR)/bench/peer.c
	@$(CC) $(BENCH_FLAGS) -DPEER -Wno-unused $(BENCH_C) $(CORE_C) \
		$(HOST)/llfree/*.o -o $@ -pthread

.PHONY: bench-core
bench-core: SHELL := /bin/bash
bench-core: $(HOST)/bench-core $(if $(LLFREE),$(HOST)/bench-llfree)
	@$(if $(LLFREE),$(HOST)/bench-llfree --json $(HOST)/llfree.rows >$(HOST)/llfree.log)
	@$< $(if $(LLFREE),--peer $(HOST)/llfree.rows) --json $(HOST)/core.rows
	@grep -q '"instructions"' $(HOST)/core.rows || \
		bench/instructions $< $(HOST)/core.rows
	@bench/merge $(BUILD)/bench.json $(HOST)/core.rows
