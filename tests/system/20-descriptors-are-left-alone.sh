#!/bin/bash
# Proves that a target's descriptors are its own: one that closes all it does not
# know and opens files finds no byte of ours in them and no descriptor beside them,
# while it is profiled, trimmed, and has children.
. "$(dirname "$0")/../fixtures/hazard-lib.sh"

start_profd
mkdir "$T/files"
mkfifo "$T/go"
exec 9<>"$T/go"
target_prefix=(bash -c 'exec "$@" <'"$T/go" -)
target PROFD_RATE=1000 "$fixtures/hazard-descriptors" "$T/files" "$(times 600000)"
wait_attached "$target_pid"
wait_said ready
for _ in 1 2 3; do snapshot --pid "$target_pid" --output "$T"; done
valid "${files[@]}"
echo >&9
wait "$target_pid" || fail "the target ended with status $?"
figure "$(tail -1 "$T/target.log")"
[ "$(tail -1 "$T/target.log")" = "foreign bytes 0, descriptors 15, children with others 0" ] ||
	fail "something of ours was there"
