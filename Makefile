# SPDX-License-Identifier: GPL-2.0-or-later
#
# Bivisor's one Makefile. `make help` says what there is to make; everything made goes to build/,
# everything fetched to .cache/ (or $BV_CACHE). The first use of a target installs the Debian
# packages it needs (packages.list).

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

# How long each fuzzer runs in the tests.
FUZZ_SECONDS ?= 5
# What the emulated PC loads: bivisor (our module), or stock (Debian's kvm_amd) to compare with.
MODULE ?= bivisor
DESTDIR ?=
PREFIX ?= /usr/local
# V=1 shows the commands.
Q := $(if $(V),,@)
BUILD := build
# For what a person waits for: all CPUs, where nothing else was said.
PARALLEL = $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc))
export MODULE FUZZ_SECONDS

# Sources of the engine that a program cannot run, if any: they are left out of the unit tests'
# library.
USER_SKIP :=

WARN := -Wall -Wextra -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wundef -Werror
FLAGS := -std=gnu11 -g -fno-strict-aliasing -Iengine/include -Iengine -I. -MMD -MP $(WARN)
UNIT_FLAGS := $(FLAGS) -O1 -fno-omit-frame-pointer -fsanitize=address,undefined \
	-fno-sanitize-recover=undefined
# Linux's statistics header ends in an array of no length, which the front has inside a structure.
FUZZ_FLAGS := $(UNIT_FLAGS) -Wno-gnu-variable-sized-type-not-at-end -fsanitize=fuzzer-no-link

