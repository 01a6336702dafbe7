#!/bin/bash
# Proves that allocations that fail change no count: what is live is exact, to the
# byte, after thousands of failures among successes.
. "$(dirname "$0")/../fixtures/hazard-lib.sh"

start_profd
rounds=$(times 20000)
mkfifo "$T/go"
exec 9<>"$T/go"
target_prefix=(bash -c 'exec "$@" <'"$T/go 9<&-" -)
target PROFD_RATE=1 "$fixtures/hazard-failed" "$rounds"
wait_said ^live
read -r _ objects bytes <<<"$(grep ^live "$T/target.log")"
heap_of "$target_pid" inuse_space keep='^^^keep$' other=fail_all
figure "after $((rounds * 10)) failures: $keep bytes in use, of $bytes; $other in what failed"
[ "$keep" = "$bytes" ] && [ "$other" = 0 ] || fail "in-use bytes are not exact"
heap_of "$target_pid" inuse_objects keep='^^^keep$'
[ "$keep" = "$objects" ] || fail "$keep objects in use, not $objects"
exec 9<&-
wait "$target_pid" || fail "the target ended with status $?"
