#!/bin/bash
# Proves that a sample carries the names of its own moment: a process that renames
# itself (prctl) and its threads (pthread_setname_np) while it runs, and goes on
# when its main thread has ended. Each of its functions runs under one name, and
# no sample of it may carry another. Also when it was running before the daemon.
. "$(dirname "$0")/../lib.sh"
need_root
leaves() { python3 "$root/tests/leaves.py" "$@"; }

# check PID NAME...: every sample in a function as_NAME has the thread NAME.
check()
{
	local pid=$1 wanted
	shift
	leaves "${files[0]}" | awk -F'\t' -v pid="$pid" '$2 == pid && $7 ~ /^as_/' >"$T/leaves"
	for wanted; do
		eval "$(awk -F'\t' -v f="as_$wanted" -v name="$wanted" '
			$7 == f { all += $1 }
			$7 == f && $4 != name { wrong += $1 }
			END { printf "all=%d wrong=%d\n", all, wrong }' "$T/leaves")"
		figure "$wanted: $wrong of $all samples under another name"
		is "$all >= 20" || fail "only $all samples in as_$wanted"
		[ "$wrong" = 0 ] || { cat "$T/leaves" >&2; fail "$wrong samples in as_$wanted are not called so"; }
	done
}

start_profd
"$fixtures/many-names" >"$T/out" &
pid=$!
own_pids+=("$pid")
wait_for 60 grep -q started "$T/out" || fail "many-names did not get to its end"
# The main thread is a zombie now, long enough for the daemon to have let go.
before=$(counter cpu_samples)
grown() { [ "$(counter cpu_samples)" -gt $((before + 500)) ]; }
wait_for 30 grown || fail "no samples"
snapshot --type cpu --pid "$pid" --output "$T"
valid "${files[0]}"
check "$pid" first second worker boss orphan
# The process is still called what its main thread was called.
wrong=$(awk -F'\t' '$7 == "as_orphan" && $3 != "first"' "$T/leaves" | wc -l)
[ "$wrong" = 0 ] || fail "$wrong stacks of the thread that stayed have lost the process's comm"
awk -F'\t' '$7 == "as_second" && $3 != "second" { exit 1 }' "$T/leaves" || fail "the comm of a former time"
rm "${files[0]}"

# Met as it is: without its main thread.
stop_profd
rm -rf "$T/run"
start_profd
before=0
wait_for 30 grown || fail "no samples"
snapshot --type cpu --pid "$pid" --output "$T"
check "$pid" orphan
