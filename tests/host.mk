# SPDX-License-Identifier: GPL-2.0 OR MIT
#
# Tests and figures of the core on the lab host, in user space.  Each check-*
# ends with "N passed, N failed, N skipped", which is kept in build/results/.

HOST       := $(BUILD)/host
CLANG      ?= clang
UNITS      := block table cache refill shrink runs policy
ADOPT      := intree/tree/mm/unmapped/core
include tests/lab.mk
CORE_C     := $(wildcard core/*.c)
LAB_C      := $(filter-out lab/lab.c,$(wildcard lab/*.c))
HOST_H     := $(wildcard core/*.h lab/*.h tests/unit/*.h)
HOST_FLAGS := -std=gnu11 -g -Wall -Wextra -Werror -Icore -Ilab -Itests/unit
# Not alignment: list_for_each_entry() ends on a list head that it takes for an
# entry, and never touches it.
ASAN       := -O1 -DUM_CHECKS -fsanitize=address,undefined -fno-sanitize=alignment \
	      -fno-sanitize-recover=all
TSAN       := -O1 -DUM_CHECKS -fsanitize=thread
BREAK      := -O1 -DUM_CHECKS -DUM_BREAK

# $(call result,NAME,COMMAND): run it and keep the last line that it prints.
define result
@mkdir -p $(BUILD)/results
@set -o pipefail; { $(2); } | tee $(HOST)/$(1).log; status=$$?; \
	grep -E '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$$' $(HOST)/$(1).log | \
	tail -n 1 >$(BUILD)/results/$(1); exit $$status
endef

.PHONY: deps-unit check-unit check-tsan check-lab check-fuzz check-break
check-unit check-tsan check-lab check-fuzz check-break: SHELL := /bin/bash

$(HOST)/asan/%.o: core/%.c $(HOST_H)
	@mkdir -p $(@D)
	@$(CC) $(HOST_FLAGS) $(ASAN) -c $< -o $@
$(HOST)/asan/%.o: lab/%.c $(HOST_H)
	@mkdir -p $(@D)
	@$(CC) $(HOST_FLAGS) $(ASAN) -c $< -o $@
$(HOST)/tsan/%.o: core/%.c $(HOST_H)
	@mkdir -p $(@D)
	@$(CLANG) $(HOST_FLAGS) $(TSAN) -c $< -o $@
$(HOST)/tsan/%.o: lab/%.c $(HOST_H)
	@mkdir -p $(@D)
	@$(CLANG) $(HOST_FLAGS) $(TSAN) -c $< -o $@

$(HOST)/break/%.o: core/%.c $(HOST_H)
	@mkdir -p $(@D)
	@$(CC) $(HOST_FLAGS) $(BREAK) -c $< -o $@
$(HOST)/break/%.o: lab/%.c $(HOST_H)
	@mkdir -p $(@D)
	@$(CC) $(HOST_FLAGS) $(BREAK) -c $< -o $@

asan_objects := $(patsubst %.c,$(HOST)/asan/%.o,$(notdir $(CORE_C) $(LAB_C)))
tsan_objects := $(patsubst %.c,$(HOST)/tsan/%.o,$(notdir $(CORE_C) $(LAB_C)))
break_objects := $(patsubst %.c,$(HOST)/break/%.o,$(notdir $(CORE_C) $(LAB_C)))

$(HOST)/unit/%: tests/unit/%.c $(asan_objects) $(HOST_H)
	@mkdir -p $(@D)
	@$(CC) $(HOST_FLAGS) $(ASAN) $< $(asan_objects) -o $@ -pthread -lcmocka
# A part of the core that only a kernel tree has use for.
$(HOST)/unit/adopt: tests/unit/adopt.c $(ADOPT)/adopt.c $(ADOPT)/adopt.h $(asan_objects) $(HOST_H)
	@mkdir -p $(@D)
	@$(CC) $(HOST_FLAGS) -I$(ADOPT) $(ASAN) $(filter %.c %.o,$^) -o $@ -pthread -lcmocka
$(HOST)/threads/%: tests/unit/%.c $(tsan_objects) $(HOST_H)
	@mkdir -p $(@D)
	@$(CLANG) $(HOST_FLAGS) $(TSAN) $< $(tsan_objects) -o $@ -pthread -lcmocka
$(HOST)/lab: lab/lab.c $(asan_objects) $(HOST_H)
	@mkdir -p $(@D)
	@$(CC) $(HOST_FLAGS) $(ASAN) $< $(asan_objects) -o $@ -pthread
$(HOST)/break/lab: lab/lab.c $(break_objects) $(HOST_H)
	@$(CC) $(HOST_FLAGS) $(BREAK) $< $(break_objects) -o $@ -pthread
$(HOST)/break/%: tests/unit/%.c $(break_objects) $(HOST_H)
	@$(CC) $(HOST_FLAGS) $(BREAK) $< $(break_objects) -o $@ -pthread -lcmocka
$(HOST)/fuzz/trace: tests/fuzz/trace.c $(CORE_C) $(LAB_C) $(HOST_H)
	@mkdir -p $(@D)
	@$(CLANG) $(HOST_FLAGS) $(ASAN) -fsanitize=fuzzer $(filter %.c,$^) -o $@ -pthread

unit_programs  := $(UNITS:%=$(HOST)/unit/%) $(HOST)/unit/adopt $(HOST)/unit/threads
tsan_programs  := $(patsubst %,$(HOST)/threads/%,block slab threads)
break_programs := $(patsubst %,$(HOST)/break/%,block table cache refill shrink runs \
	test_cache test_failures test_shrink test_traces)
PROGRAMS += $(unit_programs) $(tsan_programs) $(break_programs) \
	$(HOST)/break/lab $(HOST)/lab $(HOST)/fuzz/trace

# The first of what each needs.
deps-unit:
	@scripts/deps unit

check-unit: deps-unit $(unit_programs)
	$(call result,unit,tests/unit/run $(filter-out deps-%,$^))

check-tsan: deps-unit $(tsan_programs)
	$(call result,tsan,tests/unit/run $(filter-out deps-%,$^))

# Many machines; every call failing once; one of a real size.
check-lab: deps-unit $(HOST)/lab
	$(call result,lab,tests/unit/lab-check $(HOST)/lab)

check-fuzz: deps-unit $(HOST)/fuzz/trace
	$(call result,fuzz,tests/fuzz/run $(HOST)/fuzz/trace 20)

check-break: deps-unit $(break_programs) $(HOST)/break/lab
	$(call result,break,tests/unit/break-check $(break_programs))
