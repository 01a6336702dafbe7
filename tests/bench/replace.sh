#!/bin/bash
# What the client costs a program that does nothing but replace objects: 20 million
# replacements a thread, by one thread (the C library has short cuts for a program
# of one, which the client's own thread must not cost it), by two, and by eight,
# which share what CPUs there are.
. "$(dirname "$0")/lib.sh"

start_profd
heading "A replacement of a random slot of 4096 (20M a thread; slowest thread; median of $rounds)"
while read -r threads sizes work goal; do
	turns --figure -- "$BUILD/bench/replace" "$threads" 20 "$sizes"
	row_of_figure "${work//_/ }" "$goal"
done <<END
2 small replace,_2_threads,_16..143_B <= 1.06
2 mixed replace,_2_threads,_16_B..80_KiB <= 1.12
1 small replace,_1_thread,_16..143_B <= 1.08
1 mixed replace,_1_thread,_16_B..80_KiB <= 1.13
8 small replace,_8_threads,_16..143_B as 2 threads
8 mixed replace,_8_threads,_16_B..80_KiB as 2 threads
END
end_of_part
