#!/bin/bash
# Proves the shipped unit in a real systemd: `make install`, `systemctl start
# profd` reports ready, a program with the client is seen and profiled, by root
# and by nobody else's files, so is one that waits, also where its wait began
# before anybody looked, and stopping is clean.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../service-lib.sh"

inside systemd-analyze verify profd.service || fail "systemd finds fault with the unit"
inside getent group profd >/dev/null || fail "no group profd"
inside systemctl start profd || { journal; fail "systemctl start profd"; }
is_active || { journal; fail "not active"; }
[ "$(property Type)" = notify ] || fail "not Type=notify"
[ "$(inside stat -c '%a %U' /var/lib/profd)" = "750 profd" ] || fail "/var/lib/profd's mode"
for role in engine scribe starter; do
	pid=$(json_of inside profctl --json status "j['processes']['$role']") ||
		fail "no $role"
	inside cat "/proc/$pid/status" >"$T/role"
	grep -Eq '^Uid:\s0' "$T/role" && fail "the $role is root"
	[ "$(grep -c '^Cap[IPEBA].*:\s0000000000000000$' "$T/role")" = 5 ] || { cat "$T/role"; fail "the $role has capabilities"; }
	grep -q '^NoNewPrivs:\s1$' "$T/role" || fail "the $role may gain privileges"
done
inside profctl status | grep '^lost' && fail "the unit takes something away"
inside profctl status >"$T/status" || { journal; fail "profctl status"; }
head -3 "$T/status"
grep -Eq '^cpu +[a-z-]+.* at [0-9]+ Hz' "$T/status" || { cat "$T/status"; journal; fail "no CPU sampling"; }

advice=$(inside profctl list 2>&1 >/dev/null | grep LD_PRELOAD=) || fail "list gives no advice"
inside test -e "${advice##*LD_PRELOAD=}" || fail "there is no such file: $advice"

client leaky "$fixtures/leak" 900
listed() { inside profctl --json list | grep '"comm": *"leak"' >/dev/null; }
wait_for 10 listed || { journal; fail "the client did not attach"; }
inside profctl list
inside profctl --json list | grep '"unit": *"leaky.service"' >/dev/null || fail "its unit is not known"
# It fills a cache first, and frees what that took.
leaks()
{
	heap=$(inside profctl snapshot --unit leaky.service) && inside cat "$heap" >"$T/leak.pb.gz" || return 1
	eval "$(raw "$T/leak.pb.gz" inuse_space leak=open_session)"
	is "$leak > 0.1 * $total > 0"
}
wait_for 60 leaks || { journal; fail "no symbols under the unit's protection"; }
# Something that is in the kernel most of the time, on an idle machine, too.
inside systemd-run --quiet --unit reader timeout 60 dd if=/dev/zero of=/dev/null bs=64K
cpu=$(inside profctl snapshot --type cpu --seconds 2s) || { journal; fail "CPU snapshot"; }
for file in $heap $cpu; do
	inside cat "$file" >"$T/$(basename "$file")" || fail "no file $file"
	[[ $file == /var/lib/profd/* ]] || fail "stored elsewhere: $file"
done
valid "$T"/*.pb.gz
eval "$(raw "$T"/cpu_*.pb.gz samples kernel='^(entry_SYSCALL|do_syscall|asm_|do_)')"
is "$total > 0" || fail "an empty CPU profile"
is "$kernel > 0" || fail "kernel functions have no names under the unit's protection"

inside systemd-run --quiet --unit hung "$fixtures/waits" hang || fail "systemd-run"
inside systemd-run --quiet --unit waiting "$fixtures/waits" 900 || fail "systemd-run"
hangs() { inside journalctl --no-pager -u hung | grep hangs >/dev/null; }
wait_for 10 hangs || { inside journalctl --no-pager -u hung; fail "it does not hang"; }
offcpu=$(inside profctl snapshot --type offcpu --all --seconds 3s) || { journal; fail "off-CPU snapshot"; }
inside cat "$offcpu" >"$T/offcpu.pb.gz" || fail "no file $offcpu"
valid "$T/offcpu.pb.gz"
pprof -raw "$T/offcpu.pb.gz" | sed -n '/^Comment/p;/^DefaultSampleType/q' | head -20
pprof -raw "$T/offcpu.pb.gz" | grep 'context-switches' && fail "the tracepoint is closed to the unit"
for unit in hung waiting; do
	pprof -proto -tagfocus "unit=^$unit.service\$" -output "$T/$unit.pb.gz" "$T/offcpu.pb.gz" >/dev/null 2>&1
done
eval "$(raw "$T/hung.pb.gz" offcpu hung='^hang_for_ever$' kernel=futex)"
figure "under the unit: hung $((total / 1000000)) ms of 3000, $((hung / 1000000)) ms with its function"
is "2.7e9 <= $total and $hung == $total and $kernel == $total" ||
	{ pprof -traces "$T/hung.pb.gz"; fail "not where it hangs"; }
eval "$(raw "$T/waiting.pb.gz" offcpu long='^wait_long$' any='^(wait_.*|main|mix|lock|read_pipe|use_futexes|write_pipe|sleep_ns)$')"
figure "waits of 7 threads: $((total / 1000000)) ms, $((any / 1000000)) ms with their functions; wait_long $((long / 1000000))"
is "$long > 0.5e9 and $any > 0.9 * $total" || { pprof -top "$T/waiting.pb.gz"; fail "its waits have no stacks"; }

figure "security: $(inside systemd-analyze security --no-pager profd | tail -1 | sed 's/^[^ ]* *//')"

inside systemctl stop profd.socket profd
[ "$(property Result)" = success ] || { journal; fail "stopping was not clean"; }
inside systemctl stop reader 2>/dev/null || true
inside systemctl reset-failed reader 2>/dev/null || true # it was ended by its time
inside systemctl --failed --no-legend | grep -v '^$' && fail "something failed"
inside test -e /run/profd/profd.sock && fail "the socket was left behind"
exit 0
