# SPDX-License-Identifier: MIT
#
# make help says what there is.  Everything is built under build/.

KERNEL  ?= 6.1
FLAVOUR ?= cloud
BUILD   := build
# Of the library and the program.
VERSION := $(shell awk -F'[()]' '{ print $$2; exit }' debian/changelog)
PREFIX  ?= /usr/local
KERNELS ?= $(KERNEL)
# Long ones first, as several run at a time.
SUITES  := lib break model lab $(KERNELS:%=module-%) fuzz cli-fuzz unit style cli tsan \
	   $(KERNELS:%=vm-%) vm-break

export KERNEL FLAVOUR

.PHONY: help all deps module demo check soak bench install deb clean

help:
	@echo 'make demo      one table: memfd_secret(2) beside /dev/unmapped, in a VM;'
	@echo '               KERNEL=6.12, or KERNELS="6.1 6.12 sid" for all in one'
	@echo 'make check     all tests; installs what they need; KERNELS="6.1 6.12 sid"'
	@echo '               for those stock kernels, not only that of this release'
	@echo 'make soak      five minutes of mixed load in a VM; check has 30 s of it'
	@echo 'make bench     what allocation costs; rows in build/bench.json'
	@echo 'make check-intree  the patches for kernel trees (intree/), on kernels'
	@echo '               built with and without them; not in make check, as the'
	@echo '               first builds take half an hour; INTREE="6.1 6.12 7.2"'
	@echo 'make module    unmapped.ko for the stock kernel $(KERNEL), flavour $(FLAVOUR)'
	@echo 'make lib       libunmapped, in build/lib; make install-lib installs it alone'
	@echo 'make install   the module for the running kernel, the headers, the library'
	@echo '               (KDIR=, DESTDIR=, PREFIX=$(PREFIX))'
	@echo 'make install-cli  unmapped(1), its man page, completion and units'
	@echo 'make deb       Debian packages, in build/deb'
	@echo 'make check-deb  those installed, upgraded and purged in a Debian VM, without'
	@echo '               KVM; not in make check, as it takes some ten minutes'
	@echo 'make clean     remove build/'
	@echo
	@echo 'Suites of make check, each alone as make check-NAME:'
	@echo '  $(SUITES)'
	@echo 'Machines by hand: tests/vm/run --help, tests/vm/run --shell'

all: module

deps:
	@scripts/deps

# --- the module ------------------------------------------------------------
#
# Built in a copy of the sources, so that several kernels and variants can be
# built side by side and the tree stays clean.  VARIANT=break has a parameter
# um_break, the invariant to break (core/platform.h); VARIANT=break-symbol asks for
# a missing symbol.

VARIANT ?=
kernel_cmd = scripts/kernel --kernel $(KERNEL) --flavour $(FLAVOUR)
RELEASE ?= $(shell $(kernel_cmd) --print release)
# The build for a kernel given by its directory, else by KERNEL and FLAVOUR.
KDIR    ?=
kbuild   = $(if $(KDIR),$(MAKE) -s -C $(KDIR) M=$(abspath $(STAGE))/kernel,$(kernel_cmd) --make $(STAGE)/kernel)
MODULE   = $(BUILD)/module/$(RELEASE)$(if $(VARIANT),/$(VARIANT))
STAGE    = $(BUILD)/stage/$(RELEASE)$(if $(VARIANT),-$(VARIANT))
variant_flags = $(if $(filter break,$(VARIANT)),UM_BREAK=1) $(if $(filter break-symbol,$(VARIANT)),UM_BREAK_SYMBOL=1)

