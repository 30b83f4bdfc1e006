# SPDX-License-Identifier: GPL-2.0 OR MIT
#
# How the core is built to be measured; the target itself, bench-core, is in
# tests/host.mk.
#
# Counting bits is one instruction in the kernel, which patches popcnt in where
# the processor has it, and a call into libgcc in user space unless the compiler
# may use popcnt: that takes x86-64-v2.

$(HOST)/bench-core: HOST_FLAGS += -march=x86-64-v2
$(HOST)/bench-core: bench/bench.mk
