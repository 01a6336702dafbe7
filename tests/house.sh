#!/bin/bash
# What the house promises about its own shape, each a check by name:
#
#   includes   rooms include only what lies below them
#   homes      each heavy library is known in one room
#   preload    libprofd.so needs libc only, and exports its list and no more
#   silence    only main, engine, control and profctl print, and the start of profd-http
#   form       files and lines of a size to be read
#   warnings   clang has nothing to say (gcc has said it while building)
#
#   tests/house.sh list    the checks' names
#   tests/house.sh NAME    exits with 0, with 1 after saying what is wrong, or 77
set -euo pipefail
cd "$(dirname "$0")/.."
BUILD=${BUILD:-build}

bad=0
complain() { echo "$*"; bad=1; }

sources() { find "$@" -name '*.[ch]' 2>/dev/null | sort; }

# Rooms that @1, a directory, may include, besides itself.
below()
{
	case "$1" in
	include/profd) echo profd ;;
	include) ;; # what applications include has to stand alone
	proto) echo profd ;;
	client/*) echo profd proto ;;
	daemon/keeper) echo profd proto ;;
	daemon/proc) echo profd proto daemon/keeper ;;
	# The shapes that everything meets in: they know modules and nothing else.
	daemon/profile) echo profd proto daemon/proc ;;
	# These three never include one another: the engine joins them.
	daemon/cpu | daemon/heap | daemon/stack) echo profd proto daemon/keeper daemon/proc ;;
	daemon/scribe | daemon/store) echo profd proto daemon/keeper daemon/proc daemon/profile ;;
	daemon/control) echo profd proto daemon/{keeper,proc,cpu,heap,stack,profile,scribe,store} ;;
	daemon) echo profd proto daemon/{keeper,proc,cpu,heap,stack,profile,scribe,store,control} ;;
	*) echo "house.sh: $1: a room that nobody has told of" >&2; exit 1 ;;
	esac
}

check_includes()
{
	local file room allowed header from

	for file in $(sources include proto client daemon); do
		room=$(dirname "$file")
		allowed=" ${room#include/} $(below "$room") "
		while read -r header; do
			from=$(dirname "$header")
			case "$header" in
			*../*) complain "$file: \"$header\": never ../" ;;
			esac
			case "$allowed" in
			*" $from "*) ;;
			*) complain "$file: \"$header\": $room does not stand above $from" ;;
			esac
		done < <(sed -n 's/^#[ \t]*include[ \t]*"\([^"]*\)".*/\1/p' "$file")
	done
}

# lives HEADER-REGEX PATH-REGEX
lives()
{
	local hits

	hits=$(sources include proto client daemon | xargs grep -HE "^#[[:space:]]*include[[:space:]]*<($1)" |
		grep -vE "^($2)" || true)
	[ -z "$hits" ] || complain "$hits"
}

check_homes()
{
	lives 'perfmon/' 'daemon/cpu/'
	lives 'libunwind' 'daemon/stack/'
	lives 'protobuf-c/' 'proto/'
	lives 'zlib\.h' 'proto/'
	lives 'systemd/' 'daemon/'
	lives 'elfutils/|libelf|gelf|dwarf\.h' 'daemon/scribe/'
	lives 'libiberty|demangle\.h' 'daemon/scribe/'
	lives 'lzma\.h' 'daemon/scribe/'
	lives 'seccomp\.h' 'daemon/(scribe|keeper)/'
	lives 'ini\.h' 'daemon/config\.c'
	lives 'jansson\.h' 'client/(profctl|http|push)/'
	lives 'microhttpd' 'client/http/'
	lives 'crypt\.h' 'client/http/'
	lives 'curl/' 'client/fetch/'
	lives 'ut(hash|list|array|string)\.h' '(daemon|proto|client/(profctl|http|push))/'
	# What the client is made of has to do with libc's headers alone.
	local hits
	hits=$(grep -nE '^#[[:space:]]*include[[:space:]]*<(perfmon/|libunwind|protobuf-c|zlib|systemd/|elfutils|libelf|gelf|ini\.h|jansson|ut(hash|list|array|string))' \
		client/preload/* proto/cfi* proto/ask* proto/attach* 2>/dev/null || true)
	[ -z "$hits" ] || complain "$hits"
}

exported='_ZdaPv _ZdaPvRKSt9nothrow_t _ZdaPvSt11align_val_t _ZdaPvSt11align_val_tRKSt9nothrow_t
_ZdaPvm _ZdaPvmSt11align_val_t _ZdlPv _ZdlPvRKSt9nothrow_t _ZdlPvSt11align_val_t
_ZdlPvSt11align_val_tRKSt9nothrow_t _ZdlPvm _ZdlPvmSt11align_val_t _Znam _ZnamRKSt9nothrow_t
_ZnamSt11align_val_t _ZnamSt11align_val_tRKSt9nothrow_t _Znwm _ZnwmRKSt9nothrow_t
_ZnwmSt11align_val_t _ZnwmSt11align_val_tRKSt9nothrow_t aligned_alloc calloc capset cnd_timedwait
cnd_wait free malloc memalign mtx_lock mtx_timedlock mtx_unlock posix_memalign prctl
profd_client_cpu_start profd_client_cpu_stop profd_client_heap profd_client_label_push
profd_client_labels_get profd_client_labels_set profd_client_snapshot
pthread_barrier_wait pthread_cond_clockwait pthread_cond_timedwait pthread_cond_wait
pthread_create pthread_join pthread_mutex_clocklock pthread_mutex_lock pthread_mutex_timedlock
pthread_mutex_unlock pthread_rwlock_clockrdlock pthread_rwlock_clockwrlock pthread_rwlock_rdlock
pthread_rwlock_timedrdlock pthread_rwlock_timedwrlock pthread_rwlock_unlock pthread_rwlock_wrlock
pthread_sigmask pvalloc realloc reallocarray sem_clockwait sem_timedwait sem_wait setns sigaction
signal sigprocmask sigtimedwait sigwait sigwaitinfo thrd_create thrd_join unshare valloc'

check_preload()
{
	local library=$BUILD/libprofd.so needed symbols flags

	needed=$(readelf -dW "$library" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' |
		grep -vE '^(libc\.so\.6|ld-linux-x86-64\.so\.2)$' || true)
	[ -z "$needed" ] || complain "libprofd.so needs more than libc:" $needed
	symbols=$(nm -D --defined-only "$library" | awk '$2 ~ /[A-Z]/ && $2 != "A" {sub(/@.*/, "", $3); print $3}' |
		sort -u | xargs)
	[ "$symbols" = "$(xargs <<<"$exported")" ] || complain "libprofd.so exports: $symbols; its list: $exported"
	flags=$(readelf -dlW "$library")
	grep -q 'TEXTREL' <<<"$flags" && complain "libprofd.so has text relocations"
	grep -q 'GNU_STACK.*E ' <<<"$flags" && complain "libprofd.so wants an executable stack"
	# __tls_get_addr can allocate: inside malloc it must not be called.
	nm -D --undefined-only "$library" | grep '__tls_get_addr' >/dev/null &&
		complain "libprofd.so calls __tls_get_addr: some variable is not initial-exec"
	return 0
}

