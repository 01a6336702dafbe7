#!/bin/bash
# Proves who is shown in off-CPU time: a process that hung before anybody watched,
# with the function it hangs in; one that is killed in its wait; nobody of another
# user to an ordinary one. It needs no tracefs, and is measured only while somebody
# asks for it.
. "$(dirname "$0")/../lib.sh"
need_root
mkdir "$T/bin"
cp "$profd" "$profctl" "$client" "$T/bin"
chmod -R a+rX "$T/bin"
profd=$T/bin/profd profctl=$T/bin/profctl
cp "$BUILD/fixtures/waits" "$T/bin/hang$$"
hang=$T/bin/hang$$
nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups env "PROFD_SOCKET=$PROFD_SOCKET")

# It says so just before.
hangs_in_its_lock() { grep -q hangs "$T/said" && grep -q futex "/proc/$hanging/wchan"; }
# start_hanging [PREFIX...]: $hanging
start_hanging()
{
	rm -f "$T/said"
	"$@" "$hang" hang >"$T/said" &
	hanging=$!
	own_pids+=("$hanging")
	wait_for 10 hangs_in_its_lock || fail "it does not hang"
}
perf_events() { ls -l "/proc/$(role_pid engine)/fd" | grep -c perf_event; }

start_profd
chmod 755 "$T/run" "$T/state"
events=$(perf_events)

echo "- one that hung before"
start_hanging
began=$(date +%s%N)
snapshot --type offcpu --pid "$hanging" --seconds 2s --output "$T"
took=$(($(date +%s%N) - began))
valid "${files[0]}"
eval "$(raw "${files[0]}" offcpu where='^hang_for_ever$' main='^main$' kernel='futex')"
figure "hung: $((total / 1000000)) ms of 2000; in hang_for_ever $((where / 1000000)) ms, below main $((main / 1000000)) ms"
# 2 s were asked for, and a busy machine ends them late
is "1.8e9 <= $total <= $took + 0.5e9" || fail "$total ns in $took"
is "$where == $total and $main == $total and $kernel == $total" || { pprof -traces "${files[0]}"; fail "not where it hangs"; }
eval "$(raw "${files[0]}" waits)"
is "$total == 1" || fail "$total waits"
pprof -raw "${files[0]}" | grep "pid:\[$hanging\]" >/dev/null || fail "not labelled"
[[ $(basename "${files[0]}") == offcpu_*Z.pb.gz ]] || fail "${files[0]}"

echo "- only while somebody asks"
[ "$(perf_events)" = "$events" ] || fail "$(perf_events) events are open, not $events"
"$profctl" snapshot --type offcpu --all --seconds 60s --output "$T" >/dev/null 2>&1 &
asking=$!
own_pids+=("$asking")
more_events() { [ "$(perf_events)" -gt "$events" ]; }
same_events() { [ "$(perf_events)" = "$events" ]; }
wait_for 10 more_events || fail "nothing is measured"
kill "$asking"
wait_for 10 same_events || fail "$(perf_events) events are still open, not $events"

echo "- one that ends in its wait"
"$profctl" snapshot --type offcpu --comm "hang$$" --seconds 15s --output "$T" >"$T/path" &
asking=$!
own_pids+=("$asking")
wait_for 10 more_events || fail "nothing is measured"
first=$hanging
# Eight, as on a machine with very many switches not every wait has its stack.
for _ in 1 2 3 4 5 6 7 8; do
	start_hanging
	kill -KILL "$hanging"
	wait "$hanging" 2>/dev/null || true
done
kill -0 "$asking" || fail "it took 15 s to start and kill eight programs: nothing is proven"
wait "$asking" || fail "snapshot: status $?"
eval "$(raw "$(cat "$T/path")" waits where='^hang_for_ever$')"
figure "8 killed and one hung: $where waits in hang_for_ever, of $total"
is "2 <= $where <= $total and $total >= 6" || { pprof -traces "$(cat "$T/path")"; fail "$where waits in hang_for_ever, of $total"; }

echo "- of others nothing"
status_is 1 "${nobody[@]}" "$profctl" snapshot --type offcpu --pid "$first" --seconds 1s
one_line "profctl: .*$first.*another user"
status_is 1 "${nobody[@]}" "$profctl" snapshot --type offcpu --all --seconds 1s
one_line 'profctl: offcpu: .*--pid'
status_is 1 "${nobody[@]}" "$profctl" snapshot --type offcpu --comm "hang$$" --seconds 1s
start_hanging "${nobody[@]}"
mkdir -m 777 "$T/theirs"
"${nobody[@]}" "$profctl" snapshot --type offcpu --pid "$hanging" --seconds 1s --output "$T/theirs" >"$T/path" ||
	fail "their own: status $?"
[ "$(pprof -raw "$(cat "$T/path")" | grep -o 'pid:\[[0-9]*\]' | sort -u)" = "pid:[$hanging]" ] ||
	fail "others are in it"

echo "- what is not understood"
status_is 2 "$profctl" snapshot --type offcpu,weather
one_line weather
status_is 2 "$profctl" snapshot --type heap --seconds 2s
one_line '--seconds'
stop_profd

echo "- without tracefs"
"$root/tests/own-mounts" bash -c '
	mount -t tmpfs none /sys/kernel/tracing 2>/dev/null || mkdir -p /sys/kernel/tracing
	mount -t tmpfs none /sys/kernel/debug 2>/dev/null || true
	"$1" run --offcpu "$2/plain.pb.gz" -- "$3" 1 >"$2/truth" 2>"$2/stderr"' \
	bash "$profctl" "$T" "$hang" || { cat "$T/stderr"; fail "status $?"; }
pprof -raw "$T/plain.pb.gz" | grep 'context-switches' || fail "does not say that there was no tracepoint"
eval "$(raw "$T/plain.pb.gz" offcpu pipe='^wait_pipe$')"
is "abs($pipe - $(awk '/pipe/ { print $3 }' "$T/truth")) < 0.1 * $pipe" || fail "wait_pipe: $pipe"
