#!/bin/bash
# Proves that every allocation function, C's and C++'s, answers as bare at its edges,
# whether or not the call is sampled.
. "$(dirname "$0")/../fixtures/hazard-lib.sh"

start_profd
for rate in 1 100 524288 1G; do
	export PROFD_RATE=$rate
	as_bare "$fixtures/alloc-api"
	lines=$(wc -l <"$T/under")
	as_bare "$fixtures/hazard-new"
done
export PROFD_DISABLE=1
as_bare "$fixtures/alloc-api"
as_bare "$fixtures/hazard-new"
figure "$((lines + $(wc -l <"$T/under"))) answers the same at 4 rates and disabled"
