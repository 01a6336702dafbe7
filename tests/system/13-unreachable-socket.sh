#!/bin/bash
# Proves that a client which cannot reach the socket, as in a container, is found
# when somebody asks for it.
. "$(dirname "$0")/../lib.sh"
need_root
start_profd
socket=$PROFD_SOCKET
PROFD_SOCKET=/nowhere/profd.sock target "$fixtures/leak" 900
PROFD_SOCKET=$socket
is_listed() { "$profctl" list >"$T/list" && grep -qE "^ *$target_pid .*attached" "$T/list"; }
wait_for 10 is_listed || { cat "$T/list"; fail "not found"; }
PROFD_SOCKET=/nowhere/profd.sock target "$fixtures/leak" 900
PROFD_SOCKET=$socket
has_table() { grep -q profd-heap "/proc/$target_pid/maps"; }
wait_for 10 has_table || fail "the client has no table"
sleep 1.2 # the search is made once a second at most
mkdir "$T/out"
snapshot --pid "$target_pid" --output "$T/out"
valid "${files[@]}"
stop_profd
