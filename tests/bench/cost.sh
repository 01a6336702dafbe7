#!/bin/bash
# What being sampled at 99 Hz costs the programs of the machine: CPU time of the same
# work with the daemon and without, in turns. A third run shows what
# two runs without it differ by, which is what the figure cannot tell.
. "$(dirname "$0")/lib.sh"

# work: CPU time of one run on every CPU at once, in seconds.
work()
{
	python3 - "$(nproc)" "$bench/programs/json_work.py" <<'END'
import resource, subprocess, sys
runs = [subprocess.Popen([sys.executable, sys.argv[2]], stdout=subprocess.DEVNULL) for _ in range(int(sys.argv[1]))]
for run in runs:
    run.wait()
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime)
END
}

heading "What sampling the machine at 99 Hz costs its programs"
work >/dev/null
ratios=() idle=() bares=() withs=()
for _ in $(seq "$rounds"); do
	bare=$(work)
	start_profd
	with=$(work)
	stop_profd
	again=$(work)
	bares+=("$bare") withs+=("$with")
	ratios+=("$(python3 -c "print(2 * $with / ($bare + $again))")")
	idle+=("$(python3 -c "print($again / $bare)")")
done
row "python3 json on every CPU, daemon at 99 Hz" "$(median_of .3f "${bares[@]}") s" \
	"$(median_of .3f "${withs[@]}") s" "$(median_of .3f "${ratios[@]}")" "<= 1.01"
row "the same, daemon away both times" "" "" "$(median_of .3f "${idle[@]}")" "-"
start_profd
end_of_part