module:
	@scripts/deps $(if $(KDIR),install,module$(if $(filter amd64,$(FLAVOUR)),-amd64) \
		$(if $(filter-out 6.1,$(KERNEL)),kernels))
	@mkdir -p $(STAGE) $(MODULE)
	@cp -pu -r core kernel include $(STAGE)/
	@$(kbuild) $(variant_flags) modules \
		>$(STAGE)/log 2>&1 || { cat $(STAGE)/log; exit 1; }
	@! grep -i 'warning:' $(STAGE)/log
	@cp -pu $(STAGE)/kernel/*.ko $(MODULE)/
	@echo "$(MODULE)/unmapped.ko"

# For the kernel that runs here, or the one of KDIR.
install: KDIR = /lib/modules/$(shell uname -r)/build
install: RELEASE = $(shell $(MAKE) -s -C $(KDIR) kernelrelease)
install: module
	install -D -m 644 $(MODULE)/unmapped.ko \
		$(DESTDIR)/lib/modules/$(RELEASE)/updates/unmapped.ko
	install -D -m 644 include/uapi/linux/unmapped.h \
		$(DESTDIR)$(PREFIX)/include/linux/unmapped.h
	install -D -m 644 include/linux/unmapped.h \
		$(DESTDIR)$(PREFIX)/src/unmapped/linux/unmapped.h
	install -D -m 644 $(STAGE)/kernel/Module.symvers \
		$(DESTDIR)$(PREFIX)/src/unmapped/Module.symvers
	$(if $(DESTDIR),,depmod $(RELEASE))
	@$(MAKE) -s install-lib
	$(if $(DESTDIR),,ldconfig)

# --- tests -----------------------------------------------------------------

include tests/host.mk bench/bench.mk cli/cli.mk lib/lib.mk

check: deps
	@$(if $(filter-out 6.1,$(KERNELS)),scripts/deps kernels)
	@scripts/check $(SUITES)

# All that the suites build on this machine: they may share it, and run side by side.
check-programs: $(PROGRAMS)

check-style:
	@scripts/style

# The lock-free protocol of core/block, every state of it.
check-model:
	@scripts/deps model
	@tests/model/run

check-module: module
	@tests/module-calls $(STAGE)

check-vm:
	@scripts/deps vm
	@$(MAKE) -s module VARIANT=break-symbol
	@tests/vm/run --kernel $(KERNEL) --flavour $(FLAVOUR) --jobs 2

# The same for each of KERNELS.
check-module-%:
	@$(MAKE) -s check-module KERNEL=$*
check-vm-%:
	@$(MAKE) -s check-vm KERNEL=$*

# The series for kernel trees; builds kernels.
INTREE ?= 6.1 6.12 7.2
check-intree:
	@scripts/deps build vm style intree $(if $(filter-out 6.1,$(INTREE)),kernels)
	@tests/intree/run $(INTREE:%=--kernel %)

# Modules with an invariant broken must be noticed there, too.
check-vm-break:
	@scripts/deps vm
	@tests/vm/break-check

# Five minutes of everything at once; not part of check.
soak: module
	@tests/vm/run --env SOAK_SECONDS=300 --timeout 480 soak

# --- figures ---------------------------------------------------------------

demo:
	@scripts/deps build module vm $(if $(filter-out 6.1,$(KERNELS)),kernels)
	@scripts/demo $(KERNELS)

bench:
	@scripts/deps build module vm bench $(if $(filter-out 6.1,$(KERNELS)),kernels)
	@rm -f $(BUILD)/bench.json
	@$(MAKE) -s bench-core
	@$(MAKE) -s bench-lib
	@$(MAKE) -s bench-kernel
	@echo "rows in $(BUILD)/bench.json"

bench-kernel: module
	@mkdir -p $(BUILD)/bench
	@bench/kernel $(BUILD)/bench/kernel.json $(KERNELS)
	@bench/merge $(BUILD)/bench.json $(BUILD)/bench/kernel.json

# --- packages ---------------------------------------------------------------

# In a copy, as dh leaves much behind.  DEB_VERSION is for packages to upgrade to.
DEB         := $(BUILD)/deb
DEB_VERSION :=
deb:
	@scripts/deps deb
	@rm -rf $(DEB)
	@mkdir -p $(DEB)/unmapped
	@tar -c --exclude=./$(BUILD) --exclude=./.git . | tar -x -C $(DEB)/unmapped
	@$(if $(DEB_VERSION),sed -i '1s/(.*)/($(DEB_VERSION))/' $(DEB)/unmapped/debian/changelog)
	@cd $(DEB)/unmapped && dpkg-buildpackage -b -us -uc >../log 2>&1 || \
		{ tail -n 30 ../log; exit 1; }
	@lintian --fail-on error --tag-display-limit 0 $(DEB)/*.changes
	@ls $(DEB)/*.deb

# The packages installed, upgraded and purged in a machine; not in make check, as
# DKMS builds in there, without KVM.
check-deb:
	@scripts/deps build vm deb check-deb
	@tests/deb/run

clean:
	rm -rf $(BUILD)
