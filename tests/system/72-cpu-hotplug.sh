#!/bin/bash
# Proves that a CPU that was switched off and on is sampled again (within 2 s, a figure),
# 20 times over, whether it was away for longer than the daemon takes to look or
# so briefly that it was never seen to be gone; and that a profile says so.
. "$(dirname "$0")/../lib.sh"
need_root

cpu=1
switch=/sys/devices/system/cpu/cpu$cpu/online
at_exit+=("echo 1 2>/dev/null >$switch")
[ -w $switch ] && echo 0 2>"$T/err" >$switch ||
	skip "NO CPU CAN BE SWITCHED OFF HERE ($switch): $(cat "$T/err" 2>/dev/null || echo absent)"
echo 1 >$switch

taken_up() { "$profctl" status | awk '$1 == "cpu_taken_up" { print $2 }'; }
ms() { echo $((${EPOCHREALTIME/./} / 1000)); }

# samples_there: of a program that has only this CPU, four seconds of CPU time long. On
# a busy machine each of 2,000 ticks is one by chance, with a deviation below 45.
samples_there()
{
	taskset -c $cpu "$fixtures/events" busy 4 >"$T/said" &
	local pid=$!
	wait $pid
	"$profctl" snapshot --type cpu --pid $pid --output "$T" >"$T/path"
	eval "$(raw "$(cat "$T/path")" samples hog='^hog$')"
	echo "$hog"
}

start_profd --frequency 499
before=$(samples_there)
is "$before > 1700" || fail "only $before samples in 4 seconds of CPU $cpu before anything happened"

slowest=0
for i in $(seq 20); do
	echo 0 >$switch
	[ $((i % 2)) = 0 ] || sleep 0.8
	echo 1 >$switch
	start=$(ms)
	until [ "$(taken_up)" = "$i" ]; do
		[ $(($(ms) - start)) -lt 60000 ] || fail "switched $i times, taken up $(taken_up) times"
		sleep 0.05
	done
	took=$(($(ms) - start))
	[ $took -le $slowest ] || slowest=$took
done
after=$(samples_there)
figure "CPU $cpu off and on 20 times: sampled again after $slowest ms at most;" \
	"$before samples of 4 seconds there before, $after after"
is "$after > 0.85 * $before" || fail "CPU $cpu is not sampled as before"

snapshot --type cpu
pprof -comments "${files[0]}" >"$T/comments"
grep -q '^20 times a CPU came back' "$T/comments" || fail "the profile does not tell"
[ "$(counter cpu_records_malformed)" = 0 ] || fail "malformed records"
stop_profd
