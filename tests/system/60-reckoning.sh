#!/bin/bash
# Proves that the reckoning accounts for RSS: of a program whose thread stacks,
# mapped memory, mapped file, live and freed heap are known, each piece is shown
# within 3% or 0.7 MB, the pieces add up to RSS, and the sum is what the kernel says;
# that a thread which never sleeps is said to be missing; and that `profctl top`
# prints it all, with and without a trim.
. "$(dirname "$0")/../fixtures/hazard-lib.sh"

start_profd
dd if=/dev/zero of="$T/file" bs=1M count=16 status=none
mkfifo "$T/go"
exec 9<>"$T/go"
target_prefix=(bash -c 'exec "$@" <'"$T/go 9<&-" -)

piece() { sed -n "s/^reckoning: *\([0-9.]*\) MB $1.*/\1/p" "$T/top"; }
# near NAME WANTED-MB REGEX: within 3%, or 0.7 MB for what else is there.
near()
{
	local got

	got=$(piece "$3")
	[ -n "$got" ] || { cat "$T/top"; fail "the reckoning has no $1"; }
	is "abs($got - $2) <= max(0.03 * $2, 0.7)" || { cat "$T/top"; fail "$1: $got MB, not $2"; }
	figure "$1: $got MB, $2 wanted"
}
# The pieces, to the rounding of each, against RSS as shown and as the kernel has it.
adds_up()
{
	local sum shown kernel

	sum=$(sed -n 's/^reckoning: *\([0-9.]*\) MB [a-z].*/\1/p' "$T/top" | paste -sd+)
	shown=$(sed -n 's/.*the \([0-9.]*\) MB \(after it\|of RSS\) are:.*/\1/p' "$T/top")
	kernel=$(awk '/^Rss:/ { print $2 * 1024 / 1e6 }' "/proc/$target_pid/smaps_rollup")
	is "abs($sum - $shown) <= 0.4" || { cat "$T/top"; fail "$sum is not $shown"; }
	is "abs($shown - $kernel) <= 0.5" || { cat "$T/top"; fail "RSS $shown, not $kernel"; }
	figure "the pieces: $(python3 -c "print(round($sum, 1))") MB; RSS: $shown; the kernel: $kernel"
}

target PROFD_RATE=16384 "$fixtures/account" 64 256 32 "$T/file" 16 20 10
wait_said ready
wait_attached "$target_pid"
snapshot --pid "$target_pid" --output "$T"
"$profctl" top "${files[0]}" >"$T/top"
# A stack has a page or two beyond what the test touched: 64 of 256 KiB, and some.
near 'thread stacks' "$(python3 -c 'print(64 * (256 + 8) * 1024 / 1e6)')" 'thread stacks: of 6[67] of 6[67] threads'
near 'other anonymous' "$(python3 -c 'print(32 * 1048576 / 1e6)')" 'other anonymous memory'
near 'heap in use' "$(python3 -c 'print(20 * 1048000 * 2016 / 2000 / 1e6)')" 'heap in use'
near 'heap free' 0.3 'heap free but still resident'
files_of() { awk '/^Rss:/ { r = $2 } /^Anonymous:/ { a = $2 } END { print (r - a) * 1024 / 1e6 }' "/proc/$target_pid/smaps_rollup"; }
near 'files and table' "$(files_of)" 'files and shared memory'
is "$(piece 'files and shared memory') >= 16.7" || fail "the mapped file is not in it"
is "$(piece 'files and shared memory') + $(piece 'the table') <= $(files_of) + 0.2" || fail "files: too many"
adds_up
# Before the trim there were 10 MiB free in a heap of 30.
grep -Eq 'had (9|1[0-2])\.[0-9] MB free before' "$T/top" || { cat "$T/top"; fail "free before the trim"; }

# Without a trim the allocator has not been asked; the rest is known all the same.
snapshot --pid "$target_pid" --no-trim --output "$T"
"$profctl" top "${files[0]}" >"$T/top"
near 'thread stacks, no trim' "$(python3 -c 'print(64 * (256 + 8) * 1024 / 1e6)')" 'thread stacks'
near 'heap and other, no trim' "$(python3 -c 'print((32 * 1048576 + 20 * 1048000 * 2016 / 2000) / 1e6)')" 'heap and other anonymous'
adds_up
exec 9<&-

# A thread that never sleeps is not found, and that is said.
mkfifo "$T/go2"
exec 9<>"$T/go2"
target_prefix=(bash -c 'exec "$@" <'"$T/go2 9<&-" -)
target "$fixtures/account" 8 256 1 "$T/file" 1 1 -1
wait_said ready
wait_attached "$target_pid"
snapshot --pid "$target_pid" --output "$T"
"$profctl" top "${files[0]}" >"$T/top"
found=$(sed -n 's/.*thread stacks: of \([0-9]*\) of \([0-9]*\) threads.*/\1 < \2/p' "$T/top")
[ -n "$found" ] && is "$found" || { cat "$T/top"; fail "a running thread was found: $found"; }
adds_up
figure "with a thread that never sleeps: $found"
exec 9<&-
