#!/bin/bash
# Names, files, lines and inlined calls beside those of addr2line (binutils),
# eu-addr2line (elfutils), llvm-symbolizer and, for some, of the DWARF itself: 10,000
# random code addresses each of a Debian library and a Debian program with their debug
# packages (the program is optimized at link time), of profd, of a C++ program that is
# all templates, in DWARF 5 and 4, in split units of both, and of one in Rust. What disagrees
# is shown by its class; what is explained was worked out from the DWARF to be the tool's
# own (symbols.py, explained.py). Beside it what agrees of everything, unexplained: all
# frames; the file and line of the innermost; the function that was called.
# ADDRESSES=500 for a look; FILES="libc profd" for some of them.
. "$(dirname "$0")/lib.sh"

wanted=${FILES:-templates dwarf4 split-4 split-5 profd libc python3 rust}
files=()

# code FILE: the bytes of its .text.
code() { objcopy -O binary -j .text "$1" "$T/code" && cat "$T/code"; }

# split VERSION: a program in split units, and what the tools are asked of: its twin.
split()
{
	local source=$root/tests/fixtures/templates.cc flags="-std=c++20 -O2 -g -gdwarf-$1"

	(cd "$T/split" && g++ $flags -gsplit-dwarf -c -o "split-$1.o" "$source" &&
		g++ -o "split-$1" "split-$1.o" -pthread && g++ $flags -pthread -o "whole-$1" "$source")
	[ "$(code "$T/split/split-$1" | md5sum)" = "$(code "$T/split/whole-$1" | md5sum)" ] ||
		fail "the program without split units has other code"
	files+=("split-$1=$T/split/split-$1=$T/split/whole-$1")
}

# add NAME FILE [PACKAGE]: with its debug file, where that comes in a package.
add()
{
	local id

	[[ " $wanted " = *" $1 "* ]] || return 0
	id=$(readelf -n "$2" | sed -n 's/.*Build ID: //p')
	if [ -z "${3:-}" ] || [ -e "/usr/lib/debug/.build-id/${id:0:2}/${id:2}.debug" ]; then
		files+=("$1=$2")
	else
		echo "  *** no debug file for $2 (package $3): not compared ***"
	fi
}

add templates "$fixtures/templates"
mkdir "$T/split"
for version in 4 5; do
	[[ " $wanted " = *" split-$version "* ]] || continue
	split "$version"
done
if [[ " $wanted " = *" dwarf4 "* ]]; then
	g++ -std=c++20 -O2 -g -gdwarf-4 -pthread -o "$T/dwarf4" "$root/tests/fixtures/templates.cc"
	add dwarf4 "$T/dwarf4"
fi
if [[ " $wanted " = *" rust "* ]] && command -v rustc >/dev/null; then
	RUSTC_BOOTSTRAP=1 rustc -O -g --crate-name rust -o "$T/rust" \
		"$root/tests/fixtures/spin-inline.rs.txt" 2>/dev/null && add rust "$T/rust"
fi
add profd "$profd"
add libc "$(ldd "$profd" | sed -n 's/.*libc\.so\.6 => \(\S*\).*/\1/p')" libc6-dbg
[ ! -x /usr/bin/python3.11 ] || add python3 /usr/bin/python3.11 python3.11-dbg
for tool in addr2line eu-addr2line llvm-symbolizer; do
	command -v $tool >/dev/null || echo "  *** no $tool here: not compared ***"
done

printf '\nSymbols, %s random addresses each\n' "${ADDRESSES:-10000}"
mkdir "$T/symbols"
"$bench/symbols.py" --judged "${JUDGED:-500}" "$profctl" "${ADDRESSES:-10000}" "$T/symbols" \
	"${files[@]}" >"$T/symbols.txt"
head -n -1 "$T/symbols.txt" | cut -c1-400
tail -1 "$T/symbols.txt" | python3 -c '
import json, sys
for name, tools in json.load(sys.stdin).items():
    for tool, (agree, explained, asked, places, functions) in tools.items():
        print(f"{name} as {tool}|{100 * agree / max(1, asked - explained):.2f}% "
              f"(raw {100 * agree / asked:.2f}%, explained {100 * explained / asked:.2f}%; "
              f"line {100 * places / asked:.2f}%, function {100 * functions / asked:.2f}%)")
' | while IFS='|' read -r what agree; do row "$what" "" "" "$agree" ">= 99.9%"; done
