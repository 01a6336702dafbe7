#!/bin/bash
# Proves that a target with next to no descriptors, address space, file size or locked
# memory lives on as if there were no client, and is profiled where there is room.
. "$(dirname "$0")/../fixtures/hazard-lib.sh"

start_profd
export PROFD_RATE=1000
program=$fixtures/hazard-new
for limit in '-n 5' '-n 4' '-v 65536' '-v 16384' '-f 0' '-l 0' '-s 128' '-d 8192' '-i 0' '-u 1'; do
	# glibc needs some; what cannot start bare proves nothing.
	bash -c "ulimit $limit; exec $program" >/dev/null 2>&1 || { echo "bare: not with $limit"; continue; }
	as_bare bash -c "ulimit $limit; exec $program"
	tried+=("$limit")
done
[ ${#tried[@]} -ge 6 ] || fail "only these could be tried: ${tried[*]}"
# Under a small address space it is still profiled, with a smaller table.
target_prefix=(bash -c 'ulimit -n 5 -v 65536; exec "$@"' -)
target "$fixtures/leak" 900
wait_attached "$target_pid"
heap_of "$target_pid" alloc_space
is "$total > 1e6" || fail "nothing was sampled with 5 descriptors and 64 MiB"
figure "as bare with: ${tried[*]}; profiled with -n 5 -v 65536: $total bytes"
