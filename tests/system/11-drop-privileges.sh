#!/bin/bash
# Proves that a program under the client may change its user. The C library changes
# it in every thread, the client's too, and aborts the program if one of them may
# not; a program that kept its capabilities over the change (PR_SET_KEEPCAPS, as
# setpriv does) has kept them in its own thread only.
. "$(dirname "$0")/../lib.sh"
need_root
start_profd
env LD_PRELOAD="$client" setpriv --reuid 65534 --regid 65534 --clear-groups true ||
	fail "setpriv died with status $?"
target setpriv --reuid 65534 --regid 65534 --clear-groups "$fixtures/leak" 900
wait_attached "$target_pid"
[ "$(stat -c %u "/proc/$target_pid")" = 65534 ] || fail "it has not changed its user"
for task in "/proc/$target_pid/task"/*; do
	grep -q '^Uid:.65534.65534.65534.65534' "$task/status" || fail "$task is someone else"
	grep -q '^CapEff:.0000000000000000' "$task/status" || fail "$task has capabilities"
done
