#!/bin/bash
# Proves that sampling goes on without a daemon: a client that started before it, or
# outlived it, tells the next one of everything, and totals never go back.
. "$(dirname "$0")/../fixtures/fork-lib.sh"

start_heap # nobody is there yet
rounds=0
last=0
allocate() { tell a counted; rounds=$((rounds + 1)); }

check()
{
	wait_attached "$heap_pid"
	sums_of "$heap_pid" alloc_objects counted='^counted$'
	[ "$counted" = $((rounds * 1000)) ] || fail "$1: $counted objects, not $((rounds * 1000))"
	is "$total >= $last" || fail "$1: the total went back from $last to $total"
	last=$total
	sums_of "$heap_pid" inuse_space counted='^counted$'
	[ "$counted" = $((rounds * 500 * 64)) ] || fail "$1: $counted bytes in use, not $((rounds * 32000))"
}

allocate
allocate
start_profd
check "started before the daemon"
for i in 1 2 3 4 5; do
	allocate # seen by nobody before this daemon goes
	if [ $((i % 2)) = 1 ]; then
		kill -KILL "$profd_pid"
		wait "$profd_pid" 2>/dev/null || true
	else
		stop_profd
	fi
	allocate
	start_profd
	check "restart $i"
	allocate
	check "after restart $i"
done
figure "5 restarts: $last objects, none missing"
