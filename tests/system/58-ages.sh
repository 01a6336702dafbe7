#!/bin/bash
# Proves that a heap profile says how long the live objects of its largest stacks
# have lived, where a person reads it, and that labels do not change by it.
. "$(dirname "$0")/../lib.sh"

start_profd
target PROFD_RATE=1 "$fixtures/fork-ages" 4
wait_for 20 grep -q ready "$T/target.log" || fail "the fixture did not start"
wait_attached "$target_pid"
mkdir "$T/out"
snapshot --pid "$target_pid" --output "$T/out"
valid "${files[@]}"
"$profctl" top "${files[0]}" >"$T/top"
grep '^age of' "$T/top" || { cat "$T/top" >&2; fail "top tells no ages"; }
! grep '^age of.*{' "$T/top" >&2 || fail "an address was left without a name"

# age_of FUNCTION SAMPLES: $youngest, $median, $oldest in seconds.
age_of()
{
	local line

	line=$(grep -E "^age of $2 samples in $1 fork-ages\.c:[0-9]+: " "$T/top") ||
		fail "no age of $2 samples in $1"
	read -r youngest median oldest < <(sed -E \
		's/.*: youngest ([0-9.]+)s, median ([0-9.]+)s, oldest ([0-9.]+)s$/\1 \2 \3/' <<<"$line")
}

# The ages are those of one moment: what lies between the two is the pause, less
# what a coarse clock and the rounding take.
age_of allocate_old 300
old=$youngest
is "$youngest <= $median <= $oldest" || fail "not in order: $youngest $median $oldest"
age_of allocate_young 100
is "$youngest <= $median <= $oldest" || fail "not in order: $youngest $median $oldest"
is "$old - $oldest >= 3.8" || fail "the old are $old s old, the young $oldest s: no pause of 4 s"

# What is older on the second look is nothing new to -base.
snapshot --pid "$target_pid" --output "$T/out"
"$profctl" --json top --base "$(ls "$T/out"/*.pb.gz | head -1)" "${files[0]}" >"$T/diff"
[ "$(json_of cat "$T/diff" "[f['flat'] for f in j['functions'] if 'allocate_' in f['name']]")" = "[]" ] ||
	fail "the difference of two snapshots is not empty"
