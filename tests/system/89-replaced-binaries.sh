#!/bin/bash
# Proves that names are those of the build that runs, whatever its path leads to
# by now: a program that another build has been renamed over, one that was
# unlinked, one that had ended before anybody looked; with a build-id and without
# one (then device and inode decide). The other build has the same code at the
# same offsets under another name, so that a mistake would look right.
. "$(dirname "$0")/../lib.sh"
need_root
leaves() { python3 "$root/tests/leaves.py" "$@"; }
for build in short-burn short-other; do
	cp "$fixtures/$build" "$T/$build"
	objcopy --remove-section .note.gnu.build-id "$fixtures/$build" "$T/$build-bare" ||
		fail "objcopy"
	readelf -n "$T/$build-bare" | grep 'Build ID' >/dev/null && fail "the build-id is still there"
done
mkdir "$T/bin"

# judge FILTER...: what the samples were called, in $all, $right, $wrong.
judge()
{
	snapshot --type cpu "$@" --output "$T"
	leaves "${files[0]}" | awk -F'\t' '
		{ all += $1 }
		$7 == "burn_in_this" { right += $1 }
		$7 == "burn_in_that" { wrong += $1 }
		END { printf "all=%d right=%d wrong=%d\n", all, right, wrong }' >"$T/counts"
	rm "${files[0]}"
	eval "$(cat "$T/counts")"
}

# replaced SUFFIX HOW: runs the first build and does HOW to its file meanwhile.
replaced()
{
	local program=$T/bin/$2$1 pid

	cp "$T/short-burn$1" "$program"
	cp "$T/short-other$1" "$T/other"
	"$program" 1500 &
	pid=$!
	own_pids+=("$pid")
	wait_for 5 is_running "$program" "$pid" || fail "$program does not run"
	$2 "$T/other" "$program"
	wait "$pid" 2>/dev/null || true
	judge --pid "$pid"
	figure "$2, build-id ${1:-kept}: $right right, $wrong wrong of $all"
	[ "$wrong" = 0 ] || fail "$wrong samples have the new build's names"
	is "$all >= 75 and $right >= 0.9 * $all" || fail "$right of $all samples are named"
}

# Programs that have ended, and whose paths lead elsewhere, before anybody looks:
# no name is better than a wrong one.
ended()
{
	local program=$T/bin/ended$1

	for _ in $(seq 40); do
		cp "$T/short-burn$1" "$program"
		cp "$T/short-other$1" "$T/other"
		"$program"
		mv "$T/other" "$program"
	done
	judge --comm "ended$1"
	figure "ended, build-id ${1:-kept}: $right right, $wrong wrong of $all"
	[ "$wrong" = 0 ] || fail "$wrong samples have the new build's names"
	is "$all >= 15" || fail "only $all samples"
}
is_running() { [ "$(readlink "/proc/$2/exe")" = "$1" ]; }
replace() { mv "$1" "$2"; }
replace_later() { sleep 0.6; mv "$1" "$2"; } # when the daemon has met it
remove() { rm "$2"; }

start_profd
for suffix in "" -bare; do
	ended "$suffix"
	for how in replace replace_later remove; do
		replaced "$suffix" $how
	done
done
# The new build runs at the path of the old one, with names of its own.
"$T/bin/replace" 500 &
pid=$!
wait "$pid"
judge --pid "$pid"
is "$wrong >= 20 and $right == 0" || fail "the new build has $wrong samples under its own name, $right not"
