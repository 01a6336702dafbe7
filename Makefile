# profd. `make help` lists the targets.

BUILD ?= build
PREFIX ?= /usr
DESTDIR ?=
VERSION := 0.1.0

CFLAGS ?= -O2 -g
CXXFLAGS ?= -O2 -g
WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef \
	-Wno-unused-parameter $(if $(CI),-Werror)
ALL_CFLAGS = -std=gnu11 $(WARN) -D_GNU_SOURCE -DPROFD_VERSION='"$(VERSION)"' \
	-I. -Iinclude -I$(BUILD)/gen -MMD -MP $(SANITIZE) $(CFLAGS)
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-7s %s\n' $(1) $(2))

# ---- sources, by program and room
proto_gen := profile control scribe
proto_c := attach cfi cfi_code cfi_rule control duration gzip hash_index heap_ages heap_copy \
	heap_labels heap_history heap_name heap_table pclntab pprof pprof_convert pprof_decode \
	pprof_encode pprof_location pprof_merge pprof_prune pprof_read pprof_top publish \
	string_table ask
preload_c := aside cpu_hooks environment fork intern interpose modules operators record \
	sampler service table trim waits_events waits_locks walk walk-x86_64 weight session \
	labels early live objects cpu waits api
http_c := ask cache connection delta endpoint guard identity index listen main metrics options \
	password path profile reply self server symbol targets text text_threads
fetch_c := debug_files main profile request
profctl_c := args command connect deliver disable dropin enable enabled executable expand \
	gather fetch helper list main named_unit obstacles output private run run_options save \
	series signals snapshot status symbolize systemctl table top units url watch
daemon_c := config config_files engine engine_clients engine_cpu engine_labels engine_look \
	engine_memory engine_offcpu engine_reload engine_service engine_stack engine_threads \
	engine_timers engine_trace fdstore main notify privilege symbolize_file watchdog \
	keeper/confine keeper/debug keeper/environment keeper/filter keeper/guard \
	keeper/keeper keeper/machine keeper/mapped keeper/open keeper/pass keeper/peek \
	keeper/permit keeper/remote keeper/serve keeper/shelf keeper/starter keeper/tracepoint \
	keeper/walk \
	proc/allocator proc/elf proc/elf_links proc/elf_sections proc/ending proc/identity \
	proc/mapping proc/maps proc/memory proc/module proc/module-file proc/module-sweep \
	proc/opening proc/owner proc/perf-map proc/pids proc/process proc/records proc/waiting \
	cpu/event cpu/record cpu/ring cpu/sampler cpu/sampler-cpus cpu/sampler-open \
	cpu/switch-record cpu/switches cpu/switches-open cpu/tracepoint cpu/wait \
	heap/client heap/cpu heap/labels heap/read heap/refused heap/totals heap/trim heap/waits \
	stack/go_table stack/remote stack/row_cache stack/search stack/step stack/unwind \
	profile/aggregate profile/freeze profile/layout profile/locate profile/pieces \
	profile/settle profile/trace profile/window \
	scribe/abbrev scribe/ages scribe/asker scribe/cache scribe/debug scribe/demangle \
	scribe/file_key scribe/function scribe/go_names scribe/histogram scribe/image scribe/job \
	scribe/kallsyms scribe/outbox scribe/package scribe/packed scribe/perf_map \
	scribe/quarantine scribe/range scribe/sandbox scribe/scribe scribe/scribe-state \
	scribe/section scribe/separate scribe/source scribe/spawn scribe/split \
	scribe/split-file scribe/splits scribe/symbol scribe/symbolize scribe/symtab \
	scribe/json scribe/trace scribe/trace_slices scribe/trace_stacks scribe/worker \
	store/name store/retain store/store \
	control/access control/comments control/dump control/dump_client control/dump_cpu \
	control/dump_trace control/ended control/journal control/last control/list \
	control/losses control/measure control/others control/passive control/peer \
	control/private control/replies control/report control/series control/series_targets \
	control/server control/types control/sight control/users control/verbs

proto_src := $(proto_c:%=proto/%.c)
# The client is linked with the few of proto/ that need nothing but libc. Its files
# with large arrays come last, so that the small variables share a page or two.
preload_src := $(preload_c:%=client/preload/%.c) proto/cfi.c proto/cfi_code.c proto/cfi_rule.c \
	proto/ask.c proto/attach.c proto/heap_name.c
profctl_src := $(profctl_c:%=client/profctl/%.c)
http_src := $(http_c:%=client/http/%.c)
daemon_src := $(daemon_c:%=daemon/%.c)
fetch_src := $(fetch_c:%=client/fetch/%.c)

