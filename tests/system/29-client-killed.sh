#!/bin/bash
# Proves that targets which are killed in the middle of writing their tables leave
# a last heap that is valid, every one, and disturb no other target's profiles.
. "$(dirname "$0")/../fixtures/hazard-lib.sh"

start_profd
target PROFD_RATE=4096 "$fixtures/leak" 900
other=$target_pid
wait_attached "$other"
kills=$(times 8)
killed=()
for _ in $(seq "$kills"); do
	# Without end, as its input has none.
	target_prefix=(bash -c 'exec "$@" </dev/zero' -)
	target PROFD_RATE=1 "$fixtures/churn" 3 100000000
	wait_attached "$target_pid"
	sleep "0.$((RANDOM % 10))$((RANDOM % 10))"
	kill -KILL "$target_pid"
	wait "$target_pid" 2>/dev/null || true
	killed+=("$target_pid")
	snapshot --pid "$other" --no-trim --output "$T"
done
last_of() { ls "$T"/state/heap_churn_"$1"_*.pb.gz; }
for pid in "${killed[@]}"; do
	wait_for 20 last_of "$pid" || fail "no last heap of $pid"
	valid $(last_of "$pid")
done
snapshot --pid "$other" --no-trim --output "$T"
valid "${files[@]}"
figure "last heaps of $kills that were killed while they wrote: ${#killed[@]}, all valid"
stop_profd
