#!/bin/bash
# Proves that nothing of a process is taken for another's that has its pid: two
# programs in turn, in a PID namespace with so few pids that each is used again
# within seconds, and not one sample of the one carries the other's name, file or
# function. The same code lies at the same addresses in both.
. "$(dirname "$0")/../lib.sh"
need_root

# The daemon is inside as well: pids in perf's records are those of the namespace
# that the daemon lives in.
cat >"$T/inside.sh" <<'END'
echo 400 >/proc/sys/kernel/pid_max || exit 77
[ "$(cat /proc/sys/kernel/pid_max)" = 400 ] || exit 77
mkdir -p "$T/run" "$T/state"
"$profd" --foreground --runtime-dir "$T/run" --state-dir "$T/state" --rotate 0 >"$T/profd.log" 2>&1 &
for _ in $(seq 600); do "$profctl" status >/dev/null 2>&1 && break; sleep 0.1; done
# Three in turn, so that no pid always falls to the same program.
"$fixtures/spawner" 1200 "$fixtures/short-burn" "$fixtures/short-other" \
	"$fixtures/short-burn" >"$T/spawned" || exit 1
"$profctl" snapshot --type cpu --output "$T" >"$T/files"
END
before=$(cat /proc/sys/kernel/pid_max)
status=0
T=$T profd=$profd profctl=$profctl fixtures=$fixtures \
	unshare --pid --fork --kill-child --mount-proc bash "$T/inside.sh" 2>"$T/stderr" || status=$?
[ "$(cat /proc/sys/kernel/pid_max)" = "$before" ] || { echo "$before" >/proc/sys/kernel/pid_max
	fail "pid_max is not the namespace's own here: put back"; }
[ $status = 77 ] && skip "no pid_max of a PID namespace's own here (it came with Linux 6.14)"
[ $status = 0 ] || { cat "$T/stderr" >&2; fail "status $status"; }
file=$(cat "$T/files")
valid "$file"

python3 "$root/tests/leaves.py" "$file" >"$T/leaves"
eval "$(awk -F'\t' '
	$3 != "short-burn" && $3 != "short-other" { strays += $7 ~ /^burn_in_th/ ? $1 : 0; next }
	{ n[$3] += $1; pids[$2] = pids[$2] " " $3 }
	$7 == "burn_in_this" && $3 != "short-burn" { wrong += $1 }
	$7 == "burn_in_that" && $3 != "short-other" { wrong += $1 }
	$6 ~ /short-burn$/ && $3 != "short-burn" { wrong += $1 }
	$6 ~ /short-other$/ && $3 != "short-other" { wrong += $1 }
	END {
		for (pid in pids) both += pids[pid] ~ /burn/ && pids[pid] ~ /other/
		printf "wrong=%d this=%d that=%d both=%d\n", wrong + strays, n["short-burn"],
			n["short-other"], both
	}' "$T/leaves")"
figure "1,200 programs on 100 pids: $wrong of $((this + that)) samples on the wrong process;" \
	"$both pids were both programs'"
is "$this > 300 and $that > 300" || fail "$this and $that samples"
[ "$both" -ge 20 ] || fail "only $both pids were used by both: nothing is proven"
[ "$wrong" = 0 ] || fail "$wrong samples on the wrong process"
