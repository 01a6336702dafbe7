#!/bin/bash
# What the client adds to locks: while nobody asks for block and mutex profiles, and
# while they are measured. Beside the times, the instructions of a pair, which do not
# depend on what else runs.
. "$(dirname "$0")/lib.sh"

start_profd
locks=$BUILD/bench/locks
measured=(--with PROFD_BLOCK=20000 --with PROFD_MUTEX=1)

# Instructions of a pair: of two runs of different lengths, the difference.
instructions()
{
	local n counts=()

	for n in 0.01 0.11; do
		counts+=("$(env "$@" valgrind --tool=callgrind --callgrind-out-file=/dev/null \
			"$locks" free 1 "$n" 2>&1 >/dev/null | sed -n 's/.*Collected : //p')")
	done
	python3 -c "print(f'{(${counts[1]} - ${counts[0]}) / 1e5:.1f}')"
}

heading "A pair of lock and unlock (median of $rounds)"
while read -r how threads millions goal work; do
	turns --figure -- "$locks" "$how" "$threads" "$millions"
	row_of_figure "$work" "$goal"
	turns --figure "${measured[@]}" -- "$locks" "$how" "$threads" "$millions"
	row_of_figure "$work, measured" "$goal"
done <<'END'
single 1 20 <=1.10 free mutex, program without threads
free 1 20 <=1.10 free mutex, 1 thread
free 2 20 <=1.10 free mutexes, 2 threads
shared 2 1 <=1.05 one mutex, 2 threads
shared 8 0.2 <=1.05 one mutex, 8 threads
END
bare=$(instructions PROFD_SOCKET=/nonexistent)
off=$(instructions LD_PRELOAD="$client")
on=$(instructions LD_PRELOAD="$client" PROFD_BLOCK=20000 PROFD_MUTEX=1)
row "instructions of a pair, free" "$bare" "$off" "+$(python3 -c "print(f'{$off - $bare:.1f}')")" ""
row "instructions of a pair, free, measured" "$bare" "$on" "+$(python3 -c "print(f'{$on - $bare:.1f}')")" ""
end_of_part
