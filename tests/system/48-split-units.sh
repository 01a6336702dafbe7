#!/bin/bash
# Proves that units whose debug information was split off (-gsplit-dwarf) have all their
# names, files, lines and inlined calls, of DWARF 4 and 5, of gcc and clang: from the .dwo
# file where it was compiled, below the debug directory, or in it; from a package (.dwp);
# and where the skeleton itself is in a separate debug file. And that a file that is of
# another build, somebody else's, or reached by a symbolic link is refused and counted: then
# there are the symbol table's names, and lines.
. "$(dirname "$0")/../lib.sh"
need_root
. "$root/tests/debug-lib.sh"

# build_split NAME COMPILER FLAG...: $T/bin/NAME, not stripped, and $T/full/NAME.dwo
build_split()
{
	(cd "$T/full" && "$2" -x c++ -O2 -g -gsplit-dwarf -DINNER="inner_$1" -DOUTER="outer_$1" -c \
		-o "$1.o" "$T/spin.cc" "${@:3}" && "$2" -Wl,--build-id -o "$1" "$1.o") || fail "$1: not built"
	[ -e "$T/full/$1.dwo" ] || fail "$1: nothing was split off"
	cp "$T/full/$1" "$T/bin/$1"
}

here=(four five)
build_split four g++ -gdwarf-4
build_split five g++ -gdwarf-5
if command -v clang++ >/dev/null; then
	build_split clang4 clang++ -gdwarf-4
	build_split clang5 clang++ -gdwarf-5
	here+=(clang4 clang5)
fi

elsewhere=(moved flat packed4 apart)
build_split moved g++ -gdwarf-5
mkdir -p "$T/debug$T/full"
mv "$T/full/moved.dwo" "$T/debug$T/full"
build_split flat g++ -gdwarf-4
mv "$T/full/flat.dwo" "$T/debug"
build_split packed4 g++ -gdwarf-4
(cd "$T/full" && dwp -e packed4 -o "$T/bin/packed4.dwp") || fail "dwp"
rm "$T/full/packed4.dwo"
if command -v llvm-dwp >/dev/null; then
	build_split packed5 g++ -gdwarf-5
	(cd "$T/full" && llvm-dwp -e packed5 -o "$T/debug/packed5.dwp") || fail "llvm-dwp"
	rm "$T/full/packed5.dwo"
	elsewhere+=(packed5)
fi
build_split apart g++ -gdwarf-5
debug_of apart "$(by_id "$T/debug" "$T/full/apart")"
strip "$T/bin/apart"

bad=(other foreign linked)
for name in "${bad[@]}"; do build_split "$name" g++ -gdwarf-5; done
(cd "$T/full" && g++ -x c++ -O2 -g -gdwarf-5 -gsplit-dwarf -DINNER=inner_elsewhere -DOUTER=outer_other -c -o other.o "$T/spin.cc")
chown 65534 "$T/full/foreign.dwo"
mv "$T/full/linked.dwo" "$T/full/linked.real"
ln -s linked.real "$T/full/linked.dwo"
build_split gone g++ -gdwarf-4
rm "$T/full/gone.dwo"

start_profd --debug-dir "$T/debug"
spin "${here[@]}" "${elsewhere[@]}" "${bad[@]}" gone
profile_spinners
valid "${files[@]}"
pprof -top -nodecount 1000000 -nodefraction 0 "${files[0]}" >"$T/top" 2>/dev/null
for name in "${here[@]}" "${elsewhere[@]}"; do
	grep -Eq " inner_$name(\(unsigned int\))? \(inline\)" "$T/top" || { cat "$T/top"; fail "$name: no inlined call"; }
done
for name in "${bad[@]}" gone; do
	grep -q " spin::outer_$name" "$T/top" || { cat "$T/top"; fail "$name: not named"; }
	! grep -Eq "inner_($name|elsewhere)" "$T/top" || { cat "$T/top"; fail "$name: its split unit was read"; }
	pprof -list "outer_$name" "${files[0]}" 2>/dev/null | grep 'i < 1000' >/dev/null || fail "$name: no lines"
done
refused=$(counter debug_files_refused)
is "$refused == ${#bad[@]}" || fail "$refused refused, not ${#bad[@]}"
is "$(counter scribe_restarts) == 0" || fail "a scribe died"
figure "inlined calls out of ${#here[@]} split units in place and ${#elsewhere[@]} elsewhere; $refused of ${#bad[@]} wrong ones refused"
