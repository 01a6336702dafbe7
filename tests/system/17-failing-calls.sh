#!/bin/bash
# Proves that whichever call fails on a snapshot's way, in the keeper, in the engine,
# in the scribe or in one that is just being started, nobody crashes, no descriptor
# stays open in any of them, and the next snapshot works: malloc, open, write, fsync,
# ftruncate and linkat, the Nth of each.
#
# FAIL_MOST=0: every N, an hour; else so many of each kind, spread over all.
. "$(dirname "$0")/../lib.sh"
head -c 4096 /dev/zero >"$T/page"
chmod 666 "$T/page" # the engine and the scribe are another user's
mkdir -p "$T/run" "$T/state"
most=${FAIL_MOST:-12}
target "$fixtures/leak" $((most ? 280 : 20000))
python3 "$root/tests/fail-calls.py" "$PROFD_SOCKET" "$T/page" "$target_pid" "$most" "$fixtures/fail-calls" \
	"$profd" --runtime-dir "$T/run" --state-dir "$T/state" --rotate 0 >"$T/failed" 2>"$T/profd.log" ||
	{ grep FAIL "$T/profd.log" >&2; fail "see above"; }
eval "$(cat "$T/failed")"
figure "$calls calls failed ($in): $lost snapshots were not written and said so, the scribe" \
	"began anew $restarts times, 0 crashes but $parsers of new scribes in libdw, $descriptors descriptors more"
{ grep -o '^crashed in [^:]*' "$T/profd.log" || true; } | sort | uniq -c | while read -r times where; do figure "$times $where"; done
is "$calls > 60" || fail "only $calls calls failed: nothing is proven"
find "$T/state" -type f | xargs -r "$gocheck" >"$T/gocheck.log" 2>&1 || { tail -3 "$T/gocheck.log" >&2; fail "a file is not valid"; }
