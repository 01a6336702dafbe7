#!/bin/bash
# Proves that `profctl run` has CPU profiles where perf_event_open is refused, as in a
# container, and says how: by the program's own timers, with the truth of the CPU
# path (60/30/10 within 3 points, 99% of stacks to their start, the sum within 5% of
# rusage) for one thread, for four, for short ones, for forked children, for python3.
. "$(dirname "$0")/../lib.sh"
unset PROFD_SOCKET
cd "$T"
no_perf=$fixtures/no-perf
"$no_perf" true || skip "no seccomp filter can be set here"

# timed COMMAND...: under timers; $total seconds in the profile, $cpu by its own account.
timed()
{
	"$profctl" run --event timers --cpu "$T/cpu.pb.gz" -- "$@" >"$T/out" 2>"$T/err" ||
		{ cat "$T/err" >&2; fail "exit status $? of $*"; }
	eval "$(raw "$T/cpu.pb.gz" cpu)"
	total=$(python3 -c "print($total / 1e9)")
	cpu=$(sed -n 's/.*cpu //p' "$T/out")
}

# near PERCENT WHAT
near()
{
	figure "$2: $total s in the profile, $cpu s by rusage"
	is "abs($total / $cpu - 1) <= $1 / 100" || fail "$2: $total s, not $cpu s"
}

# The fallback, and what it says: one line on the terminal, the same in the file.
"$no_perf" "$profctl" run -F 199 -- "$fixtures/split" 20 >"$T/truth" 2>"$T/err"
cat "$T/truth"
said="CPU samples by the program's own timers"
grep -Eq "^profctl: $said: user stacks only; perf_event_open was refused: permission denied" "$T/err" ||
	{ cat "$T/err" >&2; fail "the terminal does not say it"; }
[ "$(grep -c timers "$T/err")" = 1 ] || fail "it is said more than once"
valid cpu_*.pb.gz heap_*.pb.gz
pprof -comments cpu_*.pb.gz >"$T/comments"
grep -q "^$said at 199 Hz: user stacks only; perf_event_open was refused: permission" "$T/comments" ||
	{ cat "$T/comments" >&2; fail "the profile does not say it"; }
eval "$(raw cpu_*.pb.gz samples a='^hot_sixty$' b='^hot_thirty$' c='^hot_ten$' \
	start='$$^(_start|_*clone3?|start_thread|libc\.so\.6\+0x[0-9a-f]+)$')"
figure "$(python3 -c "
t = $total
print(f'{t} samples: hot_sixty {100 * $a / t:.1f}%, hot_thirty {100 * $b / t:.1f}%, '
      f'hot_ten {100 * $c / t:.1f}%; {100 * $start / t:.2f}% of stacks reach their start')")"
is "$total >= 600" || fail "only $total samples"
# Within 3 points; where the machine gave it less than the 40 s of CPU time that it
# asked for, within 4.5 standard deviations of one independent sample every 16 ms.
share() { is "abs(100 * $1 / $total - $2) <= max(3, 450 * (.01 * $2 * (1 - .01 * $2) / ($total / 199 * 60)) ** .5)"; }
share "$a" 60 || fail "hot_sixty"
share "$b" 30 || fail "hot_thirty"
share "$c" 10 || fail "hot_ten"
is "$start >= 0.99 * $total" || fail "stacks that do not reach their start"

# An event that was asked for by name is not replaced by another.
status_is 1 "$no_perf" "$profctl" run --event cpu-clock --cpu "$T/no.pb.gz" -- true
one_line 'perf_event_open: permission denied'
# Where perf events are allowed nothing of this is on.
out=$("$profctl" run --output "$T" -- sh -c 'echo "cpu=$PROFD_CPU"' 2>"$T/err")
grep -q "$said" "$T/err" || [ "$out" = cpu= ] || fail "timers although perf events are allowed: $out"