find_c = $(sort $(shell find $(wildcard $(1)) -name '*.c' 2>/dev/null))
USER_SOURCES := $(filter-out $(USER_SKIP),$(call find_c,engine fronts hosts/fake))
UNIT_SOURCES := $(filter-out tests/unit/test.c,$(wildcard tests/unit/*.c))
VMM_FUZZ_SOURCES := $(wildcard tests/fuzz/vmm_*.c)
FUZZ_SOURCES := $(filter-out $(VMM_FUZZ_SOURCES),$(wildcard tests/fuzz/*.c))
UNIT_TESTS := $(UNIT_SOURCES:tests/unit/%.c=$(BUILD)/unit/%)
FUZZERS := $(FUZZ_SOURCES:tests/fuzz/%.c=$(BUILD)/fuzz/%)
VMM_UNIT_TESTS := $(patsubst tests/vmm/%.c,$(BUILD)/vmm/%,$(wildcard tests/vmm/unit_*.c))
# Without sanitizers, which need more system calls than the sandbox allows.
VMM_PLAIN_TESTS := $(patsubst tests/vmm/%.c,$(BUILD)/vmm/%,$(wildcard tests/vmm/plain_*.c))
VMM_TESTS := $(VMM_UNIT_TESTS) $(VMM_PLAIN_TESTS)
VMM_FUZZERS := $(VMM_FUZZ_SOURCES:tests/fuzz/%.c=$(BUILD)/vmm-fuzz/%)
ALL_FUZZERS := $(FUZZERS) $(VMM_FUZZERS)
SYSTEM_TESTS := $(sort $(shell find tests/system -maxdepth 1 -type f -executable))
# Those that take many minutes each, or run on stock KVM: make test-long, or one by one.
LONG_TESTS := $(addprefix tests/system/,bv-data bv-debian bv-devices bv-faults bv-gdb \
	bv-login bv-many bv-modules bv-others data demo fuzz-ioctl guests host life linux-login \
	memory nested other-guests state xen-console xen-dma xen-dom0 xen-domu xen-fuzz xen-guests \
	xen-iommu xen-libvirt xen-life xen-save xen-shares xen-tools)
# On VT-x, which Bochs emulates, and that takes some minutes: make test-vtx. (vtx-quick and
# vtx-xen-quick are short.)
VTX_TESTS := $(addprefix tests/system/,vtx-guests vtx-linux vtx-xen)
SHORT_TESTS := $(filter-out $(LONG_TESTS) $(VTX_TESTS),$(SYSTEM_TESTS))

# The newest Debian headers of each kernel line that we build for, whatever kernel runs here.
headers = $(lastword $(shell cd /usr/src && ls -d linux-headers-$(1).*-amd64 2>/dev/null | \
	grep -v -e -cloud- -e -rt- | sort -V))
RUNNING = $(shell uname -r)
MODULE_VERSIONS = $(patsubst linux-headers-%,%,$(call headers,6.1) $(call headers,6.12))

.PHONY: all
all: packages ## builds everything
	@$(MAKE) --no-print-directory $(PARALLEL) all-parts

.PHONY: all-parts
all-parts: module unit fuzzers guests bv hypervisor

.PHONY: packages FORCE
packages: $(BUILD)/packages ## installs the Debian packages that are missing
FORCE:

# Looked at in every run, but what is built is not older for it: hence order-only where it is named.
$(BUILD)/packages: FORCE
	@tools/packages

# --- the kernel module -------------------------------------------------------------------------

# hosts/linux/Kbuild is read in a directory with engine/, fronts/ and hosts/ below it: a tree of
# links to the sources, one a kernel version, so that the source directories stay clean. Its $(src)
# is that directory.
.PHONY: module
module: packages ## builds bivisor.ko for every kernel line whose headers are installed
	@$(MAKE) --no-print-directory module-built

.PHONY: module-built
module-built: $(MODULE_VERSIONS:%=module-%)

module-%:
	@mkdir -p $(BUILD)/module-$*
	@find $(BUILD)/module-$* -xtype l -delete
	@cp -rsf $(foreach part,engine fronts hosts,$(CURDIR)/$(part)) $(BUILD)/module-$*
	@ln -sfn hosts/linux/Kbuild $(BUILD)/module-$*/Kbuild
	@$(MAKE) --no-print-directory -C /usr/src/linux-headers-$* \
		M=$(CURDIR)/$(BUILD)/module-$* modules

# Alone that of the kernel which the emulated PC starts.
.PHONY: run-module
run-module: packages
	@$(MAKE) --no-print-directory $(PARALLEL) module-$(firstword $(MODULE_VERSIONS))

.PHONY: install
install: install-module install-hypervisor install-bv ## installs the module, the hypervisor, bv

.PHONY: install-module
install-module: module ## installs bivisor.ko alone
	@[ -e $(BUILD)/module-$(RUNNING)/bivisor.ko ] || \
		{ echo "no module for the running kernel $(RUNNING)"; exit 1; }
	install -D -m 644 $(BUILD)/module-$(RUNNING)/bivisor.ko \
		$(DESTDIR)/lib/modules/$(RUNNING)/updates/bivisor.ko
	$(if $(DESTDIR),,depmod)

# --- the hypervisor ----------------------------------------------------------------------------

# Code at a fixed address in the upper half, without floating point; linked twice, the second time
# with its own table of symbols. What a loader takes is a 32-bit ELF file around it.
METAL := $(BUILD)/hypervisor
METAL_SOURCES := $(call find_c,engine fronts/xen hosts/metal)
METAL_OBJECTS := $(METAL_SOURCES:%.c=$(METAL)/obj/%.o) $(METAL)/obj/hosts/metal/entry.o \
	$(METAL)/obj/hosts/metal/vectors.o
METAL_FLAGS := $(FLAGS) -O2 -ffreestanding -fno-omit-frame-pointer -mno-red-zone \
	-mgeneral-regs-only \
	-fpie -include hosts/metal/hidden.h -fno-stack-protector -fno-asynchronous-unwind-tables \
	-fcf-protection=none -Wframe-larger-than=2048
METAL_LD := ld -nostdlib -static -z noexecstack
METAL_MAX_BYTES := 524288

.PHONY: hypervisor
hypervisor: packages ## builds the hypervisor, build/hypervisor/bivisor
	@$(MAKE) --no-print-directory $(PARALLEL) $(METAL)/bivisor

$(METAL)/obj/%.o: %.c Makefile | $(BUILD)/packages
	@mkdir -p $(@D)
	@echo "  CC [metal] $<"
	$(Q)gcc $(METAL_FLAGS) -c -o $@ $<

$(METAL)/obj/%.o: %.S Makefile | $(BUILD)/packages
	@mkdir -p $(@D)
	@echo "  AS [metal] $<"
	$(Q)gcc -I. -MMD -MP -c -o $@ $<

$(METAL)/%.lds: hosts/metal/%.lds hosts/metal/layout.h
	@mkdir -p $(@D)
	$(Q)gcc -E -P -x c -I. -o $@ $<

$(METAL)/symbols-0.o: tools/symbols
	@mkdir -p $(@D)
	$(Q)tools/symbols | gcc -c -x assembler -o $@ -

$(METAL)/image-0: $(METAL_OBJECTS) $(METAL)/metal.lds $(METAL)/symbols-0.o
	$(Q)$(METAL_LD) -T $(METAL)/metal.lds -o $@ $(METAL_OBJECTS) $(METAL)/symbols-0.o

$(METAL)/symbols.o: $(METAL)/image-0 tools/symbols
	$(Q)tools/symbols $< | gcc -c -x assembler -o $@ -

# With debug information: for gdb.
$(METAL)/bivisor-syms: $(METAL)/image-0 $(METAL)/symbols.o
	$(Q)$(METAL_LD) -T $(METAL)/metal.lds -o $@ $(METAL_OBJECTS) $(METAL)/symbols.o

$(METAL)/bivisor: $(METAL)/bivisor-syms hosts/metal/image.S hosts/metal/layout.h $(METAL)/image.lds
	@echo "  LD         $@"
	$(Q)objcopy -O binary -R .bss $< $(METAL)/image.bin
	$(Q)bss=$$(nm $< | awk '$$3 == "image_begin" { a = $$1 } $$3 == "image_end" { b = $$1 } \
		END { print "0x" b " - 0x" a }')" - $$(stat -c %s $(METAL)/image.bin)"; \
	gcc -m32 -I. -DIMAGE_FILE='"$(METAL)/image.bin"' -DIMAGE_BSS="($$bss)" -c \
		-o $(METAL)/image.o hosts/metal/image.S
	$(Q)$(METAL_LD) -m elf_i386 --no-warn-rwx-segments -T $(METAL)/image.lds -o $@ \
		$(METAL)/image.o
	@[ "$$(stat -c %s $@)" -le $(METAL_MAX_BYTES) ] || \
		{ echo "$@ is larger than $(METAL_MAX_BYTES) bytes"; exit 1; }

# With what unpacks kernels for it, now and whenever a kernel's package changes, and its entry in
# GRUB's menu. With DESTDIR only files: the last two lines are then the package's or the user's.
METAL_LIB := $(PREFIX)/lib/bivisor
METAL_INSTALL := hosts/metal/install

.PHONY: install-hypervisor
install-hypervisor: hypervisor ## installs the hypervisor alone, with its entry in GRUB's menu
	install -D -m 644 $(METAL)/bivisor $(DESTDIR)/boot/bivisor
	install -D -m 755 $(METAL_INSTALL)/unpack-kernel $(DESTDIR)$(METAL_LIB)/unpack-kernel
	install -D -m 755 $(METAL_INSTALL)/grub-entries $(DESTDIR)/etc/grub.d/20_linux_bivisor
	@mkdir -p $(DESTDIR)/etc/kernel/postinst.d $(DESTDIR)/etc/kernel/postrm.d
	sed 's#@LIB@#$(METAL_LIB)#' $(METAL_INSTALL)/kernel-hook \
		>$(DESTDIR)/etc/kernel/postinst.d/bivisor
	chmod 755 $(DESTDIR)/etc/kernel/postinst.d/bivisor
	install -m 755 $(DESTDIR)/etc/kernel/postinst.d/bivisor \
		$(DESTDIR)/etc/kernel/postrm.d/bivisor
	$(if $(DESTDIR),,for image in /boot/vmlinuz-*; do \
		/etc/kernel/postinst.d/bivisor "$${image#/boot/vmlinuz-}" "$$image"; done)
	$(if $(DESTDIR),,if command -v update-grub >/dev/null; then update-grub; fi)

# --- unit tests: engine, fronts and hosts/fake in user space -----------------------------------

.PHONY: unit
unit: packages $(UNIT_TESTS) $(VMM_TESTS) ## builds the unit tests

$(BUILD)/unit/obj/%.o: %.c Makefile | $(BUILD)/packages
	@mkdir -p $(@D)
	@echo "  CC [unit]  $<"
	$(Q)gcc $(UNIT_FLAGS) -c -o $@ $<

$(BUILD)/unit/libbv.a: $(USER_SOURCES:%.c=$(BUILD)/unit/obj/%.o)
	@rm -f $@
	$(Q)ar rcs $@ $^

# The command line's parts, but for its main(): what a test does not use is not linked.
CLI_PARTS := $(filter-out cli/main.c,$(call find_c,cli))
$(BUILD)/unit/obj/cli/% $(BUILD)/unit/obj/tests/unit/cli_%: UNIT_FLAGS += -D_GNU_SOURCE
$(BUILD)/fuzz/obj/cli/%: FUZZ_FLAGS += -D_GNU_SOURCE

$(BUILD)/unit/libcli.a: $(CLI_PARTS:%.c=$(BUILD)/unit/obj/%.o)
	@rm -f $@
	$(Q)ar rcs $@ $^

$(UNIT_TESTS): $(BUILD)/unit/%: $(BUILD)/unit/obj/tests/unit/%.o \
		$(BUILD)/unit/obj/tests/unit/test.o $(BUILD)/unit/libbv.a $(BUILD)/unit/libcli.a
	@echo "  LD         $@"
	$(Q)gcc $(UNIT_FLAGS) -o $@ $^ -ljansson

# --- fuzzers -----------------------------------------------------------------------------------

.PHONY: fuzzers
fuzzers: packages $(ALL_FUZZERS) ## builds the fuzzers

$(BUILD)/fuzz/obj/%.o: %.c Makefile | $(BUILD)/packages
	@mkdir -p $(@D)
	@echo "  CC [fuzz]  $<"
	$(Q)clang $(FUZZ_FLAGS) -c -o $@ $<

$(BUILD)/fuzz/libbv.a: $(USER_SOURCES:%.c=$(BUILD)/fuzz/obj/%.o)
	@rm -f $@
	$(Q)ar rcs $@ $^

$(BUILD)/fuzz/libcli.a: $(CLI_PARTS:%.c=$(BUILD)/fuzz/obj/%.o)
	@rm -f $@
	$(Q)ar rcs $@ $^

$(FUZZERS): $(BUILD)/fuzz/%: $(BUILD)/fuzz/obj/tests/fuzz/%.o $(BUILD)/fuzz/libbv.a \
		$(BUILD)/fuzz/libcli.a
	@echo "  LD         $@"
	$(Q)clang $(FUZZ_FLAGS) -fsanitize=fuzzer -o $@ $^ -ljansson

.PHONY: fuzz
fuzz: fuzzers ## runs every fuzzer for FUZZ_SECONDS
	@tests/run $(ALL_FUZZERS:%='tests/fuzz/run % $(FUZZ_SECONDS)')

# --- bv: the command line (cli/) with the machine (vmm/) ----------------------------------------

BV_FLAGS := -std=gnu11 -D_GNU_SOURCE -O2 -g -fno-strict-aliasing -fPIE -fstack-protector-strong \
	-I. -MMD -MP $(WARN)
BV_LIBS := -luring -lslirp -lseccomp -lzstd -ljansson -lpthread
VMM_SOURCES := $(call find_c,vmm)
CLI_SOURCES := $(if $(wildcard cli),$(call find_c,cli))
VMM_OBJECTS := $(VMM_SOURCES:%.c=$(BUILD)/bv/obj/%.o)
CLI_OBJECTS := $(CLI_SOURCES:%.c=$(BUILD)/bv/obj/%.o)

# The command line with a script for a machine: for tests of cli/ on any computer.
SCRIPT_OBJECTS := $(filter-out %/cli/host.o,$(CLI_OBJECTS)) $(BUILD)/bv/obj/tests/cli/machine.o

.PHONY: bv
bv: packages $(BUILD)/bv/machine $(BUILD)/bv/ask $(BUILD)/bv/bv \
		$(BUILD)/bv/bv-script ## builds the command bv

$(BUILD)/bv/obj/%.o: %.c Makefile | $(BUILD)/packages
	@mkdir -p $(@D)
	@echo "  CC [bv]    $<"
	$(Q)gcc $(BV_FLAGS) -c -o $@ $<

$(BUILD)/bv/bv: $(CLI_OBJECTS) $(VMM_OBJECTS)
	@echo "  LD         $@"
	$(Q)gcc -pie -o $@ $^ $(BV_LIBS)

$(BUILD)/bv/bv-script: $(SCRIPT_OBJECTS)
	@echo "  LD         $@"
	$(Q)gcc -pie -o $@ $^ -ljansson

.PHONY: install-bv
install-bv: bv ## installs bv alone, with its manual pages and bash completion
	install -D -m 755 $(BUILD)/bv/bv $(DESTDIR)$(PREFIX)/bin/bv
	install -D -m 755 cli/make-image $(DESTDIR)$(PREFIX)/lib/bivisor/make-image
	install -D -m 644 docs/man/bv.1 $(DESTDIR)$(PREFIX)/share/man/man1/bv.1
	install -D -m 644 docs/man/bv-vm.5 $(DESTDIR)$(PREFIX)/share/man/man5/bv-vm.5
	@mkdir -p $(DESTDIR)$(PREFIX)/share/bash-completion/completions
	$(BUILD)/bv/bv completion bash >$(DESTDIR)$(PREFIX)/share/bash-completion/completions/bv

# The machine alone, described by options: for tests of the machine.
$(BUILD)/bv/machine: $(BUILD)/bv/obj/tests/vmm/machine.o $(VMM_OBJECTS)
	@echo "  LD         $@"
	$(Q)gcc -pie -o $@ $^ $(BV_LIBS)

$(BUILD)/bv/ask: $(BUILD)/bv/obj/tests/vmm/ask.o
	$(Q)gcc -pie -o $@ $^

# The machine on a hypervisor that only takes notes, for unit tests and fuzzers.
VMM_FLAGS := -D_GNU_SOURCE
FAKE_SOURCES := $(filter-out vmm/hv_kvm%,$(VMM_SOURCES)) tests/vmm/fake.c

$(BUILD)/vmm/obj/%.o: %.c Makefile | $(BUILD)/packages
	@mkdir -p $(@D)
	@echo "  CC [unit]  $<"
	$(Q)gcc $(UNIT_FLAGS) $(VMM_FLAGS) -c -o $@ $<

$(VMM_PLAIN_TESTS): $(BUILD)/vmm/%: $(BUILD)/bv/obj/tests/vmm/%.o \
		$(BUILD)/bv/obj/tests/unit/test.o $(VMM_OBJECTS)
	@mkdir -p $(@D)
	@echo "  LD         $@"
	$(Q)gcc -pie -o $@ $^ $(BV_LIBS)

$(VMM_UNIT_TESTS): $(BUILD)/vmm/%: $(BUILD)/vmm/obj/tests/vmm/%.o \
		$(BUILD)/unit/obj/tests/unit/test.o \
		$(FAKE_SOURCES:%.c=$(BUILD)/vmm/obj/%.o)
	@echo "  LD         $@"
	$(Q)gcc $(UNIT_FLAGS) -o $@ $^ $(BV_LIBS)

$(BUILD)/vmm-fuzz/obj/%.o: %.c Makefile | $(BUILD)/packages
	@mkdir -p $(@D)
	@echo "  CC [fuzz]  $<"
	$(Q)clang $(FUZZ_FLAGS) $(VMM_FLAGS) -Wno-missing-field-initializers -c -o $@ $<

$(VMM_FUZZERS): $(BUILD)/vmm-fuzz/%: $(BUILD)/vmm-fuzz/obj/tests/fuzz/%.o \
		$(FAKE_SOURCES:%.c=$(BUILD)/vmm-fuzz/obj/%.o)
	@echo "  LD         $@"
	$(Q)clang $(FUZZ_FLAGS) -fsanitize=fuzzer -o $@ $^ $(BV_LIBS)

# --- guests ------------------------------------------------------------------------------------

.PHONY: guests
guests: packages ## builds the test guests
	@$(MAKE) --no-print-directory -C tests/guests OUT=$(CURDIR)/$(BUILD)/guests

# --- running -----------------------------------------------------------------------------------

RUN_NEEDS = $(if $(filter stock,$(MODULE)),packages,run-module) hypervisor bv

.PHONY: run
run: $(RUN_NEEDS) ## an emulated PC, the Xen way or the KVM way (WAY=xen, kvm: no menu)
	@tests/pc/demo

# The fuzzers begin with the same seed each time: what they say is about the change.
TESTS = tools/check-style tools/check-layers tools/check-manuals $(UNIT_TESTS) $(VMM_TESTS) \
	$(ALL_FUZZERS:%='tests/fuzz/run % $(FUZZ_SECONDS) 1')

.PHONY: test
test: all ## the tests of a change; the last line sums them up
	@tests/run $(TESTS) $(SHORT_TESTS)

.PHONY: test-quick
test-quick: unit fuzzers ## the tests that need no emulated PC
	@tests/run $(TESTS)

.PHONY: test-unit
test-unit: unit ## the unit tests
	@tests/run $(UNIT_TESTS) $(VMM_TESTS)

.PHONY: test-system
test-system: module guests bv ## the tests in the emulated PC
	@tests/run $(SHORT_TESTS)

.PHONY: test-long
test-long: module guests hypervisor bv ## the long tests in the emulated PC
	@tests/run $(LONG_TESTS)

.PHONY: test-vtx
test-vtx: module guests hypervisor ## the tests on VT-x, under Bochs
	@tests/run $(VTX_TESTS)

.PHONY: bench
bench: all hypervisor ## instructions per operation, beside stock KVM's, QEMU's and stock Xen's
	@failed=0; for part in bench/run bench/vmm bench/xen 'bench/run --vtx'; do \
		$$part || failed=1; done; exit $$failed

.PHONY: lint
lint: packages ## layout, scripts, licence lines, include rules
	@tests/run tools/check-style tools/check-layers tools/check-manuals

.PHONY: clean
clean: ## removes what was built; what was fetched stays in the cache
	rm -rf $(BUILD)

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

-include $(shell find $(BUILD)/unit $(BUILD)/fuzz $(BUILD)/bv $(BUILD)/vmm $(BUILD)/vmm-fuzz \
	$(METAL) \
	-name '*.d' 2>/dev/null)
