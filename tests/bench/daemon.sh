#!/bin/bash
# What the daemon costs the machine at 99 Hz: CPU time and memory, with nothing
# to do and with two busy threads. Its symbolizer, which runs for a snapshot
# only, is not counted.
. "$(dirname "$0")/lib.sh"

# share: percent of one CPU that the daemon takes over ten seconds, keeper and engine.
spent() { cat "/proc/$profd_pid/schedstat" "/proc/$engine/schedstat" | awk '{n += $1} END {printf "%.0f", n}'; }
share()
{
	local before after

	before=$(spent)
	sleep 10
	after=$(spent)
	python3 -c "print('%.2f' % (($after - $before) / 1e8))"
}

start_profd
engine=$(role_pid engine)
memory() { echo $(($(rss_kib "$profd_pid") + $(rss_kib "$engine"))); }
heading "The daemon, 99 Hz, over 10 s"
row "the daemon, machine as it is" "" "" "$(share)% of one CPU, $(memory) KiB" ""
"$fixtures/split" 12 >"$T/split.log" &
own_pids+=($!)
sleep 1
row "the daemon, two busy threads" "" "" "$(share)% of one CPU, $(memory) KiB" "<= 0.5%"
end_of_part
