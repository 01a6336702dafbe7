#!/bin/bash
# Proves that a trace is true and whole: of a program whose threads measure themselves, each
# thread's running slices are its CPU time and its waiting slices cover its sleeps; no slices
# overlap and no time runs back; threads have their names, however odd, their ends are shown,
# samples and waits have the functions that they are in, and a snapshot that is taken
# meanwhile stands in it. Chrome's own trace viewer opens it and sees the same. Over HTTP the same; and an ordinary user sees their own processes
# and nobody else's.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../http-lib.sh"
need_root
start_profd
grep -q '^cpu *off' <("$profctl" status) && skip "no CPU sampling here"
# trace FILE TOLD: by the format's description; and Chrome's own viewer has no warning, and
# of each thread the same names, samples, and time.
trace()
{
	python3 "$root/tests/trace.py" "$1" >"$2" || fail "$1: no valid trace"
	node "$root/tests/chrome-trace.js" "$1" >"$T/chrome" || { cat "$T/chrome"; fail "$1: Chrome's viewer"; }
	! grep ^warning "$T/chrome" >&2 || fail "$1: Chrome's viewer warns"
	grep -q $'^odd\t0\t0$' "$T/chrome" || { grep ^odd "$T/chrome"; fail "$1: slices that Chrome's viewer puts right"; }
	[ "$(sed -n 's/^stacks\t//p' "$T/chrome")" = "$(zcat "$1" | grep -c '"sf":')" ] || fail "$1: stacks that Chrome's viewer does not find"
	python3 - "$2" "$T/chrome" <<-'END' || fail "$1: Chrome's viewer does not see what is in it"
		import sys
		def threads(path):
		    rows = (l.rstrip('\n').split('\t') for l in open(path) if l.startswith('thread\t'))
		    return {tuple(r[1:3]): r[3:] for r in rows}
		ours, chromes = map(threads, sys.argv[1:])
		assert ours.keys() == chromes.keys(), ours.keys() ^ chromes.keys()
		for key, a in ours.items():
		    b = chromes[key]
		    assert a[3:] == b[3:], (key, a, b)
		    assert all(abs(int(x) - int(y)) <= 1000 for x, y in zip(a[:3], b[:3])), (key, a, b)
	END
}
field() { awk -F'\t' -v tid="$2" -v n="$3" '$1 == "thread" && $3 == tid { print $n }' "$1"; }
no_failure() { ! kill -0 "$1" 2>/dev/null; }

# start_work [COMMAND...]: the fixture, that waits for its line; $work.
start_work()
{
	rm -f "$T/go" "$T/said"
	mkfifo "$T/go"
	chmod 666 "$T/go"
	"$@" "$fixtures/trace-work" <"$T/go" >"$T/said" &
	work=$!
	own_pids+=("$work")
	exec 9>"$T/go"
	wait_for 10 grep -q trace-work "/proc/$work/comm" || fail "no fixture"
}
tracing() { [ "$(counter traces)" -gt 0 ]; }

# trace_work FILE [COMMAND...]: a trace of the fixture, which ends when that does: however
# long it takes to get the CPU. What stands in @meanwhile runs before its end.
meanwhile=:
trace_work()
{
	local file=$1
	shift
	start_work "$@"
	get "/pid/$work/debug/pprof/trace?seconds=300.5" -m 120 9>&- &
	asking=$!
	wait_for 20 tracing || fail "no trace is under way"
	echo >&9
	wait_for 60 grep -q "^$work " "$T/said" || fail "the fixture does not end"
	$meanwhile
	exec 9>&-
	wait "$asking"
	mv "$T/body" "$file"
}

# check FILE: against what the fixture has said.
check()
{
	trace "$1" "$T/told"
	local n=0 tid cpu slept running waiting
	while read -r tid cpu slept; do
		running=$(field "$T/told" "$tid" 4) waiting=$(field "$T/told" "$tid" 5)
		[ -n "$running" ] || { cat "$T/told"; fail "thread $tid is not there"; }
		figure "$(field "$T/told" "$tid" 10): running $((running / 1000)) us of $((cpu / 1000)), waiting $((waiting / 1000)) us, $((slept / 1000)) in nanosleep"
		is "abs($running - $cpu) <= 0.03 * $cpu + 500e3" || fail "thread $tid: running $running, CPU time $cpu"
		# it may be preempted between its waking and its looking at the clock
		is "$waiting + $(field "$T/told" "$tid" 6) >= $slept * 0.9 - 1e6" || fail "thread $tid: waiting $waiting, slept $slept"
		[ "$(field "$T/told" "$tid" 8)" = 1 ] || fail "thread $tid: its end is not shown"
		n=$((n + 1))
	done <"$T/said"
	[ "$n" = 4 ] || fail "the fixture said: $(cat "$T/said")"
	for name in burner sleeper trace-work '"\\\\\\n\\ufffd</x>'; do
		cut -f10 "$T/told" | grep -xF -- "$(printf %b "$name")" >/dev/null || { cat "$T/told"; fail "no thread $name"; }
	done
	awk -F'\t' '$1 == "in" && $2 == "burn_here" { n = $3 } END { exit !(n > 4) }' "$T/told" || { cat "$T/told"; fail "samples of burn_here"; }
	# on a machine with very many switches not every wait has its stack
	zcat "$1" | grep 'waits one has its stack' >/dev/null ||
		grep -Eq '^waiting	.*nanosleep.*	[1-9]' "$T/told" || { cat "$T/told"; fail "no wait in nanosleep"; }
	grep -q $'^lost\t0\t0$' "$T/told" || { cat "$T/told"; fail "lost events"; }
	! awk -F'\t' -v pid="$work" '$1 == "thread" && $2 != pid' "$T/told" | grep . || fail "other processes"
}

