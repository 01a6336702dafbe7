#!/bin/bash
# Proves that every thread's stack can be had from outside: with its name, its state and
# what it waits in; of a program that hangs where no signal reaches it, too; and of
# another user's, nothing. The target notices nothing of it.
. "$(dirname "$0")/../lib.sh"
need_root
ways="mutex condition semaphore read sleep poll epoll"

# start_threads N|hang: $threads
start_threads()
{
	rm -f "$T/said"
	"$T/bin/threads$$" "$1" >"$T/said" &
	threads=$!
	own_pids+=("$threads")
	wait_for 20 grep -qE 'waiting|hangs' "$T/said" || fail "threads $1: does not wait"
}

for_everyone
cp "$BUILD/fixtures/many-threads" "$T/bin/threads$$"
start_profd
chmod 755 "$T/run" "$T/state"

echo "- a hundred threads, each where it waits"
start_threads 100
snapshot --type threads --pid "$threads" --output "$T"
valid "${files[0]}"
[[ $(basename "${files[0]}") == threads_*Z.pb.gz ]] || fail "${files[0]}"
for way in $ways; do
	eval "$(raw "${files[0]}" threads in="^in_$way\$")"
	expected=$(pprof -raw "${files[0]}" | grep -c "thread:\[$way\]")
	is "$in == $expected >= 14" || { pprof -traces "${files[0]}"; fail "$in of $expected threads in_$way"; }
done
is "$total == 102" || fail "$total threads"
pprof -raw "${files[0]}" >"$T/raw"
eval "$(raw "${files[0]}" threads run='^run$' whole='^enter$' rooted='^clone3?$')"
is "$run == 1" || fail "the one that runs is not in run()"
stopped=$(grep -o '[0-9]* of them stopped for it, .*' "$T/raw")
figure "100 threads and one that runs: ${stopped:-none stopped}"
# all but those in read() and epoll_wait(), which stopping might disturb
is "$whole >= 5 * 14 and $rooted >= $whole + 1" || { pprof -traces "${files[0]}"; fail "$whole stacks of 72 are whole"; }
[ "$(grep -c 'state:\[sleeping\]' "$T/raw")" = 101 ] || fail "not all sleep"
grep 'thread:\[mutex\]' "$T/raw" | grep 'wchan:\[futex' >/dev/null || fail "no wait channel"
grep -q "102 threads of 1 process," "$T/raw" || fail "does not say how many"
kill "$threads"
said_how_often() { grep -q interrupted "$T/said"; }
wait_for 10 said_how_often || fail "it does not end"
grep -qx 'interrupted 0' "$T/said" || fail "the target noticed: $(tail -1 "$T/said")"

echo "- one whose system calls are filtered is not stopped where it sleeps"
start_threads filtered
snapshot --type threads --pid "$threads" --output "$T"
pprof -raw "${files[0]}" | grep "of them stopped" >&2 && fail "stopped"
eval "$(raw "${files[0]}" threads in='^in_sleep$')"
is "$in == 1" || fail "not where it sleeps"
kill -0 "$threads" || fail "it was ended"

echo "- one that hangs where no signal reaches it"
start_threads hang
state_is_d() { grep -q '^State:.D' "/proc/$threads/status"; }
wait_for 10 state_is_d || skip "vfork's caller is not in state D here"
snapshot --type threads --pid "$threads" --output "$T"
pprof -raw "${files[0]}" >"$T/raw"
grep -q 'state:\[uninterruptible\]' "$T/raw" || fail "not its state"
eval "$(raw "${files[0]}" threads where='^(__libc_)?vfork$' kernel='kernel_clone')"
is "$total == $where == $kernel == 1" || { pprof -traces "${files[0]}"; fail "not where it hangs"; }

echo "- all programs of a name, and everybody's"
snapshot --type threads --comm "threads$$" --output "$T"
pprof -raw "${files[0]}" | grep -o '\bpid:\[[0-9]*\]' | sort -u >"$T/pids"
[ "$(wc -l <"$T/pids")" = 3 ] || fail "not both and the child of one: $(tr '\n' ' ' <"$T/pids")"
snapshot --type threads --all --output "$T"
valid "${files[0]}"
pprof -raw "${files[0]}" >"$T/raw"
grep -q "pid:\[$profd_pid\]" "$T/raw" || fail "profd itself is not there"

echo "- of others nothing"
nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups env "PROFD_SOCKET=$PROFD_SOCKET")
status_is 1 "${nobody[@]}" "$profctl" snapshot --type threads --pid "$threads"
one_line "profctl: .*$threads.*another user"
"${nobody[@]}" "$T/bin/threads$$" 7 >"$T/theirs" &
theirs=$!
own_pids+=("$theirs")
wait_for 20 grep -q waiting "$T/theirs" || fail "theirs does not wait"
mkdir -m 777 "$T/output"
"${nobody[@]}" "$profctl" snapshot --type threads --all --output "$T/output" >"$T/path"
pprof -raw "$(cat "$T/path")" | grep -o 'pid:\[[0-9]*\]' | sort -u >"$T/pids"
grep -q "pid:\[$theirs\]" "$T/pids" || fail "their own is not in it"
while IFS='[]' read -r _ pid; do
	[ ! -d "/proc/$pid" ] || [ "$(stat -c %u "/proc/$pid")" = 65534 ] || fail "process $pid is another user's"
done <"$T/pids"
