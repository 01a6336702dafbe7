#!/bin/bash
# Proves the embedded server and profiles of a test run: `profctl run --http` serves
# the command and nobody else's processes, to the user who runs it, and ends with it;
# --children and --no-children say whose CPU time and heap is in the files; and the
# environment does the same where the command line cannot be changed.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../http-lib.sh"
cd "$T"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
url=http://127.0.0.1:$port

echo "- served while it runs"
"$profctl" run --heap "$T/at-end.pb.gz" --http "127.0.0.1:$port" -- "$fixtures/leak" 900 "$T/stop" >"$T/out" 2>"$T/err" &
run=$!
own_pids+=("$run")
serves() { curl -sf -o "$T/body" "$url/debug/pprof/heap?gc=1" && go tool pprof -top "$T/body" 2>"$T/e" | grep open_session >/dev/null; }
wait_for 20 serves || { cat "$T/err" >&2; fail "no heap over HTTP"; }
valid "$T/body"
got 200 '/debug/pprof/profile?seconds=1' && cp "$T/body" "$T/cpu.pb.gz" && valid "$T/cpu.pb.gz"
got 200 /targets
[ "$(grep -c '"pid"' "$T/body")" = 1 ] || { cat "$T/body" >&2; fail "others' processes are listed"; }
if [ "$(id -u)" = 0 ]; then
	code=$(setpriv --reuid 65534 --regid 65534 --clear-groups curl -s -o /dev/null -w '%{http_code}' "$url/debug/pprof/heap")
	[ "$code" = 200 ] && setpriv --reuid 65534 --regid 65534 --clear-groups curl -s "$url/debug/pprof/heap?debug=1" |
		grep -q open_session && fail "another user is shown the heap"
fi
touch "$T/stop"
status=0
wait "$run" || status=$?
[ "$status" = 0 ] || { cat "$T/err" >&2; fail "status $status"; }
got 000 /debug/pprof/heap
valid "$T/at-end.pb.gz"

echo "- an address that is not to be had: the command does not run"
python3 -c "
import socket, time
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(('127.0.0.1', $port)); s.listen(); print('here', flush=True); time.sleep(900)" >"$T/held" &
held=$!
own_pids+=("$held")
wait_for 10 test -s "$T/held" || fail "the address is not free"
status_is 1 "$profctl" run --heap "$T/no.pb.gz" --http "127.0.0.1:$port" -- touch "$T/ran"
[ ! -e "$T/ran" ] || fail "it ran"
status_is 1 "$profctl" run --heap "$T/no.pb.gz" --http "0.0.0.0:0" -- touch "$T/ran"
[ ! -e "$T/ran" ] || fail "it ran, served to everyone"
end_process "$held"

echo "- whose"
# A shell that starts two programs: they have the heap, and one of them the CPU time.
both=(bash -c "'$fixtures/leak' 2 >/dev/null & '$fixtures/leak' 2 >/dev/null & '$fixtures/split' 2 >/dev/null; wait")
# has FILE TYPE REGEX: that part of it
has() { eval "$(raw "$1" "$2" part="$3")"; echo "$part"; }
whose() # OPTION...: writes $T/c.pb.gz and $T/h.pb.gz
{
	rm -f "$T"/[ch].pb.gz
	"$profctl" run --cpu "$T/c.pb.gz" --heap "$T/h.pb.gz" "$@" -- "${both[@]}" 2>"$T/err" ||
		{ cat "$T/err" >&2; fail "run $*"; }
	valid "$T/c.pb.gz" "$T/h.pb.gz"
}
whose --children
[ "$(has c.pb.gz samples hot_)" -gt 0 ] || fail "--children: no CPU time of theirs"
[ "$(has h.pb.gz inuse_space open_session)" -gt 0 ] || fail "--children: no heap of theirs"
tags=$(go tool pprof -tags h.pb.gz 2>/dev/null | sed -n '/ pid:/,/^$/p' | grep -c MB)
[ "$tags" -ge 2 ] || { go tool pprof -tags h.pb.gz >&2; fail "--children: heaps are not told apart"; }
whose --no-children
[ "$(has c.pb.gz samples hot_)" = 0 ] || fail "--no-children: CPU time of children"
[ "$(has h.pb.gz inuse_space open_session)" = 0 ] || fail "--no-children: a heap of children"
whose
[ "$(has c.pb.gz samples hot_)" -gt 0 ] || fail "by default: no CPU time of children"
[ "$(has h.pb.gz inuse_space open_session)" = 0 ] || fail "by default: a heap of children"
for bad in "--children" "--children --heap x --every 1s" "--children --heap x%p"; do
	status_is 2 "$profctl" run $bad -- true
done

echo "- by the environment"
rm -f "$T"/[ch].pb.gz
PROFD_RUN_CPU=$T/c.pb.gz PROFD_RUN_HEAP=$T/h.pb.gz PROFD_RUN_CHILDREN=1 PROFD_RUN_HTTP=127.0.0.1:$port \
	"$profctl" run -- "${both[@]}" 2>"$T/err" || { cat "$T/err" >&2; fail "run"; }
grep -q "listening on 127.0.0.1:$port" "$T/err" || fail "PROFD_RUN_HTTP"
[ "$(has c.pb.gz samples hot_)" -gt 0 ] || fail "PROFD_RUN_CPU"
[ "$(has h.pb.gz inuse_space open_session)" -gt 0 ] || fail "PROFD_RUN_HEAP"
mkdir "$T/dir"
PROFD_RUN_CPU=$T/not.pb.gz "$profctl" run --output "$T/dir" -- "$profctl" run --output "$T/dir" -- true 2>"$T/err" || true
[ ! -e "$T/not.pb.gz" ] || fail "the environment went before the command line, or into a run inside"
figure "run --http, --children, --no-children and their environment"
