#!/bin/bash
# What labels add: to a thread that takes them on and off, without the client and with
# it, and to the allocations that are sampled. In instructions, which do not depend on
# what else runs: each figure is the difference of two runs that differ in length. The
# last rows are CPU time, the median of @rounds.
. "$(dirname "$0")/lib.sh"

labels=$BUILD/bench/labels

# instructions LOOP [NAME=VALUE]...: of one turn of it.
instructions()
{
	local loop=$1 n counts=()

	shift
	for n in 5000 25000; do
		counts+=("$(env PROFD_SOCKET=/nonexistent "$@" valgrind --tool=callgrind \
			--callgrind-out-file=/dev/null "$labels" "$loop" "$n" 2>&1 >/dev/null |
			sed -n 's/.*Collected : //p')")
		[ -n "${counts[-1]}" ] || fail "valgrind: $loop"
	done
	python3 -c "print(f'{(${counts[1]} - ${counts[0]}) / 20000:.0f}')"
}

# Nanoseconds of CPU time of one turn.
cpu_ns() { median_of .0f $(for _ in $(seq "$rounds"); do env PROFD_SOCKET=/nonexistent LD_PRELOAD="$client" "$labels" "$1" 1000000; done); }

heading "Labels, in instructions"
while read -r loop work; do
	row "$work" "$(instructions "$loop")" "$(instructions "$loop" LD_PRELOAD="$client")" "" ""
done <<'END'
none an empty turn of the loop
scope a scope with one label, PROFD_LABEL()
inner the same within another label
turns the same, 1,000 values in turn
set labels taken away and given back, two calls
get profd_labels_get()
END
without=$(instructions alloc LD_PRELOAD="$client")
with=$(instructions with LD_PRELOAD="$client")
row "malloc and free, not sampled: without, with four labels" "" "$without, $with" "+$((with - without))" ""
without=$(instructions alloc LD_PRELOAD="$client" PROFD_RATE=1)
with=$(instructions with LD_PRELOAD="$client" PROFD_RATE=1)
row "malloc and free, sampled: without, with four labels" "" "$without, $with" "+$((with - without))" ""
for loop in scope turns; do
	row "CPU time of $([ $loop = scope ] && echo a scope with one label || echo the same, 1,000 values in turn)" \
		"" "$(cpu_ns $loop) ns" "" ""
done
