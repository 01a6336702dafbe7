#!/bin/bash
# Proves that a fork in the middle of other threads' allocations leaves a child that
# can allocate, start threads and end.
. "$(dirname "$0")/../fixtures/hazard-lib.sh"

start_profd
for rate in 1 4096; do
	limit=400 survives env PROFD_RATE=$rate "$fixtures/hazard-fork" "$(times 250)"
	figure "at rate $rate: $(cat "$T/under")"
done
"$profctl" status >/dev/null || fail "the daemon does not answer"
