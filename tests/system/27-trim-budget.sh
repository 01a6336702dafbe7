#!/bin/bash
# Proves that a trim gives memory back, keeps to its budget, and can be done without:
# the heap beyond the budget is left alone, and the profile says so. What a trim costs
# a thread that reallocates meanwhile is recorded.
. "$(dirname "$0")/../fixtures/hazard-lib.sh"

[ "$(awk '/^MemAvailable/ { print int($2 / 1024) }' /proc/meminfo)" -ge 2500 ] ||
	skip "needs 2.5 GB of memory"
start_profd
rss() { awk '/^VmRSS/ { print $2 * 1024 }' "/proc/$target_pid/status"; }

# heap MIB OPTION...: a target with that much free; its trim's comments in $T/comments.
settings=()
heap()
{
	mkfifo "$T/go.$1"
	exec 9<>"$T/go.$1"
	target_prefix=(bash -c 'exec "$@" <'"$T/go.$1 9<&-" -)
	target "${settings[@]}" "$fixtures/hazard-trim" "$1"
	wait_said ready
	wait_attached "$target_pid"
	before=$(rss)
	threads=$(ls "/proc/$target_pid/task" | wc -l)
	snapshot --pid "$target_pid" --output "$T" "${@:2}"
	after=$(rss)
	go tool pprof -comments "${files[0]}" >"$T/comments"
	exec 9<&-
	wait "$target_pid" || fail "the target ended with status $?"
	stall=$(sed -n 's/^stall //p' "$T/target.log")
}

heap 256
figure "256 MiB free: RSS $before before, $after after; longest realloc $stall us; $(grep -m1 '^trim ' "$T/comments")"
is "$before - $after > 200e6" || { cat "$T/comments"; fail "the trim gave nothing back"; }
heap 255 --no-trim
is "$before - $after < 20e6" || fail "trimmed in spite of --no-trim"
! grep -q '^trim [0-9]* @' "$T/comments" || fail "speaks of a trim that was not wanted"
heap 1200
figure "1200 MiB free: longest realloc $stall us; $(grep -m1 trim "$T/comments")"
is "$before - $after < 20e6" || fail "trimmed in spite of the budget"
grep -q 'trim.*\(budget\|skipped\|more than\)' "$T/comments" ||
	{ cat "$T/comments"; fail "the profile does not say that the trim was left out"; }

settings=(PROFD_TRIM=0)
with=$threads
heap 254
is "$before - $after < 20e6" || fail "trimmed in spite of PROFD_TRIM=0"
[ "$threads" = $((with - 1)) ] || fail "$threads threads under PROFD_TRIM=0, $with without"
grep -q '^trim skipped.*PROFD_TRIM=0' "$T/comments" ||
	{ cat "$T/comments"; fail "the profile does not say that nothing trims"; }
figure "PROFD_TRIM=0: $threads threads instead of $with; $(grep -m1 trim "$T/comments")"
