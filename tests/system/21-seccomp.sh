#!/bin/bash
# Proves that after its start the client makes no system call that allocating and
# threads do not make anyhow: a target whose filter kills it for any other one
# lives, samples everything, and answers profd.
. "$(dirname "$0")/../fixtures/hazard-lib.sh"

count=$(times 300000)
"$fixtures/hazard-seccomp" "$count" </dev/null >"$T/bare" || skip "no seccomp filter can be set here"
start_profd
mkfifo "$T/go"
exec 9<>"$T/go"
target_prefix=(bash -c 'exec "$@" <'"$T/go 9<&-" -)
target PROFD_RATE=1 "$fixtures/hazard-seccomp" "$count"
wait_said ready
said '^child ended with 0$' || { cat "$T/target.log"; fail "its child was killed"; }
kill -0 "$target_pid" || fail "killed"
heap_of "$target_pid" alloc_objects all='^allocate$'
figure "$all allocations sampled under a filter that kills"
is "$all == $count" || fail "$all allocations recorded, of $count"
snapshot --pid "$target_pid" --output "$T"
exec 9<&-
wait "$target_pid" || fail "killed: status $?"
said done || fail "it did not come to its end"
