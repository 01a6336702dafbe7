#!/bin/bash
# Proves that whichever call fails on a snapshot's way, in the engine or in the
# scribe, nobody crashes, no descriptor stays open, and the next snapshot works:
# malloc, open, write, fsync, ftruncate and linkat, the Nth of each.
#
# FAIL_MOST=0: every N; else so many of each kind, spread over all.
. "$(dirname "$0")/../lib.sh"
head -c 4096 /dev/zero >"$T/page"
export FAIL_FILE=$T/page
preloaded() { LD_PRELOAD=$fixtures/fail-calls exec "$@"; }
mkdir -p "$T/run" "$T/state"
(preloaded "$profd" --runtime-dir "$T/run" --state-dir "$T/state" --rotate 0) >"$T/profd.log" 2>&1 &
profd_pid=$!
own_pids+=("$profd_pid")
wait_for 20 "$profctl" status || fail "profd did not start"
unset FAIL_FILE
target "$fixtures/leak" 280
wait_attached "$target_pid"
python3 "$root/tests/fail-calls.py" "$PROFD_SOCKET" "$T/page" "$target_pid" "$profd_pid" "${FAIL_MOST:-12}" \
	>"$T/failed" 2>"$T/stderr" ||
	fail "$(cat "$T/stderr")"
eval "$(cat "$T/failed")"
figure "$calls calls failed: $lost snapshots were not written and said so, the scribe" \
	"began anew $restarts times, 0 crashes, $descriptors descriptors more"
is "$calls > 50" || fail "only $calls calls failed: nothing is proven"
find "$T/state" -type f | xargs -r "$gocheck" >"$T/gocheck.log" 2>&1 || { tail -3 "$T/gocheck.log" >&2; fail "a file is not valid"; }
stop_profd
