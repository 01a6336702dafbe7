#!/bin/bash
# Proves that a target which the kernel kills for want of memory leaves its last
# heap, with names, and that the heap says who had it all.
. "$(dirname "$0")/../lib.sh"
need_root

# A memory cgroup of its own, of version 1 or 2.
group=profd-test-$$
if [ -d /sys/fs/cgroup/memory ]; then
	group=/sys/fs/cgroup/memory/$group limit=memory.limit_in_bytes
else
	group=/sys/fs/cgroup/$group limit=memory.max
fi
mkdir "$group" 2>/dev/null || skip "no memory cgroup can be made here"
at_exit+=('rmdir "$group"')
echo 100M >"$group/$limit" 2>/dev/null || skip "no memory limit can be set here"
[ ! -e "$group/memory.swap.max" ] || echo 0 >"$group/memory.swap.max"

start_profd
target_prefix=(bash -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$group")
target python3 -c '
import time
held = []
time.sleep(2)
while True:
    held.append(bytearray(100000))
'
wait_attached "$target_pid"
status=0
wait "$target_pid" || status=$?
[ "$status" = 137 ] || fail "it ended with status $status, not by SIGKILL"
last_of() { last=$(ls "$T"/state/heap_python3_"$target_pid"_*.pb.gz 2>/dev/null) && [ -n "$last" ]; }
wait_for 15 last_of || fail "no last heap"
last_of
valid "$last"
eval "$(raw "$last" inuse_space arrays=PyByteArray_Resize)"
go tool pprof -comments "$last" >"$T/comments"
grep -Eq '^last heap: .*killed' "$T/comments" || { cat "$T/comments"; fail "it does not say how it ended"; }
is "$arrays > 60e6 and $arrays > 0.8 * $total" || fail "$arrays of $total bytes are the arrays'"
figure "killed at 100 MiB: the last heap has $total bytes in use, $arrays of them in PyByteArray_Resize"
stop_profd
