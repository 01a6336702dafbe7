#!/bin/bash
# Proves that the violent death of a target loses nothing: after SIGKILL and after
# a crash its last heap is there, with names, and says how it ended.
. "$(dirname "$0")/../lib.sh"

start_profd
last_of()
{
	last=$(ls "$T"/state/heap_leak_"$1"_*.pb.gz 2>/dev/null | tail -1)
	[ -n "$last" ]
}

for signal in KILL SEGV; do
	target "$fixtures/leak" 900
	wait_attached "$target_pid"
	has_leaked() { is "$(inuse_of "$target_pid") > 45e6"; } # while it fills its cache, 41 MB
	wait_for 60 has_leaked || fail "it does not leak"
	kill -$signal "$target_pid"
	wait "$target_pid" 2>/dev/null || true
	wait_for 15 last_of "$target_pid" || { ls -l "$T/state"; fail "no last heap after SIG$signal"; }
	last_of "$target_pid"
	valid "$last"
	eval "$(raw "$last" inuse_space leak=open_session)"
	figure "after SIG$signal: $total bytes in use, $leak of them in open_session"
	is "$total > 1e6 and $leak > 0" || fail "the leak is not in it, or has no name"
	go tool pprof -comments "$last" >"$T/comments"
	grep -Eq '^last heap: .*killed' "$T/comments" ||
		{ cat "$T/comments"; fail "it does not say how its process ended"; }
	! is_attached "$target_pid" 2>/dev/null || fail "still listed"
done
stop_profd
