#!/bin/bash
# Proves what happens when something is wrong: one clear line on standard error,
# the right exit status, nothing half written, and nobody else notices.
. "$(dirname "$0")/../lib.sh"
need_root
for_everyone
mkdir "$T/out"
nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups env "PROFD_SOCKET=$PROFD_SOCKET")
nothing_written() { [ -z "$(ls -A "$T/out")" ] || fail "half written: $(ls -A "$T/out")"; }

echo "- no daemon"
for command in status list "snapshot --output $T/out"; do
	status_is 3 "$profctl" $command
	one_line 'profctl: .*start.*'
done

# Descriptors that were passed to another process, of which a shell's environment tells.
LISTEN_PID=1 LISTEN_FDS=40 LISTEN_FDNAMES=other start_profd
chmod 755 "$T/run" "$T/state"
# Under a name that nobody else's program has, for profd sees the whole machine.
mine=leak$$
cp "$fixtures/leak" "$T/$mine"
target "$T/$mine" 900
victim=$target_pid
wait_attached "$victim"

echo "- a pid that no process has"
status_is 1 "$profctl" snapshot --pid 4194300 --output "$T/out"
one_line 'profctl: .*4194300'
echo "- a pid without the client"
status_is 1 "$profctl" snapshot --pid $$ --output "$T/out"
one_line "profctl: .*$$"
echo "- a pid of someone else"
status_is 1 "${nobody[@]}" "$profctl" snapshot --pid "$victim"
one_line "profctl: .*$victim"
echo "- a stranger sees nobody else's targets"
[ "$("${nobody[@]}" "$profctl" --json list | python3 -c \
	'import json, sys; print(len(json.load(sys.stdin)["targets"]))')" = 0 ] || fail "list shows them"

echo "- types, durations, numbers, options that do not exist"
status_is 2 "$profctl" snapshot --type heap,weather
one_line 'weather'
status_is 2 "$profctl" snapshot --every '5 parsecs' --count 2
one_line '5 parsecs'
status_is 2 "$profctl" snapshot --pid twelve
one_line 'twelve'
for command in frobnicate "snapshot --frobnicate"; do
	status_is 2 "$profctl" $command
	one_line 'frobnicate'
done
status_is 2 "$profctl" run
[ -s "$T/stderr" ] || fail "run without a command: silence"
status_is 1 "$profctl" top "$T/profd.log"
one_line 'profd.log'
status_is 1 "$profctl" top "$T/no-such-file"
one_line 'no-such-file'

echo "- an output directory that is none, or closed"
status_is 1 "$profctl" snapshot --pid "$victim" --output "$T/nowhere"
one_line 'nowhere'
mkdir -m 700 "$T/closed"
target_prefix=("${nobody[@]}")
target "$T/$mine" 900
theirs=$target_pid
wait_attached "$theirs"
status_is 1 "${nobody[@]}" "$profctl" snapshot --pid "$theirs" --output "$T/closed"
one_line 'closed'
nothing_written

echo "- a full disk"
"$root/tests/own-mounts" bash -c '
	mount -t tmpfs -o size=1M,mode=755 full "$1/out" || exit 77
	head -c 2M /dev/zero >"$1/out/ballast" 2>/dev/null
	"$2" snapshot --pid "$3" --output "$1/out" >"$1/full.out" 2>"$1/full.err"
	echo $? >"$1/full.status"
	ls "$1/out" >"$1/full.ls"' bash "$T" "$profctl" "$victim"
cp "$T/full.err" "$T/stderr"
[ "$(cat "$T/full.status")" = 1 ] || fail "full disk: exit status $(cat "$T/full.status")"
one_line 'No space left'
[ "$(cat "$T/full.ls")" = ballast ] || fail "full disk: half written: $(cat "$T/full.ls")"
status_is 0 "$profctl" snapshot --pid "$victim" --output "$T/out"
rm -f "$T"/out/*

echo "- a target that ends between the snapshots of a series"
"$profctl" snapshot --comm "$mine" --every 2s --count 2 --output "$T/out" >"$T/series.out" 2>"$T/stderr" &
series=$!
own_pids+=("$series")
two_files() { [ "$(ls "$T/out" | wc -l)" -ge 2 ]; }
wait_for 15 two_files ||
	fail "the first round did not come"
end_process "$theirs"
status=0
wait "$series" || status=$?
[ $status = 1 ] || fail "something is missing, but exit status $status"
grep -q "$theirs" "$T/stderr" || { cat "$T/stderr"; fail "not said which one is missing"; }
[ "$(wc -l <"$T/stderr")" = 1 ] || { cat "$T/stderr"; fail "more than one line"; }
[ "$(grep -c "_${victim}_" "$T/series.out")" = 2 ] || fail "the other one's files are missing"
valid "$T"/out/*

echo "- malformed messages"
before=$(counter messages_malformed)
rm -f "$T"/out/*
"$profctl" snapshot --pid "$victim" --every 1s --count 4 --output "$T/out" >"$T/series.out" &
series=$!
own_pids+=("$series")
dropped=$(python3 - "$PROFD_SOCKET" <<'END'
import random, socket, sys
dropped = 0
packets = [b'\xff' * 64, b'\x0a', random.Random(1).randbytes(4000),
           b'\x0a\xff\xff\xff\xff\x0f', b'\x12\x84\x80\x80\x80\x10' + b'a' * 30,
           b'A' * 65000, b'\x1a\x00' * 35000]
for packet in packets:
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.settimeout(5)
    s.connect(sys.argv[1])
    s.send(packet)
    try:
        while s.recv(65536):
            pass
        dropped += 1
    except ConnectionResetError:
        dropped += 1
    s.close()
# Silence, and leaving at once, are no offence.
silent = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
silent.connect(sys.argv[1])
socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).connect(sys.argv[1])
print(dropped)
END
) || fail "a peer with a malformed message was not dropped"
after=$(counter messages_malformed)
is "$dropped == 7" || fail "$dropped of 7 peers were dropped"
is "$after - $before == 7" || fail "counted $((after - before)) of 7 malformed messages"
twice=$("$profctl" status | awk 'NF > 2 && $2 ~ /^[0-9]+$/ { print $1 }' | sort | uniq -d)
[ -z "$twice" ] || fail "status counts twice:" $twice
figure "$dropped peers dropped, $((after - before)) messages counted as malformed"
wait "$series" || fail "another one's series suffered"
[ "$(wc -l <"$T/series.out")" = 4 ] || fail "another one's series lost files"
kill -0 "$profd_pid" || fail "profd is gone"
stop_profd
