#!/bin/bash
# Proves who sees what of the CPU's samples: an ordinary user those of programs of
# their own and no others, also if a pid was another user's before, if a program of
# theirs is setuid, has called exec or forbidden to be looked into; no kernel frames;
# and nothing of theirs goes into the state directory.
. "$(dirname "$0")/../lib.sh"
need_root
for_everyone
for name in short-burn short-other same-pid; do cp "$BUILD/fixtures/$name" "$T/bin"; done
chmod a+rx "$T/bin"/*
start_profd
grep -q '^cpu *off' <("$profctl" status) && skip "no CPU sampling here"
uid=$((1000000 + $$)) # that nobody else has on this machine
nobody=(setpriv --reuid "$uid" --regid "$uid" --clear-groups env "PROFD_SOCKET=$PROFD_SOCKET")
mkdir -m 777 "$T/theirs"
theirs() { "${nobody[@]}" "$profctl" snapshot --type cpu --output "$T/theirs" "$@"; }
leaves() { python3 "$root/tests/leaves.py" "$1"; }
# leaves.py: count, pid, comm, ..., the file, the function
count() { leaves "$1" | awk -F'\t' -v f="$2" '$7 == f { n += $1 } END { print n + 0 }'; }
# profctl is theirs as well.
strangers() { leaves "$1" | awk -F'\t' -v pid="$2" '$2 != pid && $3 != "profctl" { n += $1 } END { print n + 0 }'; }

echo "- a pid that was another user's before"
"$T/bin/same-pid" "$((uid + 1))" "$T/bin/short-burn" 700 "$uid" "$T/bin/short-other" 60000 >"$T/pid" 2>"$T/same.err" &
own_pids+=($!)
wait_for 20 test -s "$T/pid" || { cat "$T/same.err" >&2; skip "pids cannot be chosen here"; }
pid=$(cat "$T/pid")
own_pids+=("$pid")
burning() { [ "$(count "$(theirs --pid "$pid")" burn_in_that)" -gt 20 ]; }
wait_for 20 burning || fail "no samples of their own process"
file=$(theirs --pid "$pid")
all=$("$profctl" snapshot --type cpu --pid "$pid")
valid "$file" "$all"
figure "one pid, two users: the owner sees $(count "$file" burn_in_that) samples of theirs and" \
	"$(count "$file" burn_in_this) of the other's, root $(count "$all" burn_in_that) and" \
	"$(count "$all" burn_in_this)"
is "$(count "$all" burn_in_this) > 20" || fail "nothing of the first process: nothing is proven"
[ "$(count "$file" burn_in_this)" = 0 ] || fail "another user's samples"

echo "- the whole machine: their own, without the kernel"
file=$(theirs --all)
valid "$file"
[ "$(strangers "$file" "$pid")" = 0 ] || { leaves "$file"; fail "other processes' samples"; }
is "$(count "$file" burn_in_that) > 20" || fail "not their own"
pprof -comments "$file" | grep "of one user's processes" >/dev/null || fail "does not say what is left out"
if [ "$(cat /proc/sys/kernel/perf_event_paranoid)" -gt 1 ] || [ "$(cat /proc/sys/kernel/kptr_restrict)" -gt 0 ]; then
	! pprof -raw "$file" | grep kallsyms || fail "kernel frames"
fi
# A series has windows of its own.
theirs --all --seconds 1s --every 1s --count 2 >"$T/series"
for file in $(cat "$T/series"); do
	[ "$(strangers "$file" "$pid")" = 0 ] || fail "other processes' samples in a series"
done

echo "- the state directory is not theirs"
before=$(ls "$T/state")
status_is 1 "${nobody[@]}" "$profctl" snapshot --type cpu --pid "$pid"
one_line 'profctl: .*--output'
[ "$(ls "$T/state")" = "$before" ] || fail "a file"

echo "- a setuid program, one that forbids it, and one that was their own before an exec"
cp "$T/bin/short-burn" "$T/bin/raised"
chmod 4755 "$T/bin/raised"
"${nobody[@]}" "$T/bin/raised" 20000 &
own_pids+=($!)
raised=$!
"${nobody[@]}" python3 -c '
import ctypes, sys
while True:
    sum(range(100000))
    if len(sys.argv) > 1: ctypes.CDLL(None).prctl(4, 0); sys.argv.pop()
' now 60 &
own_pids+=($!)
closed=$!
"${nobody[@]}" sh -c '"$0" 500; exec "$1" 20000' "$T/bin/short-other" "$T/bin/raised" &
own_pids+=($!)
turned=$!
seen() { leaves "$("$profctl" snapshot --type cpu)" | awk -F'\t' -v p="$1" '$2 == p { n += $1 } END { exit !(n > 10) }'; }
for one in "$raised" "$closed" "$turned"; do
	wait_for 20 seen "$one" || fail "no samples of $one"
done
file=$(theirs --all)
for one in "$raised" "$closed" "$turned"; do
	leaves "$file" | awk -F'\t' -v p="$one" '$2 == p && $3 != "sh" && $7 != "burn_in_that" { exit 1 }' ||
		{ leaves "$file"; fail "$one: data of a program that is not its caller's"; }
	status_is 1 "${nobody[@]}" "$profctl" snapshot --type cpu --pid "$one" --output "$T/theirs"
	one_line "profctl: .*$one.*(another user|looked into)"
done
[ "$(count "$file" burn_in_this)" = 0 ] || fail "samples of a setuid program"
stop_profd
