#!/bin/bash
# What the daemon costs the machine at 99 Hz: CPU time and memory, with nothing
# to do and with two busy threads. Its symbolizer, which runs for a snapshot
# only, is not counted.
. "$(dirname "$0")/lib.sh"

# share: percent of one CPU that the daemon takes over ten seconds.
share()
{
	local before after

	before=$(awk '{print $1}' "/proc/$profd_pid/schedstat")
	sleep 10
	after=$(awk '{print $1}' "/proc/$profd_pid/schedstat")
	python3 -c "print('%.2f' % (($after - $before) / 1e8))"
}

start_profd
heading "The daemon, 99 Hz, over 10 s"
row "the daemon, machine as it is" "" "" "$(share)% of one CPU, $(rss_kib "$profd_pid") KiB" ""
"$fixtures/split" 12 >"$T/split.log" &
own_pids+=($!)
sleep 1
row "the daemon, two busy threads" "" "" "$(share)% of one CPU, $(rss_kib "$profd_pid") KiB" "<= 0.5%"
end_of_part
