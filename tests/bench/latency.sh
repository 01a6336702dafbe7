#!/bin/bash
# How long it takes from the request to the file on disk, for a heap of 20,000 live
# samples on 2,000 stacks, without the trim: the first time, when no symbol has
# been looked up yet, and afterwards. Beside it the CPU time that daemon and
# symbolizer take for it: the rest is the start of profctl, the disk, and waiting.
. "$(dirname "$0")/lib.sh"

# request RET: adds the milliseconds of one to the array.
request()
{
	local -n ret=$1
	local begin

	begin=$(date +%s%N)
	"$profctl" snapshot --no-trim --pid "$stacks_pid" --output "$T/out" >"$T/paths"
	ret+=($((($(date +%s%N) - begin) / 1000)))
	[ -s "$(cat "$T/paths")" ] || fail "no file"
}

cpu_ms() { awk '{n += $1} END {print n / 1e6}' "${@/#//proc/}"; }

start_profd
mkdir "$T/out"
start_stacks PROFD_RATE=1 LD_PRELOAD="$client" 20000 2000 30
wait_attached "$stacks_pid"
engine=$(role_pid engine) scribe_pid=$(role_pid scribe)
heading "From the request to the file, 20,000 live samples on 2,000 stacks of 30 frames"
first=() later=()
request first
before=($(cpu_ms "$engine/schedstat") $(cpu_ms "$scribe_pid/schedstat"))
for _ in $(seq "$rounds"); do request later; done
after=($(cpu_ms "$engine/schedstat") $(cpu_ms "$scribe_pid/schedstat"))
row "heap snapshot, 20,000 live samples, the first" "" "" "$(median_of .0f "${first[0]}e-3") ms" ""
row "heap snapshot, 20,000 live samples, later" "" "" \
	"$(median_of .0f "${later[@]/%/e-3}") ms" "<= 100 ms"
python3 -c "print('  CPU of it: daemon %.1f ms, symbolizer %.1f ms' % (
	(${after[0]} - ${before[0]}) / $rounds, (${after[1]} - ${before[1]}) / $rounds))"
end_stacks
end_of_part
