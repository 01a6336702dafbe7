#!/bin/bash
# Proves the labels of include/profd.h: what a program allocates and what CPU time it
# uses appears under the labels that its threads had then, and under no others: to the
# byte at rate 1, in nested scopes, in threads, in fork's children, and after scopes that
# an exception left; the CPU's by shares. What is refused is refused, and costs nothing
# but itself: profd's own keys, a ninth label.
. "$(dirname "$0")/../lib.sh"

labels() { python3 "$root/tests/labels.py" "$@" >"$T/labels"; }
KiB() { grep -q "^$1: $((1024 * $2))\$" "$T/labels" || { cat "$T/labels" >&2; fail "$1 has not $2 KiB"; }; }
says() { grep -q "^$1: $2\$" "$T/said" || { cat "$T/said" >&2; fail "$1 is not: $2"; }; }
only() { [ "$(wc -l <"$T/labels")" = "$1" ] || { cat "$T/labels" >&2; fail "not $1 sets"; }; }

"$fixtures/labels" heap "$T" >"$T/said" || fail "without the client: status $?"
says first 'Function not implemented'
says 'set back' 'Function not implemented'
says 'as before' yes

# 3,000 samples of 6 s: the deviation of a share is below 0.9 points where each is by chance.
start_profd --frequency 499
PROFD_RATE=1 LD_PRELOAD=$client "$fixtures/labels" heap "$T" >"$T/said" || fail "status $?"
! grep -q '^\(taken\|refused\)' "$T/said" || { cat "$T/said" >&2; fail "a label was taken or refused wrongly"; }
for what in 'long key' 'no value' 'no such set'; do says "$what" 'Invalid argument'; done
for what in first 'long value' 'set back' 'handed over' heap child; do says "$what" ok; done
says ninth 'No space left on device'
says 'as before' yes
says errno 77
valid "$T/heap" "$T/child"
labels "$T/heap" inuse_space
KiB handler=search $((200 + 60))
KiB 'handler=search tenant=a' $((300 + 50 + 800))
KiB 'handler=index tenant=a' 400
none=$(sed -n 's/^none: //p' "$T/labels") # with the stream's memory, and the threads'
is "0 <= $none - 1024 * (100 + 700 + 70) < 16384" || fail "none has $none bytes"
KiB "k1=x k2=x k3=x k4=x k5=x k6=x k7=x long=$(printf 'v%.0s' {1..127})" 80
only 5
labels "$T/child" inuse_space
KiB handler=search $((200 + 900))
KiB 'handler=search tenant=child' 1000
KiB 'handler=search tenant=a' $((300 + 50))
pprof -top -tagfocus=handler=search -tagignore=tenant -sample_index=inuse_space "$T/heap" >"$T/top" 2>&1
grep -q '^Showing nodes accounting for 260kB, ' "$T/top" || { cat "$T/top" >&2; fail "-tagfocus"; }
figure "heap at rate 1: 7 sets of labels in a program and its child, all exact"

PROFD_RATE=1 LD_PRELOAD=$client "$fixtures/labels-cxx" "$T" >"$T/said" || fail "C++: status $?"
labels "$T/heap-cxx" inuse_space
KiB 'handler=search tenant=b' 200
KiB handler=thrown 300
only 3

# share FILE NAME PERCENT: of the CPU time that carries labels or none.
share()
{
	is "abs($(sed -n "s/^$2: //p" "$1" | head -1) / $total - $3 / 100) < 0.05" || { cat "$1" >&2; fail "$2: not $3%"; }
}
# shares FILE: of labels cpu, in a profile.
shares()
{
	labels "$1" cpu
	total=$(sed 's/.*: //' "$T/labels" | paste -sd+ | bc)
	share "$T/labels" part=one 10
	share "$T/labels" 'inner=yes part=one' 20
	share "$T/labels" none 30
	share "$T/labels" part=two 40
	only 4
}
mkdir "$T/cpu" "$T/fast"
lost=$(counter labels_lost)
LD_PRELOAD=$client "$fixtures/labels" cpu 6 &
pid=$!
wait $pid || fail "cpu: status $?"
snapshot --pid $pid --type cpu --output "$T/cpu"
valid "${files[0]}"
shares "${files[0]}"
is "$(counter labels_lost) == $lost" || fail "labels of a slow program lost: $(counter labels_lost)"
figure "CPU by the kernel's samples, three threads: $(tr '\n' ' ' <"$T/labels")"
LD_PRELOAD=$client "$fixtures/labels" fast 1 || fail "fast: status $?"
snapshot --comm labels --type cpu --output "$T/fast"
is "$(counter labels_lost) > $lost" || fail "lost labels are not counted"
figure "a thread that changes labels all the time: $(($(counter labels_lost) - lost)) samples counted as without"

stop_profd

unset PROFD_SOCKET
"$profctl" run --event timers -F 499 --cpu "$T/timers" --heap "$T/timers-heap" -- "$fixtures/labels" cpu 6 2>"$T/err" ||
	{ cat "$T/err" >&2; fail "under timers: status $?"; }
valid "$T/timers"
shares "$T/timers"
figure "CPU by the program's own timers: $(tr '\n' ' ' <"$T/labels")"
