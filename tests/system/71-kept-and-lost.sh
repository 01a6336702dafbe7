#!/bin/bash
# Proves that no sample is lost in silence: with a ring of one page to a CPU, and
# the daemon stopped for 5 s in the middle, the samples of a profile and those
# that its frame [lost] stands for are together what was to be expected, within
# 2%. Once for one command's page faults, each of them, which the kernel counted for
# getrusage; and once for a whole machine that is kept busy, sampled by the clock,
# where it is the time of all its CPUs.
. "$(dirname "$0")/../lib.sh"
need_root
for_everyone
cp "$BUILD/fixtures/events" "$T/bin"

Hz=499

# judge NAME FILE EXPECTED
judge()
{
	valid "$2"
	eval "$(raw "$2" samples lost='^\[lost\]$')"
	figure "$(python3 -c "
k, l, e = $total - $lost, $lost, $3
print(f'$1: {k} kept + {l} lost = {k + l}, of {e:.0f} expected: {100 * (k + l) / e - 100:+.2f}%')")"
	is "$lost > 3 * $Hz" || fail "$1: hardly anything was lost: this proves nothing"
	is "abs($total - $3) <= 0.02 * $3" || fail "$1: kept and lost are not what was expected"
	pprof -comments "$2" >"$T/comments"
	grep -qE "^[0-9]+ samples lost: the kernel had no room" "$T/comments" ||
		fail "$1: the comments do not tell of the loss"
}

# stop_for SECONDS PID
stop_for()
{
	kill -STOP "$2"
	at_exit+=("kill -CONT $2 2>/dev/null")
	sleep "$1"
	kill -CONT "$2"
}

# ---- one command: each of its page faults, with its kernel's part
mv "$T/bin/profd" "$T/bin/profd.real"
printf '#!/bin/sh\nexec %s "$@" --ring 4K\n' "$T/bin/profd.real" >"$T/bin/profd"
chmod 755 "$T/bin/profd"
"$profctl" run -e page-faults:period=1 --cpu "$T/tree.pb.gz" -- \
	"$T/bin/events" faults 30000 >"$T/said" 2>"$T/err" &
ctl=$!
own_pids+=($ctl)
wait_for 20 grep -q ready "$T/said" || { cat "$T/err" >&2; fail "profctl run"; }
stop_for 5 "$(pgrep -P $ctl profd.real)"
wait $ctl || { cat "$T/err" >&2; fail "profctl run"; }
judge "page faults of one command" "$T/tree.pb.gz" "$(awk '$1 == "faults" { print $4 }' "$T/said")"
profd=$T/bin/profd.real

# ---- the whole machine
# Ticks that the host took away are not sampled, and are in no one's account.
stolen() { awk '$1 == "cpu" { print $9 }' /proc/stat; }

start_profd --frequency $Hz --ring 4K
for _ in $(seq "$(nproc)"); do
	"$T/bin/events" turns 16 >/dev/null &
	own_pids+=($!)
done
sleep 1
before=$(stolen)
"$profctl" snapshot --type cpu --seconds 8s >"$T/path" &
waits=$!
sleep 1.5
stop_for 5 "$(role_pid engine)"
wait $waits || fail "snapshot"
after=$(stolen)
file=$(cat "$T/path")
duration=$(json_of "$profctl" --json top "$file" "j['duration_ns'] / 1e9")
stolen=$(python3 -c "print(($after - $before) / $(getconf CLK_TCK))")
judge "whole machine (of it $stolen s stolen)" "$file" \
	"$(python3 -c "print(($duration * $(nproc) - $stolen) * $Hz)")"
is "$(counter cpu_samples_lost) >= $lost" || fail "status tells of less than the profile"
stop_profd
