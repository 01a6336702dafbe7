#!/bin/bash
# Proves that a client which cannot reach the socket, as in a container that does not
# have it, is found when somebody asks for it.
. "$(dirname "$0")/../lib.sh"
need_root
start_profd
# Where it runs there is nothing at the socket's path.
target_prefix=(unshare --mount sh -c "mount -t tmpfs none '$T/run' && exec \"\$@\"" -)
target "$fixtures/leak" 900
is_listed() { "$profctl" list >"$T/list" && grep -qE "^ *$target_pid .*attached" "$T/list"; }
wait_for 10 is_listed || { cat "$T/list"; fail "not found"; }
target "$fixtures/leak" 900
has_table() { grep -q profd-heap "/proc/$target_pid/maps"; }
wait_for 10 has_table || fail "the client has no table"
sleep 1.2 # the search is made once a second at most
mkdir "$T/out"
snapshot --pid "$target_pid" --output "$T/out"
valid "${files[@]}"
stop_profd
