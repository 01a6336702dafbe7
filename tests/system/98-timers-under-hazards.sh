#!/bin/bash
# Proves that a program bears being sampled by its own timers, a thousand times a
# second, where profilers kill programs: no descriptor of ours (1), a filter that kills
# (2), forks among threads (3), handlers that allocate and jump out (22), the smallest
# stacks, of which a sample takes 1 KiB at most (24), a thousand threads, and thousands
# one after the other. Its heap is counted to the byte meanwhile; and where no timer
# is to be had, it runs on, and the profile says so.
. "$(dirname "$0")/../fixtures/hazard-lib.sh"
unset PROFD_SOCKET
cd "$T"

# sampled [NAME=VALUE..] COMMAND..: its output in $T/out, its input from $T/in.
: >"$T/in"
sampled()
{
	local status=0

	rm -f "$T"/*.pb.gz
	timeout -k 1 400 "$profctl" run --event timers -F 1000 --rate "${rate:-1000}" \
		--cpu "$T/cpu.pb.gz" --heap "$T/heap.pb.gz" -- env "$@" \
		<"$T/in" >"$T/out" 2>"$T/err" || status=$?
	[ $status = 0 ] || { tail -n 5 "$T/out" "$T/err" >&2; fail "status $status of $*"; }
	eval "$(raw "$T/cpu.pb.gz" samples)"
	figure "$total samples; $(tail -1 "$T/out")"
	is "$total >= ${least:-50}" || fail "$total samples: nothing was proved"
	pprof -comments "$T/cpu.pb.gz" >"$T/comments"
}

mkdir "$T/files"
echo >"$T/in"
sampled "$fixtures/hazard-descriptors" "$T/files" "$(times 600000)"
[ "$(tail -1 "$T/out")" = "foreign bytes 0, descriptors 15, children with others 0" ] ||
	fail "something of ours was there"
: >"$T/in"

sampled "$fixtures/hazard-fork" "$(times 250)"
grep -q 'hung 0 died 0' "$T/out" || fail "forks: $(cat "$T/out")"

# Sampled until it confines itself, and then no more: not even rt_sigreturn is allowed.
least=0 sampled "$fixtures/hazard-seccomp" "$(times 300000)"
tail -1 "$T/out" | grep done >/dev/null || fail "killed by its filter"
grep -q "1 processes set a system call filter" "$T/comments" || fail "the profile does not say so"

sampled LD_PRELOAD="$client $fixtures/hazard-bump" "$fixtures/hazard-signals" 4

# Coroutines end in a frame that nothing describes: only their own part counts.
sampled "$fixtures/timers-stacks" 50
ours=$(sed 's/ours //' "$T/out")
is "0 < $ours <= 1024" || fail "$ours bytes of stack are ours"
for function in coroutine thread on_signal; do
	eval "$(raw "$T/cpu.pb.gz" samples part="^$function$" total=.)"
	is "$part >= 20" || fail "on the small stacks of $function() $part samples were taken"
done

rate=1 sampled "$fixtures/timers" heap
eval "$(raw "$T/heap.pb.gz" inuse_space all='^allocate$')"
[ "$all" = 0 ] || fail "$all bytes in use, although all was freed"
eval "$(raw "$T/heap.pb.gz" alloc_objects all='^allocate$')"
[ "$all" = 4000000 ] || fail "$all allocations, not 4000000"

sampled "$fixtures/timers" many 1000 3
grep -q "had no timer" "$T/comments" && fail "threads without a timer: $(cat "$T/comments")"
# A timer that outlived its thread would be one of the user's, and run out.
sampled prlimit --sigpending=3000 "$fixtures/timers" churn 6000 0.2
grep -q "had no timer" "$T/comments" && fail "timers were not given back: $(cat "$T/comments")"
least=0 sampled prlimit --sigpending=0 "$fixtures/timers" burn 3 100
grep -q "^4 threads had no timer" "$T/comments" || fail "no timers, and nothing said: $(cat "$T/comments")"
