#!/bin/bash
# Proves that threads which come and go leave nothing behind in the client: its
# memory does not grow with their number.
. "$(dirname "$0")/../fixtures/hazard-lib.sh"

start_profd
mkfifo "$T/go"
exec 9<>"$T/go"
target_prefix=(bash -c 'exec "$@" <'"$T/go 9<&-" -)
target PROFD_RATE=1000 "$fixtures/hazard-threads" "$(times 2000)"
# All that is not the C library's: what there is beyond its heap and its stacks.
resident() { awk '/^Rss/ { print $2 * 1024 }' "/proc/$target_pid/smaps_rollup"; }
wait_said half
first=$(resident)
echo >&9
wait_said whole 250
last=$(resident)
figure "resident after $(times 2000) threads $first, after $(times 22000) $last bytes"
is "$last - $first <= 1 << 20" || { cat "/proc/$target_pid/smaps"; fail "grew by $((last - first)) bytes"; }
exec 9<&-
wait "$target_pid" || fail "it ended with status $?"
