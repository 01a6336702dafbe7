#!/bin/bash
# Proves that calls leave errno, rounding and condition variables as bare, also when
# the client's tables are full.
. "$(dirname "$0")/../fixtures/hazard-lib.sh"

start_profd
calls=$(times 400000)
export PROFD_RATE=1
mkfifo "$T/go"
"$fixtures/hazard-errno" "$calls" </dev/null >"$T/bare"
cat "$T/bare"
for limit in unlimited 32768; do # the second leaves room for a small table only
	exec 9<>"$T/go"
	target_prefix=(bash -c 'ulimit -f '$limit'; exec "$@" <'"$T/go 9<&-" -)
	target "$fixtures/hazard-errno" "$calls"
	wait_said ^turn 250
	snapshot --pid "$target_pid" --no-trim --output "$T"
	go tool pprof -comments "${files[0]}" >"$T/comments"
	exec 9<&-
	wait "$target_pid" || fail "it ended with status $?"
	diff "$T/bare" "$T/target.log" || fail "not as bare, with a file-size limit of $limit"
done
grep 'is full' "$T/comments" || fail "no table was full: nothing was proved"
figure "$calls calls: $(head -1 "$T/bare"); $(grep -m1 'is full' "$T/comments")"
