# SPDX-License-Identifier: MIT
#
# unmapped(1): the program, its tests and its installation.

CLI_OUT     := $(BUILD)/cli
CLI_C       := $(wildcard cli/*.c)
CLI_H       := $(wildcard cli/*.h)
CLI_FLAGS   := -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Wconversion -Werror \
	       -DVERSION='"$(VERSION)"'
CLI_OBJECTS := $(CLI_C:cli/%.c=$(CLI_OUT)/%.o)

.PHONY: cli

cli: $(CLI_OUT)/unmapped

$(CLI_OUT)/%.o: cli/%.c $(CLI_H)
	@mkdir -p $(@D)
	@$(CC) -O2 -g $(CFLAGS) $(CLI_FLAGS) -c $< -o $@

$(CLI_OUT)/unmapped: $(CLI_OBJECTS)
	@$(CC) $(LDFLAGS) $^ -o $@ -lsmartcols

# --- what comes along ------------------------------------------------------

.PHONY: cli-man install-cli

cli-man: $(CLI_OUT)/unmapped.1

$(CLI_OUT)/unmapped.1: man/unmapped.1.scd scripts/man
	@mkdir -p $(@D)
	@scripts/man <$< >$@.new
	@mv $@.new $@
$(CLI_OUT)/unmapped-metrics.service: cli/unmapped-metrics.service.in cli/cli.mk
	@mkdir -p $(@D)
	@sed 's,@bindir@,$(PREFIX)/bin,' $< >$@

# The units go where systemd looks for them whatever the PREFIX is.
UNITDIR ?= $(if $(filter /usr,$(PREFIX)),/usr/lib,/etc)/systemd/system

install-cli: cli cli-man $(CLI_OUT)/unmapped-metrics.service
	install -D -m 755 $(CLI_OUT)/unmapped $(DESTDIR)$(PREFIX)/bin/unmapped
	install -D -m 644 $(CLI_OUT)/unmapped.1 \
		$(DESTDIR)$(PREFIX)/share/man/man1/unmapped.1
	install -D -m 644 cli/completion \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/unmapped
	install -D -m 644 $(CLI_OUT)/unmapped-metrics.service \
		$(DESTDIR)$(UNITDIR)/unmapped-metrics.service
	install -D -m 644 cli/unmapped-metrics.timer \
		$(DESTDIR)$(UNITDIR)/unmapped-metrics.timer

.PHONY: check-cli deps-cli
check-cli: SHELL := /bin/bash

# With sanitizers, but for what shall be fast.
$(CLI_OUT)/unmapped.asan: $(CLI_C) $(CLI_H)
	@mkdir -p $(@D)
	@$(CLANG) $(CLI_FLAGS) -g -O1 -fsanitize=address,undefined \
		-fno-sanitize-recover=all $(CLI_C) -o $@ -lsmartcols

deps-cli:
	@scripts/deps cli

check-cli: deps-cli cli cli-man $(CLI_OUT)/unmapped.asan
	@mkdir -p $(HOST)
	$(call result,cli,tests/cli/run $(CLI_OUT)/unmapped.asan $(CLI_OUT)/unmapped)

# Without main(): options.c and others need libsmartcols or end the program.
CLI_FUZZED := counters debugfs kcore picture ranges root size walk
CLI_FUZZ_C := tests/cli/fuzz.c $(CLI_FUZZED:%=cli/%.c)

$(CLI_OUT)/fuzz: $(CLI_FUZZ_C) $(CLI_H)
	@mkdir -p $(@D)
	@$(CLANG) $(CLI_FLAGS) -g -O1 -Icli -fsanitize=fuzzer,address,undefined \
		-fno-sanitize-recover=all $(CLI_FUZZ_C) -o $@

PROGRAMS += cli $(CLI_OUT)/unmapped.asan $(CLI_OUT)/fuzz

.PHONY: check-cli-fuzz
check-cli-fuzz: SHELL := /bin/bash
check-cli-fuzz: deps-cli $(CLI_OUT)/fuzz
	@mkdir -p $(HOST)
	$(call result,cli-fuzz,tests/cli/fuzz-run $(CLI_OUT)/fuzz 20)
