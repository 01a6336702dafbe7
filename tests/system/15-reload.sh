#!/bin/bash
# Proves that settings change while profd runs, by SIGHUP: frequency, event, ring,
# rotation, retention and debug directories take effect at once; CPU time stays
# true over a change of frequency in the midst of a measurement, and a profile of
# another event ends where the event is changed, and says so; what needs a start is
# said; a file with a mistake changes nothing, whichever line of it is good.
. "$(dirname "$0")/../lib.sh"
. "$root/tests/debug-lib.sh"

# says FILE REGEX: go tool pprof does, of the profile.
says() { pprof -raw "$1" >"$T/text" 2>/dev/null; grep -q -- "$2" "$T/text"; }
conf() { mkdir -p "$T/profd.conf.d"; printf '[profd]\n' | cat - <(printf "$@") >"$T/profd.conf"; }
mkdir -p "$T/run" "$T/state"
conf 'frequency = 50\nrotate = 0\nkeep-files = 100\n'
"$profd" --config "$T/profd.conf" --runtime-dir "$T/run" --state-dir "$T/state" >"$T/profd.log" 2>&1 &
profd_pid=$!
own_pids+=("$profd_pid")
wait_for 20 "$profctl" status || fail "profd did not start"
"$profctl" status >"$T/status"
grep -q '^cpu  *off' "$T/status" && skip "no CPU sampling here"

more_reloads() { [ "$(counter reloads)" = $((before + 1)) ]; }
more_failures() { [ "$(counter reloads_failed)" = $((before + 1)) ]; }
reload()
{
	before=$(counter reloads)
	kill -HUP "$profd_pid"
	wait_for 10 more_reloads || fail "it was not reloaded: $(tail -1 "$T/profd.log")"
}
refused() # WHY
{
	before=$(counter reloads_failed)
	kill -HUP "$profd_pid"
	wait_for 10 more_failures || fail "it was not refused: $1"
	grep -Eq "the old settings are kept: $1" "$T/profd.log" || fail "not said: $1"
}
now() { json_of "$profctl" --json status "j['$1']"; }

# ---- frequency, in the midst of a measurement
build busy
"$T/bin/busy" &
busy=$!
own_pids+=("$busy")
ticks() { sed 's/.*) //' "/proc/$busy/stat" | awk '{print $12 + $13}'; }
wait_for 10 is "$(ticks) >= 0"
first=$(ticks)
"$profctl" snapshot --type cpu --pid "$busy" --seconds 30s >"$T/path" &
snap=$!
# Some at each frequency, however little of the CPU it has.
has_used() { [ $(($(ticks) - since)) -ge "$1" ]; }
since=$(ticks)
wait_for 20 has_used 100 || fail "it has no CPU time"
conf 'frequency = 400\nrotate = 0\nkeep-files = 100\nring = 1M\n'
reload
kill -0 "$snap" || fail "the measurement ended too soon: nothing is proven"
wait "$snap" || fail "the measurement did not live through it"
spent=$(($(ticks) - first))
file=$(cat "$T/path")
valid "$file"
[ "$(now frequency_hz)" = 400 ] || fail "another frequency: $(now frequency_hz)"
# Each sample has its own weight, 20 or 2.5 ms. `spent` begins before the measurement
# and ends after it, on a busy machine long before and after; what some dozens of
# samples estimate is off by a sixth now and then.
eval "$(raw "$file" cpu x=.)"
share=$(python3 -c "print(round($total / ($spent * 1e9 / $(getconf CLK_TCK)), 3))")
time=$total
eval "$(raw "$file" samples x=.)"
slow=$(python3 -c "print(($time - 2.5e6 * $total) / 17.5e6)")
figure "over a change from 50 to 400 Hz: $total samples, $slow of them at 50 Hz; $share of the CPU time around it"
is "$share <= 1.5 and 0 < $slow < $total and $slow == int($slow)" ||
	{ go tool pprof -raw "$file" | head -20; fail "not the CPU time"; }
says "$file" '^Comment: 1 times the frequency was changed' || fail "it does not say so"
grep -q 'settings read anew: frequency, ring$' "$T/profd.log" || fail "the journal does not say what changed"
lost=$(counter cpu_samples)
[ "$lost" -gt 100 ] || fail "the count of samples began anew: $lost"