timed "$fixtures/timers" burn 0 2000
near 5 "one thread"
timed "$fixtures/timers" burn 3 1000
near 5 "four threads"
timed "$fixtures/timers" many 300 10
near 10 "300 threads of 10 ms at once"
# A child that ends by _exit() does not count what the kernel had not taken yet.
timed "$fixtures/timers" fork 4 500
near 8 "four children with a thread each"
eval "$(raw "$T/cpu.pb.gz" cpu burn='^burn$')"
is "$burn >= 0.9 * $total" || fail "fork: $burn of $total in burn()"
[ "$(pprof -tags "$T/cpu.pb.gz" 2>/dev/null | sed -n '/ pid:/,/^$/p' | grep -c '%')" -ge 4 ] ||
	fail "the children are not told apart"
timed /usr/bin/python3 -c '
import resource
s = 0
for i in range(20000000): s += i
r = resource.getrusage(resource.RUSAGE_SELF)
print("cpu", r.ru_utime + r.ru_stime)'
near 5 python3
eval "$(raw "$T/cpu.pb.gz" cpu eval='_PyEval_EvalFrameDefault')"
is "$eval >= 0.8 * $total" || fail "python3: $eval of $total in the interpreter"

# What a process did before it called exec is in there, too.
timed /usr/bin/python3 -c '
import os, sys
for i in range(10000000): pass
os.execv(sys.argv[1], sys.argv[1:])' "$fixtures/timers" burn 0 300
near 8 "a program that calls another"
eval "$(raw "$T/cpu.pb.gz" cpu before='_PyEval_EvalFrameDefault' after='^burn$')"
is "$before > 1e8 and $after > 1e8" || fail "exec: $before ns before, $after after"

# A span that begins now has nothing of what was before.
timed sh -c '"$1" burn 0 1500 & sleep 0.8
	"$2" snapshot --type cpu --seconds 300ms --output "$3" >&2; wait' - "$fixtures/timers" "$profctl" "$T"
file=$(sed -n '/cpu_.*gz/{p;q}' "$T/err")
eval "$(raw "$file" cpu)"
wall=$(pprof -raw "$file" 2>/dev/null | awk '/^Duration:/ { print ($2 > 50 ? $2 / 1000 : $2) }')
figure "$total ns of one thread in a span of $wall s"
is "$total <= 1.05 * $wall * 1e9 + 5e7" || fail "$total ns of one thread in $wall s"

# --every: each file has what came since the one before; together they have it all.
mkdir "$T/every"
"$profctl" run --event timers --every 400ms --output "$T/every" -- "$fixtures/timers" burn 0 1500 \
	>"$T/out" 2>/dev/null
cpu=$(sed -n 's/.*cpu //p' "$T/out")
sum=0 n=0
for file in "$T"/every/cpu_*; do
	eval "$(raw "$file" cpu)"
	sum=$((sum + total)) n=$((n + 1))
done
# The last one is of the whole run.
sum=$(python3 -c "print(($sum - $total) / 1e9)") total=$(python3 -c "print($total / 1e9)")
near 5 "with $n files"
[ "$n" -ge 3 ] || fail "--every: $n files"
is "$sum <= $total and $sum >= 0.4 * $total" || fail "--every: $sum s in the files before the last"

# An ordinary user's run is the same.
if [ "$(id -u)" = 0 ]; then
	cp "$no_perf" "$fixtures/timers" "$T"
	for_everyone
	mkdir -m 777 "$T/nobody"
	cd "$T/nobody"
	"$T/no-perf" setpriv --reuid 65534 --regid 65534 --clear-groups env HOME=/ TMPDIR=/tmp \
		"$profctl" run -- "$T/timers" burn 1 500 >"$T/out" 2>"$T/err" ||
		{ cat "$T/err" >&2; fail "as nobody"; }
	valid cpu_*.pb.gz heap_*.pb.gz
	eval "$(raw cpu_*.pb.gz cpu)"
	cpu=$(sed -n 's/.*cpu //p' "$T/out") total=$(python3 -c "print($total / 1e9)")
	near 10 "as nobody"
fi
