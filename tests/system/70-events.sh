#!/bin/bash
# Proves that events count what they are called: page faults (each one) against
# the kernel's own count of a function, context switches and the scheduler's
# tracepoint against its switches, task-clock against its CPU time; that the
# sample types and the period say so; that profiles of two events do not mix; and
# that an event that cannot be had is answered by one line with those that can.
. "$(dirname "$0")/../lib.sh"
need_root

# run_event EVENT MODE NUMBER: into $T/EVENT.pb.gz; what the program said, in $said.
run_event()
{
	file=$T/${1%%:*}.pb.gz
	"$profctl" run -e "$1" --cpu "$file" -- "$fixtures/events" "$2" "$3" >"$T/said" 2>"$T/err" ||
		{ cat "$T/err" >&2; fail "run -e $1"; }
	said=$(awk '$1 != "ready" { print $2 }' "$T/said")
	valid "$file"
	raw_text=$(pprof -raw -symbolize=none "$file")
}

# has_head LINE...: the profile's head has these lines.
has_head()
{
	local line

	for line; do
		grep -qxF -- "$line" <<<"$raw_text" || { head -8 <<<"$raw_text" >&2; fail "no line: $line"; }
	done
}

run_event page-faults:period=1 faults 500
has_head "PeriodType: page-faults count" "Period: 1" "samples/count page-faults/count"
eval "$(raw "$file" page-faults touch='^touch_pages$' lost='^\[lost\]$')"
figure "page-faults:period=1: $touch in touch_pages, of $said that the kernel counted; $lost lost"
# on a machine that stands still for a while a few samples may be lost, and then it says so
is "$touch == $said or $touch < $said <= $touch + $lost" || fail "page faults: $touch, not $said"
is "$lost <= 0.1 * $said" || fail "page faults: $lost lost at 5,000 a second: the ring is drained too late"

run_event context-switches:period=1 switches 400
has_head "PeriodType: context-switches count" "Period: 1" "samples/count context-switches/count"
eval "$(raw "$file" context-switches often='^sleep_often$')"
figure "context-switches:period=1: $often in sleep_often, of $said that the kernel counted"
# one may fall between the counting and the call
is "abs($often - $said) <= 2" || fail "context switches: $often, not $said"

# Sampled at a frequency the samples stand for what lies between them: the sum of
# the periods is the number of events, less what the last period had not filled.
run_event context-switches switches 400
eval "$(raw "$file" context-switches often='^sleep_often$')"
figure "context-switches at 99 Hz: samples stand for $often in sleep_often, of $said"
is "0.5 * $said <= $often <= 1.5 * $said" || fail "context switches at a frequency: $often, not $said"

if "$profctl" run -e sched:sched_switch --cpu "$T/x.pb.gz" -- true 2>"$T/err"; then
	run_event sched:sched_switch:period=1 switches 400
	has_head "PeriodType: sched:sched_switch count" "Period: 1" "samples/count sched:sched_switch/count"
	eval "$(raw "$file" sched:sched_switch often='^sleep_often$')"
	figure "sched:sched_switch:period=1: $often in sleep_often, of $said that the kernel counted"
	is "abs($often - $said) <= 2" || fail "sched:sched_switch: $often, not $said"
else
	echo "NOT TESTED: tracepoints: $(cat "$T/err")"
fi

run_event task-clock busy 2
has_head "PeriodType: cpu nanoseconds" "Period: 10101010" "samples/count cpu/nanoseconds"
eval "$(raw "$file" cpu hog='^hog$')"
figure "task-clock: $(python3 -c "print(f'{$hog / 1e9:.2f}')") s in hog, of $said s"
is "abs($hog / 1e9 - $said) <= 0.1 * $said" || fail "task-clock"

# ---- profiles of two events
status_is 1 "$profctl" top --base "$T/page-faults.pb.gz" "$T/task-clock.pb.gz"
one_line 'has samples, page-faults, .* has samples, cpu: give two profiles of one kind and event'
status_is 1 "$profctl" top --type samples --base "$T/context-switches.pb.gz" "$T/page-faults.pb.gz"
one_line 'give two profiles of one kind'
status_is 0 "$profctl" top --base "$T/page-faults.pb.gz" "$T/page-faults.pb.gz"

# ---- events that there are not
refused()
{
	status_is 1 "$profctl" run -e "$1" --cpu "$T/no.pb.gz" -- touch "$T/ran"
	one_line "$2"
	[ ! -e "$T/ran" ] || fail "$1: the command ran although its event was refused"
}
refused page-fualts 'page-fualts: no such event; this machine has: .*cpu-clock, task-clock, page-faults'
refused cpu-clock:period=5 'the period of a clock is its frequency: use :freq=HZ'
refused nosuch:tracepoint '^profctl: event nosuch:tracepoint: '
if ! "$profctl" run -e cycles --cpu "$T/x.pb.gz" -- true 2>/dev/null; then
	refused cycles "event cycles: this machine's kernel has no such counter; it has: cpu-clock"
fi

# Without tracefs, in mounts of our own.
cat >"$T/no-tracefs" <<'END'
for at in /sys/kernel/tracing /sys/kernel/debug; do
	if [ -d $at ]; then mount -t tmpfs none $at; fi
done
exec "$@"
END
status=0
"$root/tests/own-mounts" bash "$T/no-tracefs" "$profctl" run -e sched:sched_switch --cpu "$T/no.pb.gz" \
	-- true >"$T/stdout" 2>"$T/stderr" || status=$?
if [ $status = 77 ]; then
	echo "NOT TESTED: absent tracefs: $(cat "$T/stdout")"
else
	[ $status = 1 ] || fail "without tracefs: exit status $status"
	one_line 'sched:sched_switch: tracepoints need tracefs: mount -t tracefs tracefs /sys/kernel/tracing'
fi

# ---- the daemon's settings
printf '[profd]\nevent = page-faults:period=1\n' >"$T/profd.conf"
start_profd --config "$T/profd.conf"
"$profctl" status >"$T/status"
grep -qE '^cpu +page-faults:period=1$' "$T/status" || fail "status does not name the event"
# Every fault of the whole machine is more than the rings hold on some: lost ones are
# counted, and another process's may all be there.
faults_are_seen()
{
	"$fixtures/events" faults 200 >"$T/said" &
	faults=$!
	wait $faults || fail "events"
	mapfile -t files < <("$profctl" snapshot --type cpu --pid $faults) # since the daemon began
	[ ${#files[@]} = 1 ] || return 1
	eval "$(raw "${files[0]}" page-faults touch='^touch_pages$')"
	is "$touch > 0"
}
wait_for 60 faults_are_seen || { "$profctl" status; fail "no page fault in a profile of the machine"; }
valid "${files[0]}"
figure "the daemon with event = page-faults:period=1: $touch in touch_pages, of $(awk '$1 == "faults" { print $2 }' "$T/said")"
stop_profd
