#!/bin/bash
# Proves that the daemon may come and go: after kill -9 a new one finds the tables
# of the clients that are there; their totals never go back; no descriptor of ours
# stays in a target; and a daemon at another socket leaves them alone.
. "$(dirname "$0")/../lib.sh"

cat >"$T/hold.py" <<'END'
import sys, time
kept = [bytes(1000) for _ in range(20000)]
print("ready", flush=True)
time.sleep(600)
END
mkdir "$T/out"
start_profd
target PYTHONMALLOC=malloc PROFD_RATE=4096 /usr/bin/python3 "$T/hold.py"
wait_attached "$target_pid"
ready() { grep -q ready "$T/target.log"; }
wait_for 10 ready || fail "the target did not get ready"

# What a program has open besides its standard streams, and which is ours.
ls -l "/proc/$target_pid/fd" >"$T/fds"
[ "$(ls "/proc/$target_pid/fd" | wc -l)" = 3 ] || { cat "$T/fds"; fail "descriptors in the target"; }

totals()
{
	snapshot --pid "$target_pid" --no-trim --output "$T/out"
	raw "${files[0]}" alloc_space
	raw "${files[0]}" inuse_space
}
before=$(totals)
kill -KILL "$profd_pid"
wait "$profd_pid" || true
status_is 3 "$profctl" status
sleep 0.5
kill -0 "$target_pid" || fail "the target went with its profd"
start_profd
is_attached "$target_pid" || wait_attached "$target_pid"
after=$(totals)
figure "live bytes before $(sed -n '2s/ .*//p' <<<"$before"), after $(sed -n '2s/ .*//p' <<<"$after")"
[ "$before" = "$after" ] || fail "totals changed: $before; $after"
[ "$(ls "/proc/$target_pid/fd" | wc -l)" = 3 ] || fail "descriptors in the target after the restart"

# A program that starts while there is no daemon is found, too.
kill -KILL "$profd_pid"
wait "$profd_pid" || true
target PYTHONMALLOC=malloc /usr/bin/python3 "$T/hold.py"
wait_for 10 ready || fail "the second target did not get ready"
start_profd
wait_attached "$target_pid"

# A second daemon, at a socket of its own, beside the first: it looks through the
# machine before it answers, and finds who was started for it, not the other's client.
mkdir -p "$T/beside/run" "$T/beside/state"
env PROFD_SOCKET="$T/beside/run/profd.sock" LD_PRELOAD="$client" sleep 600 &
early=$!
own_pids+=("$early")
"$profd" --foreground --runtime-dir "$T/beside/run" --state-dir "$T/beside/state" --rotate 0 >"$T/beside/log" 2>&1 &
own_pids+=($!)
beside() { json_of "$profctl" --socket "$T/beside/run/profd.sock" --json list "1 / sum(t['attached'] for t in j['targets'] if t['pid'] == $1)"; }
wait_for 30 beside "$early" || { cat "$T/beside/log"; fail "a daemon does not find the client that was started for it"; }
! beside "$target_pid" 2>"$T/beside/none" || fail "a daemon at another socket has taken the client"
is_attached "$target_pid" || fail "the client has left its profd"
stop_profd
