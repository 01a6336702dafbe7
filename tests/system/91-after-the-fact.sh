#!/bin/bash
# Proves that one process's profile is had out of the machine's, of the time before
# it was asked for and when the process has long ended: by pid, by comm, by systemd
# unit and by container id, in a real systemd; each has that process's samples, all
# of them, and no other's.
. "$(dirname "$0")/../lib.sh"
need_root
leaves() { python3 "$root/tests/leaves.py" "$@"; }
ns=$T/ns
systemd_ns=$root/tests/systemd-ns
mkdir "$T/bin"
cp "$profd" "$profctl" "$client" "$fixtures/short-burn" "$fixtures/short-other" "$T/bin"
status=0
"$systemd_ns" start "$ns" "$T/bin" 2>"$T/start.err" || status=$?
cat "$T/start.err"
[ $status = 77 ] && skip "no systemd in namespaces here: $(tail -1 "$T/start.err")"
[ $status = 0 ] || fail "systemd did not start"
at_exit+=("'$systemd_ns' stop '$ns'")
inside() { "$systemd_ns" run "$ns" -- env PROFD_SOCKET=/run/p/profd.sock "$@"; }

inside mkdir -p /run/p /var/p
inside "$T/bin/profd" --foreground --runtime-dir /run/p --state-dir /var/p --rotate 0 >"$T/profd.log" 2>&1 &
own_pids+=("$!")
answers() { inside "$T/bin/profctl" status; }
wait_for 20 answers || fail "profd did not start"

id=$(printf '%064d' 0 | tr 0 d)
# run_unit NAME COMMAND...: until it has ended.
run_unit()
{
	inside systemd-run --quiet --unit "$@" || fail "systemd-run"
	wait_for 60 has_ended "$1" || fail "$1 does not end"
}
# 4 s of CPU time: 396 samples, each by chance on a busy machine, where one in a million
# times they are less than 300.
has_ended() { [ "$(inside systemctl is-active "$1")" = inactive ]; }
run_unit burning "$T/bin/short-burn" 4000
run_unit others "$T/bin/short-other" 4000
inside sh -c "mkdir -p /sys/fs/cgroup/docker-$id.scope &&
	echo \$\$ >/sys/fs/cgroup/docker-$id.scope/cgroup.procs && exec '$T/bin/short-burn' 4000" ||
	fail "no control group"

# judge FILTER...: stacks of either program, in $this and $that; and in $n_pids.
judge()
{
	local file

	file=$(inside "$T/bin/profctl" snapshot --type cpu "$@") || fail "snapshot $*"
	inside cat "$file" >"$T/cpu.pb.gz"
	leaves "$T/cpu.pb.gz" >"$T/leaves"
	eval "$(awk -F'\t' '
		{ all += $1; pids[$2]; units[$5] }
		$7 == "burn_in_this" { this += $1 }
		$7 == "burn_in_that" { that += $1 }
		END {
			for (p in pids) n_pids++
			for (u in units) n_units++
			printf "all=%d this=%d that=%d n_pids=%d n_units=%d\n", all, this, that, n_pids, n_units
		}' "$T/leaves")"
	figure "$*: $this in the one program, $that in the other, $all in all, of $n_pids processes"
}

judge --unit burning.service
is "$this >= 300 and $that == 0 and $n_units == 1" || fail "the unit's profile is not the unit's"
is "$all <= 1.25 * $this" || fail "there is more in it than the program"
pid=$(awk -F'\t' '$7 == "burn_in_this" { print $2; exit }' "$T/leaves")
judge --unit others.service
is "$this == 0 and $that >= 300" || fail "the unit's profile is not the unit's"
judge --unit "$id"
is "$this >= 300 and $that == 0 and $n_units == 1" || fail "the container's profile is not the container's"
judge --comm short-burn
is "$this >= 600 and $that == 0 and $n_pids == 2" || fail "the comm's profile is not that of both"
inside test -e "/proc/$pid" && fail "the process $pid is still there"
judge --pid "$pid"
is "$this >= 300 and $that == 0 and $n_pids == 1" || fail "the pid's profile is not the process's"

# One that never was is told from one that has ended.
if inside "$T/bin/profctl" snapshot --type cpu --pid 3999999 2>"$T/stderr"; then
	fail "a profile of nobody"
fi
one_line 'process 3999999: no such process'
