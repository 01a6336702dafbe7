#!/bin/bash
# Proves that the daemon's death, again and again and under load, does nothing to
# targets, that a new one takes over (how soon is a figure), and that totals never go back.
. "$(dirname "$0")/../fixtures/hazard-lib.sh"

start_profd
target PROFD_RATE=4096 "$fixtures/split" 900
target_one=$target_pid
target PROFD_RATE=4096 "$fixtures/leak" 900
wait_attached "$target_pid"
last=0
slowest=0
kills=$(times 5)
for _ in $(seq "$kills"); do
	heap_of "$target_pid" alloc_space
	is "$total >= $last" || fail "totals went back: from $last to $total"
	last=$total
	# While it writes a profile: at no moment in particular.
	"$profctl" snapshot --pid "$target_pid" --output "$T" >/dev/null 2>&1 &
	asking=$!
	sleep "0.0$((RANDOM % 10))"
	kill -KILL "$profd_pid"
	wait "$profd_pid" 2>/dev/null || true
	wait "$asking" || true
	rm -f "$T"/*.pb.gz
	began=$(date +%s%N)
	start_profd
	wait_attached "$target_pid"
	took=$((($(date +%s%N) - began) / 1000000))
	[ "$took" -le "$slowest" ] || slowest=$took
	kill -0 "$target_pid" || fail "the target died"
done
kill -0 "$target_one" || fail "the other target died"
heap_of "$target_pid" alloc_space
is "$total > $last" || fail "totals stand still"
figure "$kills kills: attached again after at most $slowest ms; $total bytes allocated"
