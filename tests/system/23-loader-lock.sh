#!/bin/bash
# Proves that sampling takes no lock of the loader: threads allocate while another
# holds it, for certain and by chance.
. "$(dirname "$0")/../fixtures/hazard-lib.sh"

for i in $(seq "$(times 1)"); do
	survives env PROFD_RATE=1 "$fixtures/hazard-loader" "$fixtures/hazard-on-load" 300
done
figure "deadlocks: 0 in $i runs; $(cat "$T/under")"
