#!/bin/bash
# Proves that the daemon may come and go: after kill -9 a new one finds the tables
# of the clients that are there; their totals never go back; and no descriptor of
# ours stays in a target.
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
stop_profd