# ---- a file with a mistake
conf 'frequency = 7\nrotate = sometimes\n'
refused "$T/profd.conf:3: rotate: sometimes: "
conf 'frequency = 7\n'
echo 'keep-file = 7' >"$T/profd.conf.d/a.conf"
refused "$T/profd.conf.d/a.conf:1: \[\]: no such section"
printf '[profd]\nkeep-file = 7\n' >"$T/profd.conf.d/a.conf"
refused "$T/profd.conf.d/a.conf:2: keep-file: no such setting"
rm "$T/profd.conf.d/a.conf"
conf 'frequency = 7\nevent = nonsense\n'
refused 'event nonsense: no such event'
mv "$T/profd.conf" "$T/away"
refused "$T/profd.conf: No such file"
[ "$(now frequency_hz)" = 400 ] || fail "a refused reload changed the frequency"

# ---- another event
event=$(now event)
"$profctl" snapshot --type cpu --pid "$busy" --seconds 600s >"$T/path" &
snap=$!
since=$(ticks)
wait_for 20 has_used 50 || fail "it has no CPU time"
conf 'event = page-faults:period=1\nrotate = 0\nkeep-files = 100\n'
SECONDS=0
reload
wait "$snap" || fail "the measurement of the other event was lost"
is "$SECONDS < 550" || fail "it went on"
file=$(cat "$T/path")
valid "$file"
says "$file" "^Comment: ends where the event was changed, from $event to page-faults" ||
	{ head "$T/text"; fail "it does not say why it ended"; }
eval "$(raw "$file" cpu x=.)"
is "$total > 0" || fail "nothing in it"
snapshot --type cpu --seconds 1s
says "${files[0]}" '^samples/count page-faults/count' || { head -20 "$T/text"; fail "not of the new event"; }
valid "${files[0]}"

# ---- debug directories, for a program whose names were looked for in vain
conf 'rotate = 0\nkeep-files = 100\n'
reload
debug_of busy "$(by_id "$T/debug" "$T/bin/busy")"
snapshot --type cpu --pid "$busy" --seconds 1s
pprof -top "${files[0]}" >"$T/top" 2>/dev/null
nameless busy
conf 'rotate = 0\nkeep-files = 100\ndebug-dir = %s/debug\n' "$T"
reload
snapshot --type cpu --pid "$busy" --seconds 1s
pprof -top "${files[0]}" >"$T/top" 2>/dev/null
named busy
[ "$(counter scribe_restarts)" = 0 ] || fail "a scribe died"

# ---- rotation and retention
conf 'rotate = 500ms\nkeep-files = 4\n'
reload
few() { [ "$(ls "$T/state" | wc -l)" -le 6 ] && ls "$T/state" | grep cpu_; }
written=$(counter snapshots_written)
rotated() { [ "$(counter snapshots_written)" -ge $((written + 3)) ]; }
wait_for 20 rotated || fail "no rotation"
wait_for 20 few || { ls "$T/state"; fail "more files than 4 and those being written"; }
conf 'rotate = 0\n'
reload
# Those of a round that had begun are still written, one for each client of this machine.
stands_still() { written=$(counter snapshots_written); sleep 3; [ "$(counter snapshots_written)" = "$written" ]; }
wait_for 60 stands_still || fail "it still rotates"

# ---- what needs a start; an override stays
"$profctl" status >"$T/status"
conf 'rotate = 0\nstate-dir = %s/elsewhere\n' "$T"
reload
[ "$(now state_dir)" = "$T/state" ] || fail "the command line was forgotten"
stop_profd
"$profd" --config "$T/profd.conf" --runtime-dir "$T/run" >>"$T/profd.log" 2>&1 &
profd_pid=$!
own_pids+=("$profd_pid")
wait_for 20 "$profctl" status || fail "profd did not start again"
conf 'rotate = 0\nstate-dir = %s/third\n' "$T"
reload
grep -q '^profd: state-dir: takes effect when profd is started the next time' "$T/profd.log" || fail "not said"
[ "$(now state_dir)" = "$T/elsewhere" ] || fail "the directory changed"
stop_profd

# ---- at start a mistake costs its line
conf 'frequency = 51\nrotate = sometimes\nrotate = 0\n'
"$profd" --config "$T/profd.conf" --runtime-dir "$T/run" --state-dir "$T/state" >"$T/profd.log" 2>&1 &
profd_pid=$!
own_pids+=("$profd_pid")
wait_for 20 "$profctl" status || fail "a mistake keeps it from starting"
[ "$(now frequency_hz)" = 51 ] || fail "the rest of the file does not hold"
grep -q "^profd: $T/profd.conf:3: rotate: sometimes: .*: ignored" "$T/profd.log" || fail "the mistake is not said"
stop_profd
