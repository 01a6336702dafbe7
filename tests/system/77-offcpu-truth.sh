#!/bin/bash
# Proves the truth of off-CPU time: threads that wait in nanosleep, mutex, condition
# variable, futex and pipe, for 1 ms or for 1 s, are shown with the waits and the
# time that they measured themselves, by function, within 10%; and, while another
# program switches 100,000 times a second and one stack in a hundred is kept, what
# does not depend on chance is still right: the time of each thread, and the long
# waits.
. "$(dirname "$0")/../lib.sh"
need_root
unset PROFD_SOCKET

functions=(wait_short wait_long wait_either wait_mutex wait_cond wait_pipe wait_futex)
filters=()
for f in "${functions[@]}"; do filters+=("$f=^$f\$"); done

# within TRUE SHOWN WHAT
within()
{
	is "abs($2 - $1) <= 0.1 * $1" || fail "$3: $2 are shown, $1 are true"
}

"$profctl" run --offcpu "$T/quiet.pb.gz" -- "$fixtures/waits" 6 >"$T/truth" 2>"$T/stderr" ||
	{ cat "$T/stderr"; fail "status $?"; }
valid "$T/quiet.pb.gz"
pprof -raw "$T/quiet.pb.gz" >"$T/raw"
grep -q 'offcpu/nanoseconds\[dflt\]' "$T/raw" || fail "the types"
raw "$T/quiet.pb.gz" waits "${filters[@]}" >"$T/waits"
raw "$T/quiet.pb.gz" offcpu "${filters[@]}" kernel='^^.*(nanosleep|futex|pipe|do_wait)' >"$T/ns"
kept=$(sed -n 's/.*off-CPU: \([0-9]*\) switches to waiting, \([0-9]*\) with.*/min(1, \2 \/ \1)/p' "$T/raw")
figure "$(python3 -c "print(f'{100 * $kept:.0f}')")% of the waits have their stacks"
of() { grep -o " $1=[0-9]*" "$2" | cut -d= -f2; }
while read -r f count ns; do
	within "$count" "$(of "$f" "$T/waits")" "$f, waits"
	within "$ns" "$(of "$f" "$T/ns")" "$f, ns"
	figure "$f: $(of "$f" "$T/waits") waits of $count, $(($(of "$f" "$T/ns") / 1000000)) ms of $((ns / 1000000))"
done <"$T/truth"
"$profctl" top "$T/quiet.pb.gz" >"$T/top"
sed -n '/flat%/{n;p}' "$T/top" | grep -E 'nanosleep|futex|pipe|do_wait' >/dev/null ||
	{ cat "$T/top"; fail "the first function is not one that blocks"; }
! grep -Eq ' (__)?schedule( |$)' "$T/top" || fail "the scheduler is shown"

"$fixtures/ping-pong" 9 >"$T/pairs" &
own_pids+=($!)
"$profctl" run --offcpu "$T/loud.pb.gz" -- "$fixtures/waits" 6 >"$T/truth" 2>"$T/stderr" ||
	{ cat "$T/stderr"; fail "status $?"; }
wait "${own_pids[-1]}"
valid "$T/loud.pb.gz"
pprof -raw "$T/loud.pb.gz" | grep -E '^Comment: .*(switches|lost)' || true
pprof -proto -tagfocus 'thread=^mix$' -output "$T/mix.pb.gz" "$T/loud.pb.gz" >/dev/null 2>&1
eval "$(raw "$T/mix.pb.gz" waits)"
waits=$total
eval "$(raw "$T/mix.pb.gz" offcpu "${filters[@]}" none='stack not sampled')"
mixed() { python3 -c "import sys; print(sum(int(l.split()[$1]) for l in sys.stdin if l[5:6] in 'sle'))" <"$T/truth"; }
true_ns=$(mixed 2) true_waits=$(mixed 1)
figure "beside $(cat "$T/pairs") switches a second: $((total / 1000000)) ms of $((true_ns / 1000000)) in the mixed thread, $waits waits of $true_waits; $((none / 1000000)) ms without callers"
figure "wait_long $((wait_long / 1000000)) ms of $(awk '/long/ { print int($3 / 1e6) }' "$T/truth"), wait_short $((wait_short / 1000000)) of $(awk '/short/ { print int($3 / 1e6) }' "$T/truth")"
within "$true_ns" "$total" "mixed thread, ns"
within "$true_waits" "$waits" "mixed thread, waits"
within "$(awk '/long/ { print $3 }' "$T/truth")" "$wait_long" "long waits beside many switches"
