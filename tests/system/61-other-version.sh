#!/bin/bash
# Proves that a client of another version is refused, and that `list` says which
# versions meet and what to restart: whether it says so in its message, or its table
# does, or profd finds the table by itself; once in the counters however often it
# is seen; gone with the process; and that others are not touched.
. "$(dirname "$0")/../fixtures/hazard-lib.sh"

start_profd
mkfifo "$T/go"
exec 9<>"$T/go"
target "$fixtures/leak" 60
wait_attached "$target_pid"
good=$target_pid

# old VERSION [SOCKET [ANNOUNCED]]: runs it without the client of this build.
old()
{
	"$fixtures/other-version" "$@" <"$T/go" >"$T/target.log" 9<&- &
	target_pid=$!
	own_pids+=("$target_pid")
	wait_said ready
}
reason_of() { json_of "$profctl" --json list "[t['reason'] for t in j['targets'] if t['pid'] == $1 and not t['attached']][0]"; }
says()
{
	wait_for 5 reason_of "$target_pid" || { "$profctl" list; fail "$1: not listed"; }
	reason_of "$target_pid" >"$T/reason"
	grep -q "speaks table version $2, this profd version 1: restart $3 after the upgrade" "$T/reason" ||
		{ cat "$T/reason"; fail "$1"; }
	"$profctl" list | grep -Eq "^ *$target_pid .*table version $2" || fail "$1: not in the table"
	[ "$("$profctl" list --all | grep -c "^ *$target_pid ")" = 1 ] || fail "$1: listed twice"
	status_is 1 "$profctl" snapshot --pid "$target_pid"
	one_line "table version $2, this profd version 1"
	[ "$(counter attach_other_version)" = "$4" ] || fail "$1: counted $(counter attach_other_version), not $4"
	is_attached "$good" >/dev/null || fail "$1: another client has gone"
	pids+=("$target_pid")
}
n=0
old 7 "$PROFD_SOCKET"
says 'by message' 7 profd $((++n))
# What the message says is not what the table is: refused either way.
old 1 "$PROFD_SOCKET" 3
says 'by message alone' 3 profd $((++n))
old 5 "$PROFD_SOCKET" 1
says 'by table alone' 5 profd $((++n))
old 0 "$PROFD_SOCKET" 1
says 'older' 0 'the program' $((++n))
if [ "$(id -u)" = 0 ]; then
	sleep 1.1 # the search is made once a second at most
	old 9
	says 'found' 9 profd $((++n))
fi
exec 9<&-
for pid in "${pids[@]}"; do wait "$pid" || fail "it ended with status $?"; done
! "$profctl" list | grep -q 'table version' || fail "still listed when gone"
[ "$(counter attach_other_version)" = $n ] || fail "counted again"
figure "$n clients of other versions named, each counted once"
