#!/bin/bash
# What the client adds to a program's resident memory: to one that sleeps, and to
# one with 10,000 live samples on 2,000 stacks of 30 frames. Most of what it adds
# to the first are pages of the library, which all programs share.
. "$(dirname "$0")/lib.sh"

private_kib() { awk '/^Private_/ {n += $2} END {print n}' "/proc/$1/smaps_rollup"; }

# resident [NAME=VALUE]... OBJECTS STACKS DEPTH: RSS and the private part of it.
resident()
{
	start_stacks "$@"
	case "$*" in *LD_PRELOAD*) wait_attached "$stacks_pid" ;; esac
	rss+=("$(rss_kib "$stacks_pid")") private+=("$(private_kib "$stacks_pid")")
	end_stacks
}

start_profd
heading "Resident memory (median of $rounds)"
while read -r objects stacks rate work goal; do
	bares=() withs=() privates=()
	for _ in $(seq "$rounds"); do
		rss=() private=()
		resident "$objects" "$stacks" 30
		resident PROFD_RATE="$rate" LD_PRELOAD="$client" "$objects" "$stacks" 30
		bares+=("${rss[0]}") withs+=("${rss[1]}") privates+=($((private[1] - private[0])))
	done
	bare=$(median_of .0f "${bares[@]}") with=$(median_of .0f "${withs[@]}")
	row "${work//_/ }" "$bare KiB" "$with KiB" \
		"+$((with - bare)) KiB (private +$(median_of .0f "${privates[@]}"))" "$goal"
done <<END
1 1 524288 resident,_a_program_that_waits
10000 2000 1 resident,_10,000_live_samples_on_2,000_stacks <= +4096 KiB
END
end_of_part