echo "- of one process, up to its end"
start_http
look() { "$profctl" snapshot --type threads --pid "$work" --output "$T" >/dev/null; }
meanwhile=look
trace_work "$T/whole.json.gz"
grep -qi '^content-disposition: attachment; filename="trace"' "$T/head" || { cat "$T/head"; fail "headers"; }
check "$T/whole.json.gz"
grep -qx "snapshot	threads	$work" "$T/told" || { cat "$T/told"; fail "the snapshot is not shown"; }
is "$(awk -F'\t' '$1 == "seconds" { print $2 }' "$T/told") < 120" || fail "the end of the process did not end it"
zcat "$T/whole.json.gz" | grep 'incomplete: the process ended' >/dev/null || fail "does not say that it is incomplete"
figure "$(stat -c %s "$T/whole.json.gz") bytes, $(zcat "$T/whole.json.gz" | wc -c) of JSON"
for seconds in 0.25 1e-1; do
	got 200 "/comm/bash/debug/pprof/trace?seconds=$seconds"
	trace "$T/body" "$T/told"
	# a busy machine comes late, never early
	is "$(awk -F'\t' '$1 == "seconds" { print $2 }' "$T/told") - $seconds >= 0" || fail "seconds=$seconds"
done

echo "- of the machine, into the state directory; a process that comes and goes"
"$profctl" snapshot --type trace --seconds 2s >"$T/path" &
snapshot=$!
own_pids+=("$snapshot")
while kill -0 "$snapshot" 2>/dev/null; do sleep 0.3; done
wait "$snapshot" || fail "no trace"
file=$(cat "$T/path")
[[ $file == "$T"/state/trace_*Z.json.gz ]] || fail "its name: $file"
trace "$file" "$T/told"
grep -P '^thread\t.*\t1\tsleep\tsleep$' "$T/told" >"$T/brief" || { grep ^thread "$T/told"; fail "no process that came and went"; }
is "$(cut -f5 "$T/brief" | sort -n | tail -1) > 250e6" || { cat "$T/brief"; fail "none waited for 300 ms"; }
figure "Chrome's trace viewer: no warning, $(grep -c ^thread "$T/chrome") threads, $(sed -n 's/^stacks\t//p' "$T/chrome") stacks"
figure "the machine: $(grep -c ^thread "$T/told") threads in $(zcat "$file" | wc -c) bytes"

echo "- an ordinary user"
for_everyone
cp "$http" "$T/bin"
http=$T/bin/profd-http
cp "$BUILD/fixtures/trace-work" "$T/bin"
fixtures=$T/bin
uid=$((1000000 + $$)) # that nobody else has on this machine
nobody=(setpriv --reuid "$uid" --regid "$uid" --clear-groups env "PROFD_SOCKET=$PROFD_SOCKET")
mkdir -m 777 "$T/theirs"
status_is 1 "${nobody[@]}" "$profctl" snapshot --type trace --seconds 100ms --output "$T/theirs"
one_line 'profctl: .*--pid'
status_is 1 "${nobody[@]}" "$profctl" snapshot --type trace --seconds 100ms --pid $$ --output "$T/theirs"
one_line 'profctl: .*belongs to another user'
[ -z "$(ls "$T/theirs")" ] || fail "a file"
http_prefix=("${nobody[@]}")
start_http
meanwhile=whole_machine
whole_machine() { "$profctl" snapshot --type cpu --output "$T" >/dev/null; }
trace_work "$T/theirs.json.gz" "${nobody[@]}"
check "$T/theirs.json.gz"
! grep ^snapshot "$T/told" || fail "a snapshot of the machine is shown"
if [ "$(cat /proc/sys/kernel/perf_event_paranoid)" -gt 1 ] || [ "$(cat /proc/sys/kernel/kptr_restrict)" -gt 0 ]; then
	! zcat "$T/theirs.json.gz" | grep kallsyms || fail "kernel frames"
fi
