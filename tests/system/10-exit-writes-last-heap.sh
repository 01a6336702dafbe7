#!/bin/bash
# Proves that the death of a target loses nothing: killed with -9, and ended by
# itself, its last heap is written, with names, and says how it ended.
. "$(dirname "$0")/../lib.sh"

start_profd
last_of()
{
	last=$(ls "$T"/state/heap_*_"$1"_*.pb.gz 2>/dev/null | tail -1)
	[ -n "$last" ]
}

target "$fixtures/leak" 60
killed=$target_pid
wait_attached "$killed"
sleep 1.5
kill -KILL "$killed"
wait_for 15 last_of "$killed" || { ls -l "$T/state"; fail "no last heap after kill -9"; }
last_of "$killed"
valid "$last"
eval "$(raw "$last" inuse_space leak=open_session)"
figure "after kill -9: $total bytes in use, $leak of them in open_session"
is "$leak > 0.5 * $total > 0" || fail "the leak is not in it, or has no name"
go tool pprof -top "$last" >"$T/top" 2>&1
grep -Eiq 'killed|ended|exit' <(go tool pprof -raw -comments "$last" 2>/dev/null; go tool pprof -comments "$last") ||
	{ go tool pprof -comments "$last"; fail "it does not say how its process ended"; }

target "$fixtures/leak" 2
ended=$target_pid
wait_attached "$ended"
wait "$ended"
wait_for 15 last_of "$ended" || { ls -l "$T/state"; fail "no last heap after an ordinary end"; }
last_of "$ended"
valid "$last"
go tool pprof -comments "$last"
stop_profd
