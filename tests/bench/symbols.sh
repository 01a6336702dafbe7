#!/bin/bash
# Names, files, lines and inlined calls beside those of addr2line (binutils),
# eu-addr2line (elfutils) and llvm-symbolizer: 10,000 random code addresses each of
# a Debian library with its debug package, of profd, and of a C++ program that is all
# templates. Every disagreement is shown by its class (symbols.py says how to read it).
# ADDRESSES=500 for a look.
. "$(dirname "$0")/lib.sh"

libc=$(ldd "$profd" | sed -n 's/.*libc\.so\.6 => \(\S*\).*/\1/p')
id=$(readelf -n "$libc" | sed -n 's/.*Build ID: //p')
files=("templates=$fixtures/templates" "profd=$profd")
if [ -e "/usr/lib/debug/.build-id/${id:0:2}/${id:2}.debug" ]; then
	files+=("libc=$libc")
else
	echo "  *** no debug file for $libc (package libc6-dbg): not compared ***"
fi
mkdir "$T/split"
for version in 4 5; do
	(cd "$T/split" && g++ -std=c++20 -O2 -g -gdwarf-$version -gsplit-dwarf -c -o split-$version.o \
		"$root/tests/fixtures/templates.cc" && g++ -o split-$version split-$version.o -pthread)
	files+=("split units, DWARF $version=$T/split/split-$version")
done
for tool in addr2line eu-addr2line llvm-symbolizer; do
	command -v $tool >/dev/null || echo "  *** no $tool here: not compared ***"
done

printf '\nSymbols, %s random addresses each\n' "${ADDRESSES:-10000}"
mkdir "$T/symbols"
"$bench/symbols.py" "$profctl" "${ADDRESSES:-10000}" "$T/symbols" "${files[@]}" >"$T/symbols.txt"
head -n -1 "$T/symbols.txt" | cut -c1-400
tail -1 "$T/symbols.txt" | python3 -c '
import json, sys
for name, tools in json.load(sys.stdin).items():
    for tool, (agree, decided, asked) in tools.items():
        print(f"{name} as {tool}|{100 * agree / asked:.2f}%, with another tool as profd {100 * (agree + decided) / asked:.2f}%")
' | while IFS='|' read -r what agree; do row "$what" "" "" "$agree" ">= 99.9%"; done
