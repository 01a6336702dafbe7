#!/bin/bash
# Proves what sampling by the program's own timers costs: while it is off, no timer and
# no handler; while it is on, a timer a thread, and per sample no more instructions
# than make 99 of them a second 0.2% of a CPU that does 3 thousand million.
# (Instructions, because time says nothing on a busy machine.)
. "$(dirname "$0")/../lib.sh"
command -v valgrind >/dev/null || skip "there is no valgrind here"
command -v strace >/dev/null || skip "there is no strace here"
unset PROFD_CPU
export PROFD_SOCKET=$T/none
cd "$T"

# calls [NAME=VALUE]: all system calls of five threads, by name, in $T/calls.
calls()
{
	strace -f -o "$T/strace" env LD_PRELOAD="$client" "$@" "$fixtures/timers" burn 5 1 >/dev/null ||
		skip "strace does not work here"
	grep -oE '^[0-9]+ +[a-z_0-9]+\(' "$T/strace" | sed 's/.* //' | sort | uniq -c >"$T/calls"
}
count() { awk -v name="$1(" '$2 == name { n = $1 } END { print n + 0 }' "$T/calls"; }

calls A=1
for name in timer_create timer_settime timer_delete; do
	[ "$(count $name)" = 0 ] || fail "off, and yet $(count $name) calls of $name"
done
grep -qE 'rt_sigaction\(SIGRT_(1[0-9]|2)' "$T/strace" && fail "off, and yet a handler"
calls PROFD_CPU=1
[ "$(count timer_create)" = 6 ] && [ "$(count timer_settime)" = 6 ] && [ "$(count timer_delete)" = 6 ] ||
	{ cat "$T/calls" >&2; fail "not a timer each, made and deleted"; }

LD_PRELOAD=$client PROFD_CPU=99 valgrind --tool=callgrind --callgrind-out-file="$T/callgrind" \
	"$fixtures/timers" burn 0 3000 >"$T/out" 2>&1 || { cat "$T/out" >&2; fail "valgrind"; }
eval "$(callgrind_annotate --inclusive=yes "$T/callgrind" | sed 's/,//g' |
	awk '/:on_signal/ && !n { n = $1 } END { print "instructions=" n + 0 }')"
# A function may have several numbers, as a recursion or another file gives it more.
samples=$(python3 - "$T/callgrind" <<'END'
import re, sys
text = open(sys.argv[1]).read()
ids = set(re.findall(r'c?fn=(\(\d+\)) intern_interrupted', text))
print(sum(int(n) for id, n in re.findall(r'cfn=(\(\d+\))[^\n]*\ncalls=(\d+) ', text) if id in ids))
END
)
is "$samples >= 20" || fail "$samples samples: nothing was proved"
each=$((instructions / samples))
figure "$each instructions a sample, of $samples; at 99 Hz $(python3 -c "print(round(99 * $each / 3e7, 3))")% of 3e9 a second"
is "99 * $each <= 0.002 * 3e9" || fail "$each instructions a sample"
