#!/bin/bash
# Proves rotation and retention: with an interval, CPU and heap files appear by
# themselves under the documented names, and no more of them stay than allowed.
. "$(dirname "$0")/../lib.sh"

cat >"$T/profd.conf" <<END
[profd]
keep-files = 6
END
start_profd --config "$T/profd.conf" --rotate 1s
target "$fixtures/leak" 900
wait_attached "$target_pid"
count() { ls "$T/state" | grep -c "^$1" || true; }
ours=heap_leak_${target_pid}_
some() { [ "$(count cpu_)" -ge 1 ] && [ "$(count "$ours")" -ge 2 ]; }
if grep -q '^cpu *off' <("$profctl" status); then
	some() { [ "$(count "$ours")" -ge 2 ]; }
	echo "no CPU sampling here"
fi
wait_for 15 some || { ls -l "$T/state"; fail "no files"; }
cp -a "$T/state" "$T/copy"
valid "$T"/copy/*
for file in "$T"/copy/*; do
	[[ $(basename "$file") =~ ^(heap_[A-Za-z0-9._-]+_[0-9]+|cpu)_[0-9]{8}T[0-9]{6}\.[0-9]{3}Z\.pb\.gz$ ]] ||
		fail "not a name of ours: $file"
	[ "$(stat -c %a "$file")" = 640 ] || fail "$file: mode $(stat -c %a "$file"), not 640"
done

# A file that is not profd's stays, however many there are.
echo mine >"$T/state/notes.txt"
rotations=$(counter snapshots_written)
rotated() { [ "$(counter snapshots_written)" -ge $((rotations + 16)) ]; } # 8 rounds of two files, or more
wait_for 60 rotated || fail "it rotates no more"
kept=$(ls "$T/state" | grep -c '\.pb\.gz$')
figure "$kept files kept of 16 and more, 6 allowed"
# Those of a round that is being written come on top.
is "$kept <= 6 + 3" || { ls -l "$T/state"; fail "retention"; }
is "$kept >= 3" || { ls -l "$T/state"; fail "too few files"; }
[ "$(cat "$T/state/notes.txt")" = mine ] || fail "a file of someone else was deleted"
[ "$(count "$ours")" -ge 1 ] || fail "not even the newest heap was kept"
stop_profd
