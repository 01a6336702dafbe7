#!/bin/bash
# What the client adds to the start and end of a program, and to a fork.
. "$(dirname "$0")/lib.sh"

start_profd
spawn=$BUILD/bench/spawn
heading "From the start of a process to its end (median of 1,000)"
read -r bare with <<<"$("$spawn" 1000 "$client" /bin/true)"
row "start and end of /bin/true" "$bare us" "$with us" "+$((with - bare)) us" "<= +150 us"
bares=() withs=()
for _ in $(seq "$rounds"); do
	bares+=("$("$spawn" 200 fork)")
	withs+=("$(LD_PRELOAD=$client "$spawn" 200 fork)")
done
bare=$(median_of .0f "${bares[@]}") with=$(median_of .0f "${withs[@]}")
row "fork and end of the child" "$bare us" "$with us" "+$((with - bare)) us" ""
end_of_part
