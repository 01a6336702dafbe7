#!/bin/bash
# Proves that the client bears being interrupted anywhere by a handler that allocates
# and may never return: nothing hangs, and afterwards every allocation is sampled,
# and every free. (The allocator below it is one that bears that, too.)
. "$(dirname "$0")/../fixtures/hazard-lib.sh"

start_profd
mkfifo "$T/go"
exec 9<>"$T/go"
target_prefix=(bash -c 'exec "$@" <'"$T/go 9<&-" -)
LD_PRELOAD=$fixtures/hazard-bump "$fixtures/hazard-signals" 1 </dev/null >/dev/null ||
	fail "the fixture does not bear it by itself"
client="$client $fixtures/hazard-bump" target PROFD_RATE=1 "$fixtures/hazard-signals" "$(times 4)"
wait_said ^signals 280
heap_of "$target_pid" alloc_objects after=after_all
is "$after == 1000" || fail "of 1000 allocations after the storm $after were sampled"
heap_of "$target_pid" inuse_objects after=after_all
is "$after == 500" || fail "$after objects in use, not 500"
figure "$(tail -1 "$T/target.log"); after that 1000 of 1000 allocations sampled, 500 of 500 frees"
