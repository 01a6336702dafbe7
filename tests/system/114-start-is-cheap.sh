#!/bin/bash
# Proves that a service manager waits for nothing that is as long as the machine is busy:
# profd is ready before it has looked at a single process, and has waited for no disk;
# the first who asks is answered when it has looked, and finds who was there before.
. "$(dirname "$0")/../lib.sh"
need_root
command -v strace >/dev/null || skip "there is no strace here"
strace -f -o "$T/strace" true || skip "strace does not work here"

target "$fixtures/leak" 120
mkdir "$T/run" "$T/state"
strace -f -o "$T/strace" "$profd" --ready-fd 9 --runtime-dir "$T/run" --state-dir "$T/state" \
	--rotate 0 9>"$T/ready" >>"$T/profd.log" 2>&1 &
tracer=$!
own_pids+=("$tracer")
is_there() { profd_pid=$(pgrep -P "$tracer"); }
wait_for 20 is_there || fail "profd did not start"
is_there
own_pids+=("$profd_pid")
at_exit+=('kill "$profd_pid" 2>/dev/null')
wait_for 20 test -s "$T/ready" || fail "it is not ready"
wait_for 20 "$profctl" status || fail "nobody answers"
is_attached "$target_pid" >/dev/null || fail "who was there before is not found by the first who asks"
kill "$profd_pid"
wait "$tracer" || fail "profd ended with status $?"

# calls PATTERN: so many before it was ready, and in all.
ready=$(grep -n -m 1 'write(9, "1", 1' "$T/strace" | cut -d: -f1)
[ -n "$ready" ] || fail "when was it ready?"
calls() { head -n "$ready" "$T/strace" | grep -cE "$1" || true; }
in_all() { grep -cE "$1" "$T/strace" || true; }
looks='openat\(.*"[0-9]+/(stat|maps)"'
figure "before it is ready: $ready lines of strace, of $(wc -l <"$T/strace"); $(calls "$looks")" \
	"looks at processes, of $(in_all "$looks"); $(calls 'f(data)?sync\(') waits for the disk"
is "$(in_all "$looks") > 10" || fail "it never looked: this test looks for the wrong thing"
[ "$(calls "$looks")" = 0 ] || fail "it is not ready before it has looked at all processes"
[ "$(calls 'f(data)?sync\(')" = 0 ] || fail "it waits for the disk"
