#!/bin/bash
# Proves that debug information which is not to be read to its end hurts nobody: a
# compressed section of a gigabyte of zeros, one that lies about its size, a minidebuginfo
# of a gigabyte, a line table without end. The profile is published, with the names
# that are to be had; who refuses says so, and at most the scribe dies.
. "$(dirname "$0")/../lib.sh"
need_root
. "$root/tests/debug-lib.sh"
bombs=$root/tests/debug-bombs.py

build good
cp "$T/full/good" "$T/bin/good"
build zeros
cp "$T/full/zeros" "$T/bin/zeros"
"$bombs" sections "$T/bin/zeros"
build lying
cp "$T/full/lying" "$T/bin/lying"
"$bombs" lying "$T/bin/lying"
build mini
head -c 1G /dev/zero | xz -0 >"$T/mini.xz"
objcopy --add-section .gnu_debugdata="$T/mini.xz" "$T/bin/mini"
build lines -gdwarf-5
objcopy -O binary --only-section=.debug_line --set-section-flags .debug_line=alloc "$T/full/lines" "$T/line.in"
"$bombs" lines "$T/line.in" "$T/line.out"
objcopy --update-section .debug_line="$T/line.out" --compress-debug-sections=zlib-gabi "$T/full/lines" "$T/bin/lines"
rm "$T/line.out"
figure "bombs of $(stat -c %s "$T"/bin/{zeros,lying,mini,lines} | awk '{n += $1} END {print int(n / 1024)}') KiB"

start_profd
spin good zeros lying mini lines
profile_spinners
valid "${files[@]}"
pprof -top -nodecount 1000000 -nodefraction 0 "${files[0]}" >"$T/top" 2>/dev/null
named good
# Their symbol tables are as they were.
for name in zeros lying; do
	grep -q " spin::outer_$name" "$T/top" || { cat "$T/top"; fail "$name: its symbol table was not read"; }
done
grep -q ' mini+0x' "$T/top" || { cat "$T/top"; fail "mini: did not run"; }
grep -Eq ' (spin::outer_lines|lines\+0x)' "$T/top" || { cat "$T/top"; fail "lines: did not run"; }
refused=$(counter debug_files_refused)
is "$refused >= 2" || fail "$refused refused"
deaths=$(counter scribe_restarts)
is "$deaths <= 3" || fail "$deaths scribes died"
kill -0 "$profd_pid" || fail "profd is gone"
resident=$(awk '/VmHWM/ {print int($2 / 1024)}' "/proc/$(role_pid scribe)/status")
# What is read of them is less than the least of them holds.
is "$resident < 400" || fail "the scribe took $resident MiB"
figure "$refused refused, $deaths scribes died, $resident MiB at most"
stop_profd
