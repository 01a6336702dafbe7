#!/bin/sh
# What profd needs beyond a C compiler and make, whether it is here, and its
# installation from Debian's packages. `make deps` runs it.
#
#   tests/deps.sh missing SET   prints the packages whose part is not here
#   tests/deps.sh install SET   installs those, as root or through sudo
#
# SET: "build" is what `make` and `make demo` need; "test" what `make check` needs
# as well; "deb" what `make deb` needs, "bench" what `make bench` needs; "dev" what
# `make fuzz`, `tidy` and `format` need. A part is looked for where it is used (a
# header by the compiler, a program in PATH), not in the package manager's books:
# another distribution, or a library built by hand, is as good. Building packages asks
# those books itself, hence the two of "deb" that are looked for by a file of theirs.
# Nothing is asked of the network unless something is missing.
set -eu

parts()
{
	case "$1" in
	build)
		cat <<-END
		program g++ g++
		program protoc-c protobuf-c-compiler
		program objdump binutils
		program python3 python3
		header protobuf-c/protobuf-c.h libprotobuf-c-dev
		header zlib.h zlib1g-dev
		header systemd/sd-event.h libsystemd-dev
		header perfmon/pfmlib.h libpfm4-dev
		header libunwind.h libunwind-dev
		header elfutils/libdw.h libdw-dev
		header libelf.h libelf-dev
		header libiberty/demangle.h libiberty-dev
		header lzma.h liblzma-dev
		header seccomp.h libseccomp-dev
		header ini.h libinih-dev
		header jansson.h libjansson-dev
		header microhttpd.h libmicrohttpd-dev
		header crypt.h libcrypt-dev
		header curl/curl.h libcurl4-openssl-dev
		header uthash.h uthash-dev
		END
		;;
	deb)
		parts build
		cat <<-END
		file /usr/share/build-essential build-essential
		program pydoc3 python3
		program dh debhelper
		program dpkg-buildpackage dpkg-dev
		program fakeroot fakeroot
		program lintian lintian
		END
		;;
	test)
		parts deb
		cat <<-END
		header cmocka.h libcmocka-dev
		program go golang-go
		file /usr/share/gocode/src/github.com/google/pprof golang-github-google-pprof-dev
		file /lib/systemd/systemd systemd
		file /usr/lib/x86_64-linux-gnu/libjemalloc.so.2 libjemalloc2
		file /usr/lib/x86_64-linux-gnu/libtcmalloc_minimal.so.4 libtcmalloc-minimal4
		file /usr/lib/x86_64-linux-gnu/libmimalloc.so.2 libmimalloc2.0
		file /usr/lib/x86_64-linux-gnu/libjemalloc_pic.a libjemalloc-dev
		file /usr/lib/x86_64-linux-gnu/libtcmalloc_minimal.a libgoogle-perftools-dev
		program musl-gcc musl-tools
		file /usr/lib/python3.11/test/test_json libpython3.11-testsuite
		program setpriv util-linux
		program setcap libcap2-bin
		program mount mount
		program pgrep procps
		program nginx nginx-light
		program node nodejs
		program redis-server redis-server
		program redis-benchmark redis-tools
		program rustc rustc
		program perf linux-perf
		program strace strace
		program valgrind valgrind
		program eu-addr2line elfutils
		program dwz dwz
		program dwp binutils
		program debuginfod debuginfod
		program llvm-symbolizer llvm
		program xz xz-utils
		program curl curl
		program prometheus prometheus
		program dot graphviz
		program openssl openssl
		file /usr/lib/debug/.build-id libc6-dbg
		program man man-db
		program mandoc mandoc
		program zsh zsh
		file /usr/share/bash-completion/bash_completion bash-completion
		file /usr/lib/python3/dist-packages/elftools python3-pyelftools
		END
		;;
	bench)
		parts build
		cat <<-END
		program eu-addr2line elfutils
		program llvm-symbolizer llvm
		file /usr/lib/debug/.build-id libc6-dbg
		file /usr/lib/python3/dist-packages/elftools python3-pyelftools
		file /usr/share/doc/python3.11-dbg python3.11-dbg
		program rustc rustc
		program git git
		program nginx nginx-light
		program node nodejs
		program perl perl
		program valgrind valgrind
		program redis-benchmark redis-tools
		program redis-server redis-server
		program sqlite3 sqlite3
		program unshare util-linux
		program ip iproute2
		program wrk wrk
		program go golang-go
		file /usr/share/gocode/src/github.com/google/pprof golang-github-google-pprof-dev
		program llvm-symbolizer llvm
		END
		;;
	dev)
		parts test
		cat <<-END
		program clang clang
		program clang-tidy clang-tidy
		program clang-format clang-format
		END
		;;
	*)
		echo "deps.sh: no such set: $1 (build, deb, test, bench, dev)" >&2
		exit 2
		;;
	esac
}

is_here()
{
	case "$1" in
	program) command -v "$2" ;;
	header) echo "#include <$2>" | ${CC:-cc} -D_GNU_SOURCE -include stdio.h -E - ;;
	file) [ -e "$2" ] ;;
	esac >/dev/null 2>&1
}

missing()
{
	# What is in sbin is in nobody's PATH but root's.
	PATH=$PATH:/usr/sbin:/sbin
	parts "$1" | while read -r kind what package; do
		is_here "$kind" "$what" || echo "$package"
	done
}

as_root()
{
	if [ "$(id -u)" = 0 ]; then
		env DEBIAN_FRONTEND=noninteractive "$@"
	elif command -v sudo >/dev/null; then
		sudo env DEBIAN_FRONTEND=noninteractive "$@"
	else
		echo "deps.sh: installing needs root, and there is no sudo. As root, run: $*" >&2
		exit 1
	fi
}

install()
{
	wanted=$(missing "$1")
	[ -n "$wanted" ] || return 0
	if ! command -v apt-get >/dev/null; then
		echo "deps.sh: no apt-get here; install what corresponds to:" $wanted >&2
		exit 1
	fi
	echo "Installing:" $wanted
	as_root apt-get update -q
	as_root apt-get install -q -y --no-install-recommends $wanted
	wanted=$(missing "$1")
	[ -z "$wanted" ] || { echo "deps.sh: still missing:" $wanted >&2; exit 1; }
}

case "${1:-}" in
missing) parts "${2:-test}" >/dev/null && missing "${2:-test}" ;;
install) parts "${2:-test}" >/dev/null && install "${2:-test}" ;;
*) echo "usage: deps.sh missing|install build|deb|test|bench|dev" >&2; exit 2 ;;
esac
