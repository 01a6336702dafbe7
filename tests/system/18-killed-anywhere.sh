#!/bin/bash
# Proves that a kill -9 of any of profd's processes at any moment under load leaves no
# invalid file under a final name and nothing else in the state directory, disturbs
# no target, makes no total go back, and that the service is back soon. As under
# systemd, the process that was started is started again when it ends.
#
# KILLS=1000: as often.
. "$(dirname "$0")/../lib.sh"
kills=${KILLS:-12}
"$fixtures/split" 280 >/dev/null &
own_pids+=($!)
busy=$!
mkdir -p "$T/run" "$T/state" "$T/copy"

# The service manager: begins again what has ended, until $T/stop is there.
supervise()
{
	while [ ! -e "$T/stop" ]; do
		"$profd" --foreground --runtime-dir "$T/run" --state-dir "$T/state" --rotate 500ms &
		echo $! >"$T/pid"
		wait $! || true
	done
}
supervise >>"$T/profd.log" 2>&1 &
supervisor=$!
end_supervisor()
{
	touch "$T/stop"
	end_process "$(cat "$T/pid")"
	wait "$supervisor"
}
at_exit+=(end_supervisor)
wait_for 20 "$profctl" status || fail "profd did not start"
target PROFD_RATE=4096 "$fixtures/leak" 280
one=$target_pid
wait_attached "$one"

# roles: ids and roles of all processes of the service, one a line.
roles()
{
	local main=$(cat "$T/pid") pids pid
	pids="$main $(cat "/proc/$main/task/$main/children" 2>/dev/null)"
	for pid in $pids; do pids="$pids $(cat "/proc/$pid/task/$pid/children" 2>/dev/null)"; done
	for pid in $(tr ' ' '\n' <<<"$pids" | sort -un); do
		case "$(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null)" in
		*--scribe*) echo "$pid scribe" ;;
		*--engine*) echo "$pid engine" ;;
		*profd*) echo "$pid main" ;;
		esac
	done
}

python3 - "$PROFD_SOCKET" "$one" >"$T/load" 2>&1 <<'END' &
# Asks for profiles without end, whoever is there to answer.
import socket, sys, time
path, pid = sys.argv[1], int(sys.argv[2])
v = b''
while pid > 127: v += bytes([pid & 127 | 128]); pid >>= 7
body = b'\x0a\x04heap\x10' + v + bytes([pid])
while True:
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as c:
            c.settimeout(10)
            c.connect(path)
            c.send(b'\x12' + bytes([len(body)]) + body)
            while c.recv(65536) and False: pass
            time.sleep(0.01)
    except OSError:
        time.sleep(0.02)
END
own_pids+=($!)

declare -A killed=()
last=0 slowest=0 files=0
for i in $(seq "$kills"); do
	mapfile -t victims < <(roles)
	[ ${#victims[@]} -gt 0 ] || { wait_for 10 "$profctl" status || fail "not back"; continue; }
	read -r pid role <<<"${victims[i % ${#victims[@]}]}"
	sleep "0.$(printf %03d $((RANDOM % 400)))"
	began=$(date +%s%N)
	kill -KILL "$pid" 2>/dev/null || continue
	killed[$role]=$((${killed[$role]:-0} + 1))
	wait_for 30 "$profctl" status || fail "not back after the death of the $role"
	took=$((($(date +%s%N) - began) / 1000000))
	[ "$took" -le "$slowest" ] || slowest=$took
	wait_attached "$one"
	kill -0 "$one" && kill -0 "$busy" || fail "a target died with the $role"
	[ $((i % 4)) = 0 ] || continue
	path=$("$profctl" snapshot --pid "$one" --no-trim --output "$T/copy") || continue
	eval "$(raw "$path" alloc_space)"
	is "$total >= $last" || fail "totals went back: from $last to $total"
	last=$total
	rm -f "$path"
	# what is written stays whole: looked at, then let go
	find "$T/state" -type f -mmin -10 >"$T/list"
	xargs -r -a "$T/list" "$gocheck" >"$T/gocheck.log" 2>&1 || { tail -3 "$T/gocheck.log" >&2; fail "an invalid file"; }
	files=$((files + $(wc -l <"$T/list")))
	xargs -r -a "$T/list" rm -f
done
[ -z "$(find "$T/state" -mindepth 1 | grep -vE '/(heap_[A-Za-z0-9._-]+_[0-9]+|cpu)_[0-9]{8}T[0-9]{6}\.[0-9]{3}Z\.pb\.gz$')" ] ||
	{ ls -la "$T/state"; fail "something is left over"; }
wait_for 20 "$profctl" snapshot --pid "$one" --output "$T/copy" || fail "no snapshot in the end"
say=""
for role in "${!killed[@]}"; do say+="$role ${killed[$role]}, "; done
figure "killed: ${say%, }; answering again after at most $slowest ms; $files files, all valid"
is "$files > $kills / 4" || fail "only $files files: nothing is proven"
[ -n "${killed[scribe]:-}" ] || fail "no scribe was killed"
is "$slowest < 15000" || fail "it took $slowest ms"
