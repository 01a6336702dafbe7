#!/bin/bash
# Proves that whatever allocates while threads and the program end does so as bare.
. "$(dirname "$0")/../fixtures/hazard-lib.sh"

start_profd
n=$(times 4)
for _ in $(seq "$n"); do
	for rate in 1 524288; do
		export PROFD_RATE=$rate
		as_bare "$fixtures/hazard-exit"
		as_bare "$fixtures/hazard-exit" quick
	done
done
figure "$((n * 4)) ends: $(cat <(LD_PRELOAD=$client "$fixtures/hazard-exit"))"
