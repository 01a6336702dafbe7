#!/bin/bash
# Proves that names, files, lines and inlined calls are right: 500 random code
# addresses each of profd, of a C++ program that is all templates, and of a Debian
# library with its debug package, named by `profctl symbolize`, are what binutils,
# elfutils and LLVM each say, in every frame: 99.9% at least. Left out of that are
# answers that the DWARF shows to be a known shortcoming of the tool (explained.py);
# they are few: 10% at most. Some addresses are put to the DWARF itself
# (BENCH=symbols: the whole comparison, and a program more).
. "$(dirname "$0")/../lib.sh"

export BENCH_ROWS=$T/rows
ADDRESSES=500 JUDGED=25 FILES="templates profd libc" "$root/tests/bench/symbols.sh" >"$T/out" 2>&1 ||
	{ cat "$T/out"; fail "not compared"; }
[ "$(grep -c '|' "$T/rows")" -ge 8 ] || { cat "$T/out"; fail "too little compared"; }
while IFS='|' read -r _ what _ _ agree _; do
	figure "$what:$agree"
	is "$(sed 's/^ *\([0-9.]*\)%.*/\1/' <<<"$agree") >= 99.9" || { cat "$T/out"; fail "$what"; }
	is "$(sed 's/.*explained \([0-9.]*\)%.*/\1/' <<<"$agree") <= 10" ||
		{ cat "$T/out"; fail "$what: too much explained"; }
done <"$T/rows"
