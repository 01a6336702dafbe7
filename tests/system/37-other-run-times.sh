#!/bin/bash
# Proves that the client gets on with other allocators, C libraries and preloads: the
# program works as bare, and is profiled where malloc is still what it calls.
. "$(dirname "$0")/../fixtures/hazard-lib.sh"

start_profd
export PROFD_RATE=1
missing=()
libraries=$(dirname "$(ldconfig -p | sed -n 's/.*x86-64.* => \(.*libc\.so\.6\)$/\1/p' | head -1)")

# held PRELOADS: churn's live set is exact with these below or above the client.
held()
{
	mkfifo "$T/go.$1"
	exec 9<>"$T/go.$1"
	target_prefix=(bash -c 'exec "$@" <'"$T/go.$1 9<&-" -)
	client=$2 target "${@:4}"
	wait_said ^live
	read -r _ objects bytes <<<"$(grep ^live "$T/target.log")"
	wait_attached "$target_pid"
	snapshot --pid "$target_pid" --output "$T"
	valid "${files[0]}"
	eval "$(raw "${files[0]}" inuse_objects keep="$3")"
	[ "$keep" = "$objects" ] || fail "$1: $keep objects in use, not $objects"
	go tool pprof -comments "${files[0]}" >"$T/comments"
	exec 9<&-
	wait "$target_pid" || fail "$1: the target ended with status $?"
}

# Linked, as their users do, and preloaded: the client comes first.
for allocator in jemalloc:2 tcmalloc_minimal:4 mimalloc:2; do
	library=$libraries/lib${allocator%:*}.so.${allocator#*:}
	[ -e "$library" ] || { missing+=("${library##*/}"); continue; }
	held "${allocator%:*}" "$client $library" keep_live "$fixtures/churn" 4 20000 2000
	grep -q "allocator ${allocator%%[_:]*} counts" "$T/comments" ||
		{ cat "$T/comments"; fail "the profile does not know ${allocator%:*}"; }
	cc -O1 -g -o "$T/linked" "$root/tests/fixtures/churn.c" -Wl,--no-as-needed "$library" -pthread
	held "linked-${allocator%:*}" "$client" keep_live "$T/linked" 4 20000 2000
	figure "${allocator%:*}: exact, preloaded and linked; $(grep -m1 '^trim ' "$T/comments")"
done

# Another preload, above and below; of the other's own allocations nothing is asked.
held other-below "$client $fixtures/hazard-other-preload" keep_live "$fixtures/churn" 4 20000 2000
held other-above "$fixtures/hazard-other-preload $client" keep_live "$fixtures/churn" 4 20000 2000

# A library that frees past all preloads: what comes back to the same address takes
# the place of what was never seen to go.
held deepbind "$client" '^^^allocate$' "$fixtures/hazard-deepbind" "$fixtures/hazard-deepbind-library"

if command -v musl-gcc >/dev/null; then
	musl-gcc -O1 -g -o "$T/musl" "$root/tests/fixtures/churn.c"
	held musl "$client" keep_live "$T/musl" 4 20000 2000
	figure "musl: works"
else
	missing+=(musl-gcc)
fi

# AddressSanitizer replaces malloc, and wants to come first: gcc's refuses otherwise,
# with a message of its own. clang's is in the program, and the client is idle.
cat >"$T/bug.c" <<'END'
#include <stdlib.h>
int main(int argc, char **argv)
{
	volatile char *p = malloc(10);
	for (int i = 0; i < 100000; i++)
		free(malloc((size_t)i));
	if (argc > 1)
		p[10] = 1;
	free((void *)p);
	return 0;
}
END
if cc -g -fsanitize=address -o "$T/asan" "$T/bug.c" 2>/dev/null; then
	first=$(ldd "$T/asan" | sed -n 's/.*=> \(.*libasan[^ ]*\).*/\1/p')
	LD_PRELOAD="${first:+$first }$client" "$T/asan" || fail "ASan: status $?"
	! LD_PRELOAD="${first:+$first }$client" "$T/asan" bug 2>"$T/found" || fail "ASan found nothing"
	grep -q heap-buffer-overflow "$T/found" || { cat "$T/found"; fail "ASan found something else"; }
	figure "AddressSanitizer: works where it comes first"
else
	missing+=(libasan)
fi
[ ${#missing[@]} = 0 ] || skip "the rest passed; not tried, as they are not here: ${missing[*]}"
