#!/bin/bash
# Proves that names, files, lines and inlined calls are right: 500 random code
# addresses each of profd, of a C++ program that is all templates, and of a Debian
# library with its debug package, named by `profctl symbolize`, are what binutils,
# elfutils or LLVM say in every frame. Where the tools differ among themselves, one of
# them has to give exactly profd's answer: 99.9% at least (BENCH=symbols: the whole
# comparison).
. "$(dirname "$0")/../lib.sh"

export BENCH_ROWS=$T/rows
ADDRESSES=500 "$root/tests/bench/symbols.sh" >"$T/out" || { cat "$T/out"; fail "not compared"; }
[ "$(grep -c '|' "$T/rows")" -ge 6 ] || { cat "$T/out"; fail "too little compared"; }
while IFS='|' read -r _ what _ _ agree _; do
	figure "$what:$agree"
	is "$(sed 's/.*profd \([0-9.]*\)%.*/\1/' <<<"$agree") >= 99.9" || { cat "$T/out"; fail "$what"; }
done <"$T/rows"
