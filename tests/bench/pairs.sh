#!/bin/bash
# What the client costs a pair of malloc and free of an object that is used for a
# short time, and what sampling every 4 KiB adds.
. "$(dirname "$0")/lib.sh"

start_profd
heading "A pair of malloc and free (10M; median of $rounds)"
for how in "1 64" "1 4096" "2 64"; do
	read -r threads bytes <<<"$how"
	work="malloc and free, $threads thread$([ "$threads" = 1 ] || echo s), ~$bytes B"
	turns --figure -- "$BUILD/bench/pairs" "$threads" 10 "$bytes"
	row_of_figure "$work" ""
	turns --figure --with PROFD_RATE=4096 -- "$BUILD/bench/pairs" "$threads" 10 "$bytes"
	row_of_figure "$work, a sample each 4 KiB" ""
done
end_of_part
