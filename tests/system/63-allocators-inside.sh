#!/bin/bash
# Proves that a program with an allocator of its own inside is told apart: jemalloc
# and tcmalloc linked in statically, jemalloc and another under a prefix, a malloc of
# the program's own, stripped or not, AddressSanitizer by clang; that what is said is
# true (nothing, or only what went through malloc, is in its profile); that it is said
# in `list`, in the profile, and, before anyone restarts it for nothing, of a program
# without the client; and that a plain program is not accused.
. "$(dirname "$0")/../fixtures/hazard-lib.sh"

start_profd
export PROFD_RATE=1
libraries=/usr/lib/x86_64-linux-gnu
missing=()
mkfifo "$T/go"
exec 9<>"$T/go"
cat >"$T/hold.c" <<'END'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef PREFIXED
void *je_malloc(size_t n);
#define take je_malloc
#else
#define take malloc
#endif
__attribute__((noinline)) static void hold(void)
{
	for (int i = 0; i < 4000; i++)
		memset(take(4000), 1, 4000);
}
__attribute__((noinline)) static void hold_plain(void)
{
	for (int i = 0; i < 1000; i++)
		memset(malloc(1000), 1, 1000);
}
int main(void)
{
	hold();
	hold_plain();
	puts("ready");
	fflush(stdout);
	while (getchar() != EOF)
		;
	return 0;
}
END
reason_of() { json_of "$profctl" --json list --all "[t['reason'] for t in j['targets'] if t['pid'] == $1][0]"; }

says() { reason_of "$2" >"$T/reason" && grep -Eq "^$1" "$T/reason"; }

# inside REGEX BYTES PROGRAM: what is said of it, and what its profile has.
inside()
{
	target_prefix=(bash -c 'exec "$@" <'"$T/go 9<&-" -)
	target "$3"
	wait_said ready
	wait_attached "$target_pid"
	reason_of "$target_pid" >"$T/reason"
	grep -Eq "^$1" "$T/reason" || { cat "$T/reason"; fail "${3##*/}: it does not say $1"; }
	heap_of "$target_pid" inuse_space hold=hold main=main
	is "abs($total - $2) < 100000" || fail "${3##*/}: $total bytes are seen, not $2"
	go tool pprof -comments "${files[0]}" >"$T/comments"
	if [ "$1" = '$' ]; then
		! grep '^incomplete' "$T/comments" || fail "a plain program is accused"
	else
		grep -Eq "^incomplete: the program $1" "$T/comments" || { cat "$T/comments"; fail "not in the profile"; }
	fi
	figure "${3##*/}: $total bytes seen; $(cat "$T/reason")"
	end_process "$target_pid"
	# Without the client the same is said, as a restart would not help.
	[ "$(id -u)" = 0 ] || return 0
	"$3" <"$T/go" >"$T/target.log" 9<&- &
	own_pids+=($!)
	wait_said ready
	wait_for 5 says "${1/#$/started without the client}" $! ||
		{ cat "$T/reason"; fail "${3##*/} without the client: it does not say $1"; }
	end_process $!
}

cc -O1 -o "$T/plain" "$T/hold.c"
inside '$' 17000000 "$T/plain"
inside 'has a malloc of its own built in: its heap is not seen' 0 "$fixtures/own-malloc"
strip -o "$T/stripped" "$fixtures/own-malloc"
inside 'has a malloc of its own built in: its heap is not seen' 0 "$T/stripped"
cc -O1 -DPREFIX -o "$T/prefix" "$root/tests/fixtures/own-malloc.c"
inside 'has mimalloc built in beside malloc: what it allocates with that' 0 "$T/prefix"
if [ -e $libraries/libjemalloc_pic.a ]; then
	cc -O1 -o "$T/jemalloc" "$T/hold.c" $libraries/libjemalloc_pic.a -pthread -lm -lstdc++
	inside 'has jemalloc built in: its heap is not seen' 0 "$T/jemalloc"
	# As projects that bundle it do: all of its names but malloc's family are its own.
	for f in malloc calloc realloc free posix_memalign aligned_alloc memalign valloc pvalloc \
		malloc_usable_size; do echo "$f je_$f"; done >"$T/names"
	objcopy --redefine-syms="$T/names" $libraries/libjemalloc_pic.a "$T/prefixed.a"
	cc -O1 -DPREFIXED -o "$T/je-prefixed" "$T/hold.c" "$T/prefixed.a" -pthread -lm -lstdc++
	inside 'has jemalloc built in beside malloc: what it allocates with that' 1000000 "$T/je-prefixed"
else
	missing+=(libjemalloc-dev)
fi
if [ -e $libraries/libtcmalloc_minimal.a ]; then
	c++ -O1 -fpermissive -w -x c++ -o "$T/tcmalloc" "$T/hold.c" -x none $libraries/libtcmalloc_minimal.a -pthread
	inside 'has tcmalloc built in: its heap is not seen' 0 "$T/tcmalloc"
else
	missing+=(libgoogle-perftools-dev)
fi
if clang -fsanitize=address -o "$T/asan" "$T/hold.c" 2>/dev/null; then
	inside 'has AddressSanitizer built in: its heap is not seen' 0 "$T/asan"
fi
exec 9<&-
[ ${#missing[@]} = 0 ] || skip "the rest passed; not tried, as they are not here: ${missing[*]}"
