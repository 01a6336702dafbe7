#!/bin/bash
# Proves that a client of another version is refused, and that `list` says which
# versions meet and what to restart: whether it says so in its message, or its table
# does, or profd finds the table by itself; once in the counters however often it
# is seen; gone with the process; and that others are not touched.
. "$(dirname "$0")/../fixtures/hazard-lib.sh"
ours=$(sed -n 's/^#define HEAP_TABLE_VERSION *//p' "$root/include/profd/heap_table.h")

start_profd
target "$fixtures/leak" 900
wait_attached "$target_pid"
good=$target_pid
# How profd's own clients call their tables here: after its socket.
TABLE_NAME=$(sed -n 's|.*/memfd:\(profd-heap[^ ]*\) .*|\1|p' "/proc/$good/maps" | head -1)
export TABLE_NAME
mkfifo "$T/go" # after it, so that it does not keep the other end open
exec 9<>"$T/go"

# old VERSION [SOCKET [ANNOUNCED]]: runs it without the client of this build.
old()
{
	"$fixtures/other-version" "$@" <"$T/go" >"$T/target.log" 9<&- &
	target_pid=$!
	own_pids+=("$target_pid")
	wait_said ready
}
reason_of() { json_of "$profctl" --json list "[t['reason'] for t in j['targets'] if t['pid'] == $1 and not t['attached']][0]"; }
counted_once() { [ "$(counter attach_other_version)" = "$n" ]; }
says()
{
	wait_for 5 reason_of "$target_pid" || { "$profctl" list; fail "$1: not listed"; }
	reason_of "$target_pid" >"$T/reason"
	grep -q "speaks table version $2, this profd version $ours: restart $3 after the upgrade" "$T/reason" ||
		{ cat "$T/reason"; fail "$1"; }
	"$profctl" list | grep -E "^ *$target_pid .*table version $2" >/dev/null || fail "$1: not in the table"
	[ "$("$profctl" list --all | grep -c "^ *$target_pid ")" = 1 ] || fail "$1: listed twice"
	status_is 1 "$profctl" snapshot --pid "$target_pid"
	one_line "table version $2, this profd version $ours"
	counted_once || fail "$1: counted $(counter attach_other_version), not $n"
	is_attached "$good" >/dev/null || fail "$1: another client has gone"
	pids+=("$target_pid")
}
pids=()
old 7 "$PROFD_SOCKET"
n=1
says 'by message' 7 profd
# What the message says is not what the table is: refused either way.
old $ours "$PROFD_SOCKET" 8
n=2
says 'by message alone' 8 profd
old 5 "$PROFD_SOCKET" $ours
n=3
says 'by table alone' 5 profd
old 0 "$PROFD_SOCKET" $ours
n=4
says 'older' 0 'the program'
if [ "$(id -u)" = 0 ]; then
	sleep 1.1 # the search is made once a second at most
	old 9
	n=5
	says 'found' 9 profd
fi
exec 9<&-
for pid in "${pids[@]}"; do wait "$pid" || fail "it ended with status $?"; done
for pid in "${pids[@]}"; do
	! "$profctl" list | grep "^ *$pid " >/dev/null || fail "still listed when gone"
done
figure "$n clients of other versions named, each counted once"
