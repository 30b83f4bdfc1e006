# SPDX-License-Identifier: MIT
#
# libunmapped: the library, its tests, figures and installation.  The core is
# compiled into it, with lib/metadata.c in the place of core/platform_user.c.

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
	@$(CC) -O2 $(CPPFLAGS) $(CFLAGS) $(LIB_FLAGS) $(LIB_STRICT) -c $< -o $@
$(LIB_OUT)/opt/core/%.o: core/%.c $(LIB_H)
	@mkdir -p $(@D)
	@$(CC) -O2 $(CPPFLAGS) $(CFLAGS) $(LIB_FLAGS) -c $< -o $@
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
	@$(CC) $(LDFLAGS) -shared -Wl,-soname,libunmapped.so.$(LIB_SO) \
		-Wl,--version-script=lib/libunmapped.map $(filter %.o,$^) \
		-o $(LIB_OUT)/libunmapped.so.$(VERSION) $(LIB_LINK)
	@ln -sf libunmapped.so.$(VERSION) $(LIB_OUT)/libunmapped.so.$(LIB_SO)
	@ln -sf libunmapped.so.$(LIB_SO) $@
# One object, with nothing global in it but what unmapped.h declares.
$(LIB_OUT)/libunmapped.a: $(call lib_objects,opt)
	@ld -r $^ -o $(LIB_OUT)/unmapped.o
	@objcopy --wildcard --keep-global-symbol='unmapped_*' $(LIB_OUT)/unmapped.o
	@rm -f $@
	@ar rcs $@ $(LIB_OUT)/unmapped.o

# libsodium's names, for programs that use those.
$(LIB_OUT)/libunmapped-sodium.so: lib/sodium.c lib/sodium.map $(LIB_OUT)/libunmapped.so
	@$(CC) -O2 $(CPPFLAGS) $(CFLAGS) $(LIB_FLAGS) $(LIB_STRICT) $(LDFLAGS) -shared \
		-Wl,-soname,libunmapped-sodium.so.$(LIB_SO) \
		-Wl,--version-script=lib/sodium.map $< -o $@.$(VERSION) \
		-L$(LIB_OUT) -lunmapped -Wl,-rpath,'$$ORIGIN' $(LIB_LINK)
	@ln -sf libunmapped-sodium.so.$(VERSION) $@.$(LIB_SO)
	@ln -sf libunmapped-sodium.so.$(LIB_SO) $@

# Manual pages, and names for functions that share one.
MAN      := $(patsubst man/%.scd,$(LIB_OUT)/man/%,$(wildcard man/unmapped*.3.scd))
MANDIR   ?= $(PREFIX)/share/man
$(LIB_OUT)/man/%: man/%.scd scripts/man
	@mkdir -p $(@D)
	@scripts/man <$< >$@.new && mv $@.new $@
man_names = $(shell sed -n '/^\# NAME/,/ - /p' $(1) | grep -oE 'unmapped_[a-z_]+')

install-lib: lib $(MAN)
	@install -d $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(PREFIX)/include \
		$(DESTDIR)$(MANDIR)/man3
	install -m 644 $(MAN) $(DESTDIR)$(MANDIR)/man3/
	@$(foreach m,$(MAN),$(foreach n,$(call man_names,man/$(notdir $(m)).scd), \
		[ $(n).3 = $(notdir $(m)) ] || \
		ln -sf $(notdir $(m)) $(DESTDIR)$(MANDIR)/man3/$(n).3;))
	cp -P $(LIB_OUT)/libunmapped*.so* $(LIB_OUT)/libunmapped.a $(DESTDIR)$(LIBDIR)/
	install -m 644 include/unmapped.h $(DESTDIR)$(PREFIX)/include/
	@$(foreach n,unmapped unmapped-sodium, \
		sed 's|@PREFIX@|$(PREFIX)|; s|@LIBDIR@|$(LIBDIR)|; s|@VERSION@|$(VERSION)|' \
			lib/$(n).pc.in >$(DESTDIR)$(LIBDIR)/pkgconfig/$(n).pc;)

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

$(LIB_OUT)/fuzz: tests/fuzz/lib.c $(LIB_C) $(LIB_CORE) $(LIB_H)
	@$(CLANG) $(LIB_FLAGS) $(ASAN) -fsanitize=fuzzer $(filter %.c,$^) -o $@ -pthread

# What is compared by check-lib: to be done when the ABI is meant to change.
.PHONY: abi
abi: $(LIB_OUT)/libunmapped.so
	@abidw --no-corpus-path --no-comp-dir-path --no-show-locs --drop-private-types \
		--drop-undefined-syms --header-file include/unmapped.h \
		--out-file lib/libunmapped.abi $(LIB_OUT)/libunmapped.so

# inject needs the core's checks, and has nothing for TSan: it is one thread.
lib_tests = $(foreach v,opt clang asan tsan,$(patsubst %,$(LIB_OUT)/test/$(v)/%, \
	$(filter-out $(if $(filter-out asan,$(v)),inject),$(LIB_TESTS))))

PROGRAMS += lib $(LIB_OUT)/fuzz $(lib_tests)

check-lib: SHELL := /bin/bash
check-lib:
	@scripts/deps lib
	@mkdir -p $(HOST)
	@$(MAKE) -s -j$$(nproc) lib $(LIB_OUT)/fuzz $(lib_tests)
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
