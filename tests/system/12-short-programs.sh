#!/bin/bash
# Proves that a command made of short programs is seen: a shell that starts one
# after the other, each ended long before a sampling period is over, has at least
# half of its CPU time, as the kernel counts it, in the profile of `profctl run`.
# (As an ordinary user it has not: there the kernel gives each its own period.)
. "$(dirname "$0")/../lib.sh"
need_root
unset PROFD_SOCKET

cat >"$T/many.py" <<'END'
import os, resource, subprocess
for i in range(800):
    subprocess.run(['/bin/true'])
used = sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
print(int(used * 1e9))
END
used=$("$profctl" run --cpu "$T/cpu.pb.gz" -- python3 "$T/many.py" 2>"$T/stderr") ||
	{ cat "$T/stderr"; fail "status $?"; }
valid "$T/cpu.pb.gz"
eval "$(raw "$T/cpu.pb.gz" cpu)"
share=$(python3 -c "print(f'{100 * $total / $used:.0f}')")
figure "800 programs: $share% of $((used / 1000000)) ms are in the profile"
is "50 <= $share <= 150" || fail "$share% of the CPU time"
