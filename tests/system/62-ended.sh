#!/bin/bash
# Proves that `list` tells of targets that have ended: how (by exit, by _exit, by a
# signal, for lack of memory where the control group counts that), when, and where
# the last heap is; that others cannot see them; and that a bounded number is kept,
# those that left in good order going first.
. "$(dirname "$0")/../fixtures/hazard-lib.sh"

start_profd
export PROFD_RATE=65536
ulimit -c 0
end_field() { json_of "$profctl" --json list "[e['$2'] for e in j['ended'] if e['pid'] == $1][0]"; }
is_written() { [ "$(end_field "$1" writing)" = False ]; }

# ends HOW...: starts it, lets it end; $target_pid.
ends()
{
	rm -f "$T/go"
	mkfifo "$T/go"
	exec 9<>"$T/go"
	target_prefix=(bash -c "${in_group:-:}"'; exec "$@" <'"$T/go 9<&-" -)
	target "$fixtures/end" "$@"
	wait_said ready
	wait_attached "$target_pid"
	[ -z "${signal:-}" ] || kill "-$signal" "$target_pid"
	echo >&9
	wait "$target_pid" 2>/dev/null || true
	exec 9<&-
	wait_for 15 is_written "$target_pid" || { "$profctl" list; fail "$*: not listed as ended"; }
	! is_attached "$target_pid" >/dev/null 2>&1 || fail "$*: still a target"
}
# told HOW FILE: how it ended, and whether there is a file (yes, no).
told()
{
	local how path when

	how=$(end_field "$target_pid" how) path=$(end_field "$target_pid" path)
	[[ $how =~ ^($1)$ ]] || fail "it says: $how, not: $1"
	when=$(end_field "$target_pid" time_ns)
	is "abs($when / 1e9 - $(date +%s)) < 60" || fail "ended at $when"
	"$profctl" list | grep -E "^ *$target_pid  end " >"$T/line"
	grep -Fq "$how" "$T/line" || fail "the table does not say it"
	if [ "$2" = no ]; then
		[ -z "$path" ] || fail "a file: $path"
	else
		valid "$path"
		eval "$(raw "$path" inuse_space hold='^hold$')"
		is "abs($hold - 128 * 65536) < 4.5e6" || fail "$hold bytes in the last heap"
		is "$(end_field "$target_pid" inuse_bytes) == $total" || fail "in use at the end: not $total"
		go tool pprof -comments "$path" | grep -F "$how at " >/dev/null || fail "the file does not say it"
	fi
	figure "$(tr -s ' ' <"$T/line")"
}

ends exit 0
told 'exited( with status 0)?' no
# Left by exit(), the parent has waited: the kernel may have nothing to tell by then.
ends quit 7
told 'exited with status 7|killed or crashed' yes
ends abort
told 'killed by SIGABRT|killed or crashed' yes
signal=KILL ends exit 0
told 'killed by SIGKILL|killed or crashed' yes
killed=$target_pid

# The kernel's own kill, in a group of its own.
group=
for parent in /sys/fs/cgroup /sys/fs/cgroup/memory; do
	limit=$parent/profd-test-$$/memory.max
	[ $parent = /sys/fs/cgroup ] || limit=$parent/profd-test-$$/memory.limit_in_bytes
	mkdir "$parent/profd-test-$$" 2>/dev/null || continue
	at_exit+=("rmdir $parent/profd-test-$$")
	if [ -e "$limit" ] && echo 40000000 >"$limit" 2>/dev/null; then
		group=$parent/profd-test-$$
		break
	fi
done
if [ -n "$group" ]; then
	# Beside it another one, which is then killed by hand: the count is not laid to it.
	mkfifo "$T/go2"
	exec 8<>"$T/go2"
	target_prefix=(bash -c "echo \$\$ >$group/cgroup.procs"'; exec "$@" <'"$T/go2 8<&-" -)
	target "$fixtures/end"
	wait_said ready
	wait_attached "$target_pid"
	bystander=$target_pid
	in_group="echo \$\$ >$group/cgroup.procs" ends grow
	how=$(end_field "$target_pid" how)
	[[ $how == *'out of memory: its control group counts an OOM kill'* ]] || fail "it says: $how"
	[ "$(end_field "$target_pid" out_of_memory)" = True ] || fail "out_of_memory"
	figure "$how"
	target_pid=$bystander
	kill -KILL "$bystander"
	wait "$bystander" 2>/dev/null || true
	exec 8<&-
	wait_for 15 is_written "$bystander" || fail "the other one is not listed as ended"
	told 'killed by SIGKILL|killed or crashed' yes
else
	skipped="no control group for memory can be made here"
fi

if [ "$(id -u)" = 0 ]; then
	program=$fixtures/end
	for_everyone
	cp "$program" "$T/bin"
	chmod 755 "$T/run"
	! setpriv --reuid 65534 --regid 65534 --clear-groups "$profctl" --json list |
		grep -q "\"pid\": $killed," || fail "another user sees it"
fi

# Beyond the limit the orderly ones go; those that were killed stay.
for _ in $(seq 300); do LD_PRELOAD=$client PROFD_RATE=65536 "$fixtures/end" </dev/null >/dev/null || true; done
n_ended() { json_of "$profctl" --json list "len(j['ended'])"; }
wait_for 10 eval '[ "$(n_ended)" = 256 ]' || fail "$(n_ended) are kept, not 256"
end_field "$killed" how >/dev/null || fail "the one that was killed is forgotten"
rm "$(end_field "$killed" path)"
[ -z "$(end_field "$killed" path)" ] || fail "a file that is no more is named"
figure "256 kept of more than 300"
[ -z "${skipped:-}" ] || skip "the rest passed; $skipped"
