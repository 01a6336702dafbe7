#!/bin/bash
# Proves that `make demo`, the first thing that the README offers, does what the README
# says: it finds the leak, names its line, leaves five valid profiles of each of two
# programs, and no process and no directory of its own.
. "$(dirname "$0")/../lib.sh"
mkdir -p "$T/build/fixtures" "$T/tmp"
for program in profd profctl libprofd.so profd-fetch fixtures/leak; do cp "$BUILD/$program" "$T/build/$program"; done

ls -d /tmp/profd-demo.* >"$T/before" 2>/dev/null || true
BUILD=$T/build "$root/tests/demo.sh" >"$T/shown" 2>"$T/said" || { cat "$T/said" >&2; fail "the demo did not work"; }
[ ! -s "$T/said" ] || fail "the demo said: $(head -3 "$T/said")"
ls -d /tmp/profd-demo.* >"$T/after" 2>/dev/null || true
cmp "$T/before" "$T/after" || fail "a directory of the demo is left"
! grep -l "$T/build" /proc/[0-9]*/cmdline >"$T/left" 2>/dev/null || fail "a process of the demo is left"

line=$(grep -n '// LEAK' "$root/tests/fixtures/leak.cc" | cut -d: -f1)
sed -n '/^4[.]/,/^5[.]/p' "$T/shown" >"$T/leak"
grep -A 2 ' flat%' "$T/leak" | grep -c "Server::open_session(unsigned int)" >"$T/count" ||
	fail "the leak is not first: $(cat "$T/leak")"
grep "leak.cc:$line\$" "$T/leak" >"$T/place" || fail "nothing names line $line: $(cat "$T/leak")"
! sed '/^The same files/,$d' "$T/shown" | grep -E '.{81}' >"$T/wide" || fail "lines too wide for a terminal: $(head -3 "$T/wide")"

for program in leak python3; do
	files=("$T"/build/demo/heap_"$program"_*.pb.gz)
	[ ${#files[@]} = 5 ] || fail "${#files[@]} files of $program"
	"$gocheck" "${files[@]}" >"$T/gocheck.log" 2>&1 || fail "a file is not valid: $(tail -3 "$T/gocheck.log")"
done
figure "$(sed -n '/open_session/s/^ *//p' "$T/leak" | head -1)"
