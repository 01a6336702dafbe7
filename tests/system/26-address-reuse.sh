#!/bin/bash
# Proves that addresses which go from thread to thread are never mistaken: what is
# freed is not live, and what is live is not freed, exactly.
. "$(dirname "$0")/../fixtures/hazard-lib.sh"

start_profd
mkfifo "$T/go"
exec 9<>"$T/go"
target_prefix=(bash -c 'exec "$@" <'"$T/go 9<&-" -)
target PROFD_RATE=1 "$fixtures/churn" 8 "$(times 100000)" 5000
wait_said ^live 280
read -r _ objects bytes <<<"$(grep ^live "$T/target.log")"
heap_of "$target_pid" inuse_space keep=keep_live phantom='^play$'
figure "phantom live $phantom bytes; live $keep of $bytes"
[ "$phantom" = 0 ] || fail "$phantom bytes live that were freed"
[ "$keep" = "$bytes" ] || fail "$keep bytes live, not $bytes"
heap_of "$target_pid" inuse_objects keep=keep_live phantom='^play$'
[ "$keep $phantom" = "$objects 0" ] || fail "$keep and $phantom objects live, not $objects and 0"
# make() ends in a jump to malloc, so its allocations are its caller's.
heap_of "$target_pid" alloc_objects play='^play$'
is "$play >= 8 * $(times 100000)" || fail "$play objects allocated in play()"
exec 9<&-
wait "$target_pid" || fail "the target ended with status $?"

exec 9<>"$T/go"
target GLIBC_TUNABLES=glibc.malloc.tcache_count=0 PROFD_RATE=1 "$fixtures/hazard-reuse" \
	"$(times 100000)"
wait_said ^live 280
read -r _ objects <<<"$(grep ^live "$T/target.log")"
heap_of "$target_pid" inuse_objects keep='^keep$' phantom='^(play|pass)$'
figure "from thread to thread at once: phantom live $((phantom - keep)) objects; live $keep of $objects"
[ "$keep" = "$objects" ] || fail "$keep objects live, not $objects"
[ "$phantom" = "$keep" ] || fail "$((phantom - keep)) objects live that were freed"
