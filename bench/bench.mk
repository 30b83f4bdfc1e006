# SPDX-License-Identifier: GPL-2.0 OR MIT
#
# How the core is built to be measured; the target itself, bench-core, is in
# tests/host.mk.
#
# Counting bits is one instruction in the kernel, which patches popcnt in where
# the processor has it, and a call into libgcc in user space unless the compiler
# may use popcnt: that takes x86-64-v2.

$(HOST)/bench-core: HOST_FLAGS += -march=x86-64-v2
$(HOST)/bench-core: bench/bench.mk bench/peer.h

# LLFREE=DIR: LLFree-c's sources, compiled as ours are and as its own Makefile does
# for a release, to be measured before the core in the same run.
$(HOST)/bench-llfree: bench/core.c bench/peer.c bench/peer.h $(CORE_C) $(HOST_H)
	@mkdir -p $(HOST)/llfree
	@cd $(HOST)/llfree && $(CLANG) -std=gnu11 -O2 -march=x86-64-v2 -DNDEBUG -DNO_LOG \
		-DSTD $(patsubst %,-I$(LLFREE)/%,include std src) -I$(CURDIR)/bench -w -c \
		$(wildcard $(LLFREE)/src/*.c) $(CURDIR)/bench/peer.c
	@$(CC) $(HOST_FLAGS) -DPEER -Wno-unused -O2 -march=x86-64-v2 bench/core.c $(CORE_C) \
		$(HOST)/llfree/*.o -o $@ -pthread
