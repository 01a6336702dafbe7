#!/bin/bash
# Proves the main job: of a program that was neither changed nor rebuilt, a
# series of heap snapshots shows what grew, by function, file and line, on top.
. "$(dirname "$0")/../lib.sh"

start_profd
# Finer than by default, so that chance cannot make the cache seem to grow.
target PROFD_RATE=65536 "$fixtures/leak" 900
wait_attached "$target_pid"
sleep 1 # it warms its cache up
mkdir "$T/out"
snapshot --pid "$target_pid" --every 2s --count 3 --output "$T/out"
[ ${#files[@]} = 3 ] || fail "3 snapshots gave ${#files[@]} files"
for file in "${files[@]}"; do
	[[ $(basename "$file") =~ ^heap_leak_${target_pid}_[0-9]{8}T[0-9]{6}\.[0-9]{3}Z\.pb\.gz$ ]] ||
		fail "not a name for a heap profile: $file"
done
# On a busy machine 4 s may have been few requests: then the last one is of later.
grown() { snapshot --pid "$target_pid" --output "$T/out"; eval "$(raw "${files[0]}" inuse_space leak=open_session)"; is "$leak > $first_leak + 15e6"; }
three=("${files[@]}")
eval "$(raw "${three[0]}" inuse_space leak=open_session | sed 's/\([a-z]*\)=/first_\1=/g')"
eval "$(raw "${three[2]}" inuse_space leak=open_session)"
is "$leak > $first_leak + 15e6" || { wait_for 200 grown || fail "the leak did not grow"; three[2]=${files[0]}; }
files=("${three[@]}")
valid "${files[@]}"

line=$(grep -n '// LEAK' "$root/tests/fixtures/leak.cc" | cut -d: -f1)
"$profctl" top "${files[2]}" --base "${files[0]}" >"$T/top" || fail "profctl top"
head -20 "$T/top"
first=$(grep -m1 -E '^ *-?[0-9.]+ ?[kKMG]?i?B\b' "$T/top") || fail "no row of bytes in top's output"
grep -q 'open_session' <<<"$first" || fail "the first row is not the leaking function: $first"
grep -A2 -F "$first" "$T/top" | grep -E "leak\.cc:$line\b" >/dev/null || fail "top does not say leak.cc:$line"

# The same by numbers, out of Go's tool: what the last has beyond the first.
eval "$(raw "${files[0]}" inuse_space leak=open_session | sed 's/\([a-z]*\)=/first_\1=/g')"
eval "$(raw "${files[2]}" inuse_space leak=open_session cache=cache_answer parse=parse_request |
	sed 's/\([a-z]*\)=/last_\1=/g')"
figure "in open_session: $first_leak bytes, four seconds later or more $last_leak"
is "$last_leak > $first_leak + 10e6" || fail "the leak did not grow"
is "$last_parse < 0.02 * $last_total" || fail "what was freed shows up as in use: $last_parse bytes"
is "($last_total - $first_total) * 0.85 < $last_leak - $first_leak" ||
	fail "less than 85% of the growth is in the leaking function"
