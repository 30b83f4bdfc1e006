# SPDX-License-Identifier: MIT
#
# unmapped(1): the program, its tests and its installation.

CLI_VERSION := 0.1
CLI_OUT     := $(BUILD)/cli
CLI_C       := $(wildcard cli/*.c)
CLI_H       := $(wildcard cli/*.h)
CLI_FLAGS   := -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Wconversion -Werror \
	       -DVERSION='"$(CLI_VERSION)"'
CLI_OBJECTS := $(CLI_C:cli/%.c=$(CLI_OUT)/%.o)

.PHONY: cli

cli: $(CLI_OUT)/unmapped

$(CLI_OUT)/%.o: cli/%.c $(CLI_H)
	@mkdir -p $(@D)
	@$(CC) -O2 -g $(CFLAGS) $(CLI_FLAGS) -c $< -o $@

$(CLI_OUT)/unmapped: $(CLI_OBJECTS)
	@$(CC) $(LDFLAGS) $^ -o $@ -lsmartcols

.PHONY: check-cli
check-cli: SHELL := /bin/bash

check-cli: cli
	$(call result,cli,tests/cli/run $(CLI_OUT)/unmapped)
