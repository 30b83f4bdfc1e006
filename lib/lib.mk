# SPDX-License-Identifier: MIT
#
# libunmapped: the library, its tests, figures and installation.  The core is
# compiled into it, with lib/metadata.c in the place of core/platform_user.c.

LIB_VERSION := 0.1
LIB_SO      := 0
LIBDIR      ?= $(PREFIX)/lib
LIB_OUT     := $(BUILD)/lib
LIB_C       := $(filter-out lib/sodium.c,$(wildcard lib/*.c))
LIB_CORE    := $(filter-out core/platform_user.c,$(wildcard core/*.c))
LIB_H       := $(wildcard lib/*.h core/*.h) include/unmapped.h
LIB_FLAGS   := -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -Icore -Ilib -Iinclude \
	       -fvisibility=hidden -fPIC -ftls-model=initial-exec -g
# What the core needs not, being kernel C.
LIB_STRICT  := -Wconversion -Wno-sign-conversion
LIB_LINK    := -Wl,-z,nodelete,-z,defs,-z,relro,-z,now -pthread
lib_objects  = $(patsubst %.c,$(LIB_OUT)/$(1)/%.o,$(LIB_C) $(LIB_CORE))

.PHONY: lib install-lib check-lib
lib: $(LIB_OUT)/libunmapped.so $(LIB_OUT)/libunmapped.a $(LIB_OUT)/libunmapped-sodium.so

$(LIB_OUT)/opt/lib/%.o: lib/%.c $(LIB_H)
	@mkdir -p $(@D)
	@$(CC) $(LIB_FLAGS) $(LIB_STRICT) -O2 -c $< -o $@
$(LIB_OUT)/opt/core/%.o: core/%.c $(LIB_H)
	@mkdir -p $(@D)
	@$(CC) $(LIB_FLAGS) -O2 -c $< -o $@
$(LIB_OUT)/clang/%.o: %.c $(LIB_H)
	@mkdir -p $(@D)
	@$(CLANG) $(LIB_FLAGS) -O2 -c $< -o $@
$(LIB_OUT)/asan/%.o: %.c $(LIB_H)
	@mkdir -p $(@D)
	@$(CC) $(LIB_FLAGS) $(ASAN) -c $< -o $@
$(LIB_OUT)/tsan/%.o: %.c $(LIB_H)
	@mkdir -p $(@D)
	@$(CLANG) $(LIB_FLAGS) $(TSAN) -c $< -o $@

$(LIB_OUT)/libunmapped.so: $(call lib_objects,opt) lib/libunmapped.map
	@$(CC) -shared -Wl,-soname,libunmapped.so.$(LIB_SO) \
		-Wl,--version-script=lib/libunmapped.map $(filter %.o,$^) \
		-o $(LIB_OUT)/libunmapped.so.$(LIB_VERSION) $(LIB_LINK)
	@ln -sf libunmapped.so.$(LIB_VERSION) $(LIB_OUT)/libunmapped.so.$(LIB_SO)
	@ln -sf libunmapped.so.$(LIB_SO) $@
# One object, with nothing global in it but what unmapped.h declares.
$(LIB_OUT)/libunmapped.a: $(call lib_objects,opt)
	@ld -r $^ -o $(LIB_OUT)/unmapped.o
	@objcopy --wildcard --keep-global-symbol='unmapped_*' $(LIB_OUT)/unmapped.o
	@rm -f $@
	@ar rcs $@ $(LIB_OUT)/unmapped.o

# libsodium's names, for programs that use those.
$(LIB_OUT)/libunmapped-sodium.so: lib/sodium.c lib/sodium.map $(LIB_OUT)/libunmapped.so
	@$(CC) $(LIB_FLAGS) $(LIB_STRICT) -O2 -shared \
		-Wl,-soname,libunmapped-sodium.so.$(LIB_SO) \
		-Wl,--version-script=lib/sodium.map $< -o $@.$(LIB_VERSION) \
		-L$(LIB_OUT) -lunmapped -Wl,-rpath,'$$ORIGIN' $(LIB_LINK)
	@ln -sf libunmapped-sodium.so.$(LIB_VERSION) $@.$(LIB_SO)
	@ln -sf libunmapped-sodium.so.$(LIB_SO) $@

install-lib: lib
	@install -d $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(PREFIX)/include
	cp -P $(LIB_OUT)/libunmapped*.so* $(LIB_OUT)/libunmapped.a $(DESTDIR)$(LIBDIR)/
	install -m 644 include/unmapped.h $(DESTDIR)$(PREFIX)/include/
	@sed 's|@PREFIX@|$(PREFIX)|; s|@LIBDIR@|$(LIBDIR)|; s|@VERSION@|$(LIB_VERSION)|' \
		lib/unmapped.pc.in >$(DESTDIR)$(LIBDIR)/pkgconfig/unmapped.pc

# --- tests ------------------------------------------------------------------
#
# Each of tests/lib/*.c with the library as it ships, and with all of it compiled
# by clang, with ASan and UBSan, and with TSan.

LIB_TESTS   := $(patsubst tests/lib/%.c,%,$(wildcard tests/lib/*.c))
LIB_TEST_H  := $(wildcard tests/lib/*.h)
TEST_FLAGS  := -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -Iinclude -g -pthread

$(LIB_OUT)/test/opt/%: tests/lib/%.c $(LIB_TEST_H) $(LIB_OUT)/libunmapped.so
	@mkdir -p $(@D)
	@$(CC) $(TEST_FLAGS) -O2 $< -o $@ -L$(LIB_OUT) -lunmapped -lcmocka \
		-Wl,-rpath,$(abspath $(LIB_OUT))
$(LIB_OUT)/test/clang/%: tests/lib/%.c $(LIB_TEST_H) $(call lib_objects,clang)
	@mkdir -p $(@D)
	@$(CLANG) $(TEST_FLAGS) -O2 $< $(filter %.o,$^) -o $@ -lcmocka
$(LIB_OUT)/test/asan/%: tests/lib/%.c $(LIB_TEST_H) $(call lib_objects,asan)
	@mkdir -p $(@D)
	@$(CC) $(TEST_FLAGS) $(ASAN) $< $(filter %.o,$^) -o $@ -lcmocka
$(LIB_OUT)/test/tsan/%: tests/lib/%.c $(LIB_TEST_H) $(call lib_objects,tsan)
	@mkdir -p $(@D)
	@$(CLANG) $(TEST_FLAGS) $(TSAN) $< $(filter %.o,$^) -o $@ -lcmocka

lib_tests = $(foreach v,opt clang asan tsan,$(LIB_TESTS:%=$(LIB_OUT)/test/$(v)/%))

check-lib: SHELL := /bin/bash
check-lib: lib $(lib_tests)
	@scripts/deps lib
	@mkdir -p $(HOST)
	$(call result,lib,tests/lib/run $(LIB_OUT) $(lib_tests))

# --- figures ----------------------------------------------------------------

$(LIB_OUT)/bench: bench/lib.c $(LIB_OUT)/libunmapped.so include/unmapped.h
	@$(CC) -std=gnu11 -O2 -Wall -Wextra -Werror -Iinclude $< -o $@ -L$(LIB_OUT) \
		-lunmapped -lsodium -lcrypto -lgcrypt -pthread \
		-Wl,-rpath,$(abspath $(LIB_OUT))

.PHONY: bench-lib
bench-lib: lib
	@scripts/deps lib bench-lib
	@$(MAKE) -s $(LIB_OUT)/bench
	@$(LIB_OUT)/bench --json $(LIB_OUT)/bench.rows
	@bench/merge $(BUILD)/bench.json $(LIB_OUT)/bench.rows