check_silence()
{
	local hits

	hits=$(sources proto client/{preload,http} daemon/{keeper,proc,cpu,heap,stack,profile,scribe,store} |
		grep -vE '^client/http/(main|options)\.c$' | xargs grep -nE '\b(v?printf|puts|putchar|perror|syslog|sd_journal_[a-z]+|warnx?|errx?)\(|\bv?fprintf\(std(out|err)' |
		grep -vE '^[^:]*:[0-9]+:[[:space:]]*(/?\*|//)' || true)
	[ -z "$hits" ] || complain "$hits"
}

check_form()
{
	local hits

	hits=$(sources include proto client daemon | xargs wc -l | awk '$2 != "total" && $1 > 450')
	[ -z "$hits" ] || complain "more than 450 lines:" "$hits"
	hits=$(sources tests | xargs wc -l | awk '$2 != "total" && $1 > 500')
	[ -z "$hits" ] || complain "tests of more than 500 lines:" "$hits"
	hits=$(sources include proto client daemon tests | xargs awk '
		{ n = 0; for (i = 1; i <= length($0); i++) n = substr($0, i, 1) == "\t" ? n + 8 - n % 8 : n + 1
		  if (n > 100) print FILENAME ":" FNR ": " n " columns" }')
	[ -z "$hits" ] || complain "$hits"
	hits=$(sources include proto client daemon | xargs grep -nE '[[:space:]]+$' | head -5 || true)
	[ -z "$hits" ] || complain "white space at the end of a line:" "$hits"
	hits=$(sources include proto client daemon | grep '\.h$' | xargs grep -L '^#pragma once' || true)
	[ -z "$hits" ] || complain "no #pragma once:" "$hits"
	hits=$(ls tests/system | sed 's/-.*//' | sort | uniq -d)
	[ -z "$hits" ] || complain "more than one system test with the number:" "$hits"
}

# A reader that stops at the first match ends whoever writes to it, by SIGPIPE, and with
# pipefail that is a failure, or makes one of what is not there. grep into /dev/null reads
# to the end.
check_pipes()
{
	local hits

	hits=$(find tests -name '*.sh' ! -name house.sh -print0 |
		xargs -0 grep -nE '\|[[:space:]]*grep( -[A-Za-z-]+)* -[A-Za-z]*[qm]' || true)
	[ -z "$hits" ] || complain "grep -q behind a pipe; use grep >/dev/null:" "$hits"
}

check_warnings()
{
	command -v clang >/dev/null || { echo "there is no clang here (tests/deps.sh install dev)"; exit 77; }
	${MAKE:-make} --no-print-directory BUILD="$BUILD" clang-warnings || bad=1
}

case "${1:-}" in
list) echo includes homes preload silence form pipes warnings ;;
includes | homes | preload | silence | form | pipes | warnings) "check_$1" ;;
*) echo "usage: house.sh list|includes|homes|preload|silence|form|pipes|warnings" >&2; exit 2 ;;
esac
exit $bad
