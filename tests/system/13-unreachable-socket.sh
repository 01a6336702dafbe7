#!/bin/bash
# Proves that a client which cannot reach the socket, as in a container, is found
# when somebody asks for it.
. "$(dirname "$0")/../lib.sh"
need_root
start_profd
socket=$PROFD_SOCKET
PROFD_SOCKET=/nowhere/profd.sock target "$fixtures/leak" 900
PROFD_SOCKET=$socket
sleep 1.2
"$profctl" list | grep -E "^ *$target_pid .*attached" >/dev/null || { "$profctl" list; fail "not found"; }
PROFD_SOCKET=/nowhere/profd.sock target "$fixtures/leak" 900
PROFD_SOCKET=$socket
sleep 1.2
mkdir "$T/out"
snapshot --pid "$target_pid" --output "$T/out"
valid "${files[@]}"
stop_profd