libs_proto := -lprotobuf-c -lz
libs_daemon := $(libs_proto) -lsystemd -lpfm -lunwind-x86_64 -lunwind -ldw -lelf -llzma -liberty -lseccomp -linih -lm
libs_profctl := $(libs_proto) -ljansson
libs_fetch := -lcurl
libs_http := $(libs_proto) -ljansson -lmicrohttpd -lcrypt -lm -pthread

gen_c := $(proto_gen:%=$(BUILD)/gen/proto/%.pb-c.c)
gen_h := $(gen_c:.c=.h)
gen_o := $(gen_c:.c=.o)
obj = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
pic = $(patsubst %.c,$(BUILD)/pic/%.o,$(1))
programs := $(BUILD)/profd $(BUILD)/profctl $(BUILD)/profd-http $(BUILD)/profd-fetch \
	$(BUILD)/libprofd.so
unit_tests := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/test-*.c))
fixtures := $(patsubst tests/fixtures/%.c,$(BUILD)/fixtures/%,$(wildcard tests/fixtures/*.c)) \
	$(patsubst tests/fixtures/%.cc,$(BUILD)/fixtures/%,$(wildcard tests/fixtures/*.cc))

fuzzers := $(patsubst tests/fuzz/fuzz-%.c,%,$(wildcard tests/fuzz/fuzz-*.c))
c_files := $(proto_src) $(preload_src) $(profctl_src) $(http_src) $(fetch_src) $(daemon_src) \
	$(wildcard tests/unit/*.c) \
	$(wildcard tests/fuzz/*.c tests/fixtures/*.c tests/bench/*.c)

.PHONY: all help deps demo check check-now unit fixtures bench bench-now asan tsan sanitized replay \
	clang-warnings tidy fuzz fuzzers install deb clean format
.SECONDARY:
.DELETE_ON_ERROR:

#: all      profd, profctl, profd-http and libprofd.so, in $(BUILD)  (make V=1: show commands)
all: $(programs)

#: help     this list
help:
	@sed -n 's/^#: //p' $(firstword $(MAKEFILE_LIST))

#: deps     install the Debian packages that building and testing need
deps:
	$(Q)tests/deps.sh install test

# Says in one line what is missing, before the compiler says it in many.
$(BUILD)/have-deps:
	$(Q)missing=$$(tests/deps.sh missing build); if [ -n "$$missing" ]; then \
		echo "profd needs, and this machine lacks: "$$missing". Run: make deps" >&2; exit 1; fi
	$(Q)mkdir -p $(@D) && touch $@

# ---- objects
$(BUILD)/gen/proto/%.pb-c.c $(BUILD)/gen/proto/%.pb-c.h: proto/%.proto | $(BUILD)/have-deps
	$(call say,PROTO,$<)
	$(Q)mkdir -p $(@D) && protoc-c --c_out=$(BUILD)/gen $<

$(BUILD)/gen/proto/%.pb-c.o: $(BUILD)/gen/proto/%.pb-c.c
	$(call say,CC,$<)
	$(Q)$(CC) -std=gnu11 -I$(BUILD)/gen $(SANITIZE) $(CFLAGS) -c -o $@ $<

$(BUILD)/obj/%.o: %.c | $(gen_h)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) -c -o $@ $<

# The client lives in other people's programs: it is never built with a sanitizer, and
# with none of the checks that a distribution asks for, which cost stack and time there.
$(BUILD)/pic/%.o: override SANITIZE :=
$(BUILD)/pic/%.o: %.c | $(BUILD)/have-deps
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) -fPIC -fvisibility=hidden -ftls-model=initial-exec \
		-fno-stack-protector -U_FORTIFY_SOURCE -fno-builtin-malloc -fno-builtin-calloc -fno-builtin-realloc \
		-fno-builtin-free -c -o $@ $<

# ---- programs
$(BUILD)/libproto.a: $(call obj,$(proto_src)) $(gen_o)
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

$(BUILD)/libdaemon.a: $(call obj,$(filter-out daemon/main.c,$(daemon_src)))
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

$(BUILD)/profd: $(call obj,daemon/main.c) $(BUILD)/libdaemon.a $(BUILD)/libproto.a
	$(call say,LD,$@)
	$(Q)$(CC) $(SANITIZE) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(libs_daemon)

$(BUILD)/profctl: $(call obj,$(profctl_src)) $(BUILD)/libproto.a
	$(call say,LD,$@)
	$(Q)$(CC) $(SANITIZE) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(libs_profctl)

$(BUILD)/profd-fetch: $(call obj,$(fetch_src))
	$(call say,LD,$@)
	$(Q)$(CC) $(SANITIZE) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(libs_fetch)

$(BUILD)/profd-http: $(call obj,$(http_src)) $(BUILD)/libproto.a
	$(call say,LD,$@)
	$(Q)$(CC) $(SANITIZE) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(libs_http)

# Each mapping and each page costs every program's start, and its end: code and constants
# are one mapping, and there is no read-only copy of the addresses of functions, as those
# of the next allocator, which are as good a target, have to be writable.
$(BUILD)/libprofd.so: $(call pic,$(preload_src)) client/preload/libprofd.map
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -shared -nostartfiles -Wl,-z,now,-z,nodelete,--no-undefined \
		-Wl,-z,norelro,-z,noseparate-code \
		-Wl,-soname,libprofd.so -Wl,--version-script=client/preload/libprofd.map \
		-o $@ $(filter %.o,$^)

# ---- tests
$(BUILD)/tests/%: tests/unit/%.c $(BUILD)/libdaemon.a $(BUILD)/libproto.a
	$(call say,TEST,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) -MF $@.d -MT $@ $(LDFLAGS) -o $@ \
		$< $(filter %.a,$^) $(libs_daemon) -lcmocka -ljansson -lcrypt

$(BUILD)/fixtures/%: tests/fixtures/%.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) -D_GNU_SOURCE $(CFLAGS) \
		$(shell sed -n 's/.*BUILD-WITH: \([^*]*\).*/\1/p' $<) -o $@ $< -pthread -lm

$(BUILD)/fixtures/hostile-engine: $(wildcard daemon/keeper/*.h)

# The client with libunwind beside it, a library that a test preloads.
$(BUILD)/fixtures/walker-oracle: tests/fixtures/walker-oracle.c $(call pic,$(preload_src)) client/preload/libprofd.map
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(filter-out -MMD -MP $(SANITIZE),$(ALL_CFLAGS)) -Wno-missing-prototypes -fPIC \
		-fvisibility=hidden -shared -nostartfiles -Wl,-z,now,--wrap=walk_stack \
		-Wl,--version-script=client/preload/libprofd.map -o $@ $(filter %.c %.o,$^) -lunwind

$(BUILD)/fixtures/%: tests/fixtures/%.cc
	$(call say,CXX,$<)
	$(Q)mkdir -p $(@D) && $(CXX) $(CXXFLAGS) $(shell sed -n 's/.*BUILD-WITH: \([^*]*\).*/\1/p' $<) \
		-o $@ $< -pthread

fixtures: $(fixtures)
unit: $(unit_tests)

# The Go program that puts every file to Go's own pprof library.
$(BUILD)/gocheck: $(wildcard tests/gocheck/*.go)
	$(call say,GO,$@)
	$(Q)GO111MODULE=off GOPATH=/usr/share/gocode GOCACHE=$(abspath $(BUILD))/go-cache \
		go build -o $@ ./tests/gocheck

#: demo     find a leak in two real programs; installs what is missing
demo:
	$(Q)tests/deps.sh install build
	$(Q)$(MAKE) --no-print-directory -s all $(BUILD)/fixtures/leak
	$(Q)BUILD=$(BUILD) tests/demo.sh

#: check    all tests; installs what is missing  (TESTS="01-heap-leak house": only those)
check:
	$(Q)tests/deps.sh install test
	$(Q)$(MAKE) --no-print-directory check-now

check-now: all unit fixtures $(BUILD)/gocheck
	$(Q)$(MAKE) --no-print-directory BUILD=$(BUILD)/asan SANITIZE="$(asan_flags)" replay
	$(Q)BUILD=$(BUILD) MAKE="$(MAKE)" tests/run $(TESTS)

#: bench    what profd costs, and how right it is, as a table; installs what is missing
#:          (BENCH="replace pairs locks programs start memory latency daemon cost unwind
#:          right scribe symbols http": only those; BENCH=peers: other heap profilers on the same loop;
#:          BENCH=thousand: a thousand attached; BENCH=slope: the daemon's memory, SECONDS_LONG=300)
BENCH ?=
bench:
	$(Q)tests/deps.sh install bench
	$(Q)$(MAKE) --no-print-directory bench-now

bench-now: all $(BUILD)/fixtures/split $(BUILD)/fixtures/sleeper $(BUILD)/fixtures/no-perf $(BUILD)/fixtures/stacks-shapes \
	$(BUILD)/fixtures/templates $(BUILD)/bench/gowriter $(BUILD)/gocheck \
	$(patsubst tests/bench/%.c,$(BUILD)/bench/%,$(wildcard tests/bench/*.c))
	$(Q)BUILD=$(BUILD) tests/bench/run $(BENCH)

# It walks stacks as the daemon does.
$(BUILD)/bench/unwind: tests/bench/unwind.c $(BUILD)/libdaemon.a $(BUILD)/libproto.a
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) -MF $@.d -MT $@ $(LDFLAGS) -o $@ $< $(filter %.a,$^) \
		$(libs_daemon)

$(BUILD)/bench/gowriter: tests/bench/gowriter/main.go
	$(call say,GO,$@)
	$(Q)GO111MODULE=off GOPATH=/usr/share/gocode GOCACHE=$(abspath $(BUILD))/go-cache \
		go build -o $@ ./$(<D)

# Those that measure a part of the daemon by itself.
$(BUILD)/bench/scribe-%: tests/bench/scribe-%.c $(BUILD)/libdaemon.a $(BUILD)/libproto.a
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) -MF $@.d -MT $@ -o $@ $< $(filter %.a,$^) $(libs_daemon)

$(BUILD)/bench/%: tests/bench/%.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(WARN) -Iinclude -D_GNU_SOURCE $(CFLAGS) -o $@ $< -pthread -lm

#: asan     unit tests with AddressSanitizer and UBSan
#: tsan     tests of the tables that threads share, with ThreadSanitizer
asan_flags := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
asan tsan: $(BUILD)/have-deps
	$(Q)$(MAKE) --no-print-directory BUILD=$(BUILD)/$@ SANITIZE="$(if \
		$(filter asan,$@),$(asan_flags),-fsanitize=thread)" sanitized
	$(Q)BUILD=$(BUILD)/$@ tests/run $($@_tests)

asan_tests := unit
# It has an allocator and signal frames of its own, which the others would meet.
tsan_tests := test-preload-intern test-preload-live test-preload-weight test-proto-heap-table

sanitized: all unit fixtures

# A fuzz target and a corpus need no libFuzzer to be replayed: any compiler will do.
replay: $(fuzzers:%=$(BUILD)/replay/%)
$(BUILD)/replay/%: tests/fuzz/fuzz-%.c tests/fuzz/replay.c $(BUILD)/libdaemon.a $(BUILD)/libproto.a
	$(call say,REPLAY,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $< tests/fuzz/replay.c $(filter %.a,$^) $(libs_daemon)

#: fuzz     libFuzzer on every target, FUZZ_SECONDS (60) each, and damaged files for a real
#:          scribe as long, each of whose deaths has to be followed by a published profile
#:          (FUZZ=name: only that one; the last is called scribe)
FUZZ_SECONDS ?= 60
FUZZ ?= $(fuzzers) scribe
fuzz:
	$(Q)tests/deps.sh install dev
	$(Q)$(MAKE) --no-print-directory BUILD=$(BUILD)/fuzz CC=clang \
		SANITIZE="-fsanitize=fuzzer-no-link,address,undefined" fuzzers
	$(Q)$(MAKE) --no-print-directory $(BUILD)/tests/test-scribe-mutations $(BUILD)/fixtures/sym-shapes
	$(Q)set -e; for name in $(FUZZ); do \
		if [ $$name = scribe ]; then \
			MUTATION_SECONDS=$(FUZZ_SECONDS) $(BUILD)/tests/test-scribe-mutations; continue; fi; \
		mkdir -p $(BUILD)/fuzz/corpus/$$name tests/fuzz/corpus/$$name; \
		$(BUILD)/fuzz/fuzzers/$$name -max_total_time=$(FUZZ_SECONDS) -timeout=10 \
			-rss_limit_mb=2048 -artifact_prefix=$(BUILD)/fuzz/$$name- \
			$(BUILD)/fuzz/corpus/$$name tests/fuzz/corpus/$$name; done

fuzzers: $(fuzzers:%=$(BUILD)/fuzzers/%)
$(BUILD)/fuzzers/%: tests/fuzz/fuzz-%.c $(BUILD)/libdaemon.a $(BUILD)/libproto.a
	$(call say,FUZZER,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) -fsanitize=fuzzer -o $@ $< $(filter %.a,$^) $(libs_daemon)

#: tidy     clang-tidy on all sources
tidy: $(gen_h)
	$(Q)tests/deps.sh install dev
	$(Q)clang-tidy --quiet $(filter-out tests/%,$(c_files)) -- $(filter-out -MMD -MP,$(ALL_CFLAGS))

# gcc builds; clang only reads, for the warnings that gcc does not have.
clang-warnings: $(gen_h)
	$(Q)clang -fsyntax-only -Werror -Wno-unknown-warning-option \
		$(filter-out -MMD -MP,$(ALL_CFLAGS)) $(filter-out tests/fixtures/%,$(c_files))

#: format   clang-format on all sources, in place
format:
	$(Q)tests/deps.sh install dev
	$(Q)clang-format -i $(c_files) $(wildcard include/profd/*.h proto/*.h client/*/*.h \
		daemon/*.h daemon/*/*.h tests/fixtures/*.cc)

#: install  into DESTDIR, below PREFIX (/usr)
UNITDIR ?= $(PREFIX)/lib/systemd/system
lib := $(DESTDIR)$(PREFIX)/lib
share := $(DESTDIR)$(PREFIX)/share
units := $(wildcard systemd/*.service systemd/*.socket)
pages := $(wildcard daemon/*.[1-8] client/*/*.[1-8])
install: all
	install -D -m 755 $(BUILD)/profd $(DESTDIR)$(PREFIX)/sbin/profd
	install -D -m 755 $(BUILD)/profctl $(DESTDIR)$(PREFIX)/bin/profctl
	install -D -m 755 $(BUILD)/profd-http $(DESTDIR)$(PREFIX)/sbin/profd-http
	install -D -m 644 $(BUILD)/libprofd.so $(lib)/profd/libprofd.so
	install -D -m 755 $(BUILD)/profd-fetch $(lib)/profd/profd-fetch
	install -D -m 644 systemd/profd.sysusers $(lib)/sysusers.d/profd.conf
	install -D -m 644 systemd/profd.tmpfiles $(lib)/tmpfiles.d/profd.conf
	install -D -m 644 -t $(lib)/systemd/catalog systemd/profd.catalog
	install -D -m 644 -t $(share)/doc/profd README.md LICENSE
	[ -e $(DESTDIR)/etc/profd.conf ] || install -D -m 644 systemd/profd.conf $(DESTDIR)/etc/profd.conf
	install -D -m 644 client/profctl/completion.bash $(share)/bash-completion/completions/profctl
	install -D -m 644 -t $(share)/zsh/vendor-completions client/profctl/_profctl
	install -D -m 644 include/profd.h $(DESTDIR)$(PREFIX)/include/profd.h
	install -d -m 755 $(share)/pkgconfig
	sed 's|@PREFIX@|$(PREFIX)|; s|@VERSION@|$(VERSION)|' include/profd.pc.in >$(share)/pkgconfig/profd.pc
	chmod 644 $(share)/pkgconfig/profd.pc
	set -e; for page in $(pages); do \
		install -D -m 644 -t $(share)/man/man$${page##*.} $$page; done
	install -d -m 755 $(DESTDIR)$(UNITDIR)
	set -e; for unit in $(notdir $(units)); do \
		sed 's|/usr/|$(PREFIX)/|' systemd/$$unit >$(DESTDIR)$(UNITDIR)/$$unit; \
		chmod 644 $(DESTDIR)$(UNITDIR)/$$unit; done

#: deb      a Debian package, in $(BUILD)/deb  (DEB_VERSION=: another version than its own)
DEB_VERSION ?=
deb_tree := $(BUILD)/deb/profd
deb:
	$(Q)tests/deps.sh install deb
	$(Q)rm -rf $(deb_tree) && mkdir -p $(deb_tree)
	$(Q)cp -a Makefile README.md LICENSE client daemon debian include proto systemd tests $(deb_tree)
	$(Q)[ -z "$(DEB_VERSION)" ] || sed -i '1s/(.*)/($(DEB_VERSION))/' $(deb_tree)/debian/changelog
	$(Q)cd $(deb_tree) && env -u MAKEFLAGS -u MAKELEVEL -u DESTDIR -u PREFIX BUILD=$(abspath $(BUILD))/deb/build \
		dpkg-buildpackage --build=binary --no-sign >../log 2>&1 || { tail -30 ../log; exit 1; }
	$(Q)ls $(BUILD)/deb/*.deb

#: clean    remove $(BUILD)
clean:
	rm -rf $(BUILD)

-include $(shell find $(BUILD) -path $(BUILD)/deb -prune -o -name '*.d' -print 2>/dev/null)
