#!/bin/bash
# Proves that a kill -9 of any of profd's processes (keeper, starter, engine, scribe) at
# any moment under load leaves no invalid file under a final name and nothing else in
# the state directory, disturbs no target, makes no total go back, and that the service
# is back soon. In a real systemd the unit's Restart= brings it back, also when it is
# killed more often than systemd would bear by itself; where there is none, this test
# starts it anew.
#
# KILLS=1000: as often.
service_optional=1
. "$(dirname "$0")/../lib.sh"
. "$root/tests/service-lib.sh"
kills=${KILLS:-24}
batch=24
lives=$((kills * 4 + 280))

# The service manager where there is none: begins again what has ended, until $T/stop.
supervise()
{
	while [ ! -e "$T/stop" ]; do
		"$profd" --foreground --runtime-dir "$T/run" --state-dir "$T/state" --rotate 500ms &
		echo $! >"$T/pid"
		wait $! || true
	done
}
end_supervisor()
{
	touch "$T/stop"
	end_process "$(cat "$T/pid")"
	wait "$supervisor"
}

if [ -n "$ns" ]; then
	host=$("$systemd_ns" root "$ns") state=$host/var/lib/profd copies=/var/tmp/copies
	with_file() { printf '[profd]\nrotate = 500ms\n' | inside tee /etc/profd.conf >"$T/conf"; }
	with_file
	inside install -m 755 "$fixtures/leak" /usr/local/bin/leak
	inside mkdir "$copies"
	inside systemctl start profd || { journal; fail "systemctl start profd"; }
	for unit in one two; do client "$unit" --setenv=PROFD_RATE=4096 /usr/local/bin/leak "$lives"; done
	one=$(property MainPID one)
	killer=(inside python3 - /usr/bin/profctl /run/profd/profd.sock)
	roles=(keeper starter engine scribe)
	targets_live() { is_active one && is_active two && [ "$(property NRestarts one)" = 0 ]; }
else
	state=$T/state copies=$T/copies host=
	mkdir -p "$T/run" "$state" "$copies"
	supervise >>"$T/profd.log" 2>&1 &
	supervisor=$!
	at_exit+=(end_supervisor)
	wait_for 20 "$profctl" status || fail "profd did not start"
	target PROFD_RATE=4096 "$fixtures/leak" "$lives"
	two=$target_pid
	target PROFD_RATE=4096 "$fixtures/leak" "$lives"
	one=$target_pid
	killer=(python3 - "$profctl" "$PROFD_SOCKET")
	roles=(keeper starter engine scribe)
	[ "$(id -u)" = 0 ] || roles=(engine scribe)
	targets_live() { kill -0 "$one" && kill -0 "$two"; }
fi

name_form='/(heap_[A-Za-z0-9._-]+_[0-9]+|cpu)_[0-9]{8}T[0-9]{6}\.[0-9]{3}Z\.pb\.gz$'
last=0 files=0 done=0
: >"$T/times"
while [ "$done" -lt "$kills" ]; do
	n=$((kills - done < batch ? kills - done : batch))
	"${killer[@]}" "$one" "$n" "$copies" "${roles[@]}" <"$root/tests/kill-roles.py" >>"$T/times" 2>"$T/killer" ||
		{ [ -z "$ns" ] || journal; fail "$(cat "$T/killer")"; }
	done=$((done + n))
	targets_live || fail "a target died"
	for copy in "$host$copies"/*.pb.gz; do
		eval "$(raw "$copy" alloc_space)"
		is "$total >= $last" || fail "totals went back: from $last to $total"
		last=$total
		rm -f "$copy"
	done
	# what is written stays whole: looked at, then let go
	find "$state/" -mindepth 1 >"$T/list"
	! grep -vE "$name_form" "$T/list" >"$T/left" || fail "something is left over: $(head -3 "$T/left")"
	xargs -r -a "$T/list" "$gocheck" >"$T/gocheck.log" 2>&1 || { grep -v '^{' "$T/gocheck.log" | tail -3 >&2; fail "an invalid file"; }
	files=$((files + $(wc -l <"$T/list")))
	xargs -r -a "$T/list" rm -f
done
eval "$(python3 - "$T/times" <<'END'
import statistics, sys
took = {}
for role, ms in map(str.split, open(sys.argv[1])):
    took.setdefault(role, []).append(int(ms))
print('say="' + ', '.join(f'{role} {len(t)} (median {statistics.median(t):.0f} ms, at most {max(t)})'
                          for role, t in took.items()) + '"')
print('slowest=' + str(max(max(t) for t in took.values())), 'killed_roles=' + str(len(took)))
END
)"
figure "${ns:+under systemd }killed, and whole again after: $say; $files files, all valid; $last bytes allocated, never less"
[ "$killed_roles" = ${#roles[@]} ] || fail "not every role was killed"
is "$files > $kills / 4" || fail "only $files files: nothing is proven"
