#!/bin/bash
# A thousand attached processes, a hundred of them busy: a snapshot of all, the
# daemon's memory, and what it costs and how often it wakes while nobody asks for
# anything. THOUSAND=100: fewer, for a look.
. "$(dirname "$0")/lib.sh"

n=${THOUSAND:-1000}
idle_seconds=20

attached() { is "$(counter clients) >= $n"; }
switches() { awk '/^voluntary/ { print $2 }' "/proc/$profd_pid/status"; }
cpu_ns() { awk '{ print $1 }' "/proc/$profd_pid/schedstat"; }

# idle WHAT: over $idle_seconds.
idle()
{
	local cpu=$(cpu_ns) woken=$(switches)
	sleep "$idle_seconds"
	row "$1" "" "" "$(python3 -c "print('%.2f%% of a core, %.1f wake-ups a second' % (
		100 * ($(cpu_ns) - $cpu) / ($idle_seconds * 1e9), ($(switches) - $woken) / $idle_seconds))")" "$2"
}


heading "$n attached processes"
start_profd
rm -f "$T/sleepers.in"
mkfifo "$T/sleepers.in"
LD_PRELOAD=$client PROFD_RATE=4096 "$fixtures/sleeper" "$n" "$((n / 10))" <"$T/sleepers.in" >/dev/null &
own_pids+=($!)
exec 9>"$T/sleepers.in"
wait_for 120 attached || fail "only $(counter clients) attached"
row "the daemon, all attached" "" "" "$(($(rss_kib "$profd_pid") / 1024)) MiB" "<= 128 MiB"
for round in 1 2 3; do
	began=$(date +%s%N)
	"$profctl" snapshot --all --type heap >"$T/files" 2>"$T/missing" || true
	took=$((($(date +%s%N) - began) / 1000000))
	row "a snapshot of all, the ${round}. time" "" "" "$(wc -l <"$T/files") files in $took ms" "<= 10000 ms"
done
kib=$(rss_kib "$profd_pid")
for pid in $(cat "/proc/$profd_pid/task/$profd_pid/children"); do kib=$((kib + $(rss_kib "$pid"))); done
row "the daemon with its symbolizer, then" "" "" "$((kib / 1024)) MiB" "<= 128 MiB"
xargs -a "$T/files" "$gocheck" >/dev/null || fail "a file is not valid"
idle "sampling at 99 Hz, a tenth of them busy" ""
exec 9>&-
wait_for 60 is '$(counter clients) <= 1' || true
stop_profd

# Without CPU samples nothing moves but the clock.
heading "$n attached processes that sleep, no CPU samples"
PROFD_SOCKET=$T/run/profd.sock
mkdir -p "$T/run" "$T/state"
"$fixtures/no-perf" "$profd" --runtime-dir "$T/run" --state-dir "$T/state" --rotate 0 >>"$T/profd.log" 2>&1 &
profd_pid=$!
own_pids+=("$profd_pid")
wait_for 20 "$profctl" status || fail "profd did not start"
rm -f "$T/sleepers.in"
mkfifo "$T/sleepers.in"
LD_PRELOAD=$client "$fixtures/sleeper" "$n" 0 <"$T/sleepers.in" >/dev/null &
own_pids+=($!)
exec 9>"$T/sleepers.in"
wait_for 120 attached || fail "only $(counter clients) attached"
sleep 2 # their modules have been opened
idle "nothing asked for" "<= 0.1%, no wake-up without cause"

exec 9>&-
stop_profd
