#!/bin/bash
# Proves that the difference of two snapshots is what happened in between, to the
# byte at rate 1, in all four values, for Go's pprof and for profctl top.
. "$(dirname "$0")/../fixtures/fork-lib.sh"

start_profd
start_heap
tell a counted
wait_attached "$heap_pid"
snapshot --pid "$heap_pid" --no-trim --output "$T"
first=${files[0]}
for _ in 1 2 3; do tell a counted; done
snapshot --pid "$heap_pid" --no-trim --output "$T"
second=${files[0]}
valid "$first" "$second"
# `a` makes 1,000 objects of 64 bytes and frees every other.
for wanted in alloc_objects:3000 alloc_space:192000 inuse_objects:1500 inuse_space:96000; do
	type=${wanted%:*}
	got=$(json_of "$profctl" --json top --type "$type" --base "$first" "$second" \
		"sum(f['flat'] for f in j['functions'] if f['name'] == 'counted')")
	[ "$got" = "${wanted#*:}" ] || fail "profctl: $type grew by $got, not ${wanted#*:}"
	got=$(pprof -symbolize=none -sample_index="$type" -unit=b -base "$first" -top "$second" 2>&1 |
		awk '$NF == "counted" { sub(/[Bb]$/, "", $1); print $1 }')
	[ "$got" = "${wanted#*:}" ] || fail "pprof: $type grew by $got, not ${wanted#*:}"
done
got=$(json_of "$profctl" --json top --type inuse_space --base "$second" "$second" "j['total']")
[ "$got" = 0 ] || fail "a snapshot minus itself is $got"
figure "three rounds between two snapshots: 3000 objects, 192000 bytes allocated, 1500 and 96000 in use, exactly"
stop_profd
