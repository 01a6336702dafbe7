#!/bin/bash
# Proves that a running program, of which nobody thought before, measures what its
# threads wait for when it is asked, for as long, and no longer: the hooks' word in its
# table is 1 meanwhile and 0 after, also when two ask at once, when one hangs up, and
# when profd is killed in the middle and another takes over. Threads created are
# known from the start. Without waits the profile is a valid one.
. "$(dirname "$0")/../lib.sh"
need_root

start_profd
duration_of() { json_of "$profctl" --json top "$1" "j['duration_ns']"; }
target "$fixtures/locks" go "$T/stop"
wait_for 20 grep -q ready "$T/target.log" || fail "the program did not start"
wait_attached "$target_pid"

# The words `on` and `always` of struct heap_waits, of the table that @1 maps.
cat >"$T/word.py" <<'END'
import struct, sys
for line in open(f'/proc/{sys.argv[1]}/maps'):
    if '/memfd:profd-heap' in line and ' 00000000 ' in line:
        with open(f'/proc/{sys.argv[1]}/mem', 'rb') as mem:
            mem.seek(int(line.split('-')[0], 16) + 408)
            print(*struct.unpack('II', mem.read(8)))
END
word() { python3 "$T/word.py" "$target_pid"; }
word_is() { [ "$(word)" = "$1" ]; }
word_is '0 0' || fail "it measures before it is asked: $(word)"

snapshot --pid "$target_pid" --type threadcreate
valid "${files[0]}"
pprof -raw "${files[0]}" | grep 'threadcreate/count' >/dev/null || fail "threadcreate: the type"
eval "$(raw "${files[0]}" threadcreate create_one='^^create_one$' c11='^^create_c11$')"
[ "$create_one" -ge 12 ] || fail "$create_one threads created by create_one"
is "$c11 * 12 <= $create_one * 7" && is "$total == $create_one + $c11" ||
	fail "threads: $total, $create_one, $c11"
word_is '0 0' || fail "threadcreate made it measure"

# Two at once, of different lengths; one that hangs up.
"$profctl" snapshot --pid "$target_pid" --type block,mutex --seconds 12s >"$T/long" &
long=$!
"$profctl" snapshot --pid "$target_pid" --type block --seconds 300s >/dev/null 2>&1 &
endless=$!
wait_for 10 word_is '1 0' || fail "it does not measure: $(word)"
snapshot --pid "$target_pid" --type block --seconds 1s
short=${files[0]}
kill -0 "$long" || fail "a second took longer than 12: nothing is proven"
word_is '1 0' || fail "the shorter request ended the longer: $(word)"
wait "$long" || fail "the longer request"
mapfile -t files <"$T/long"
[ ${#files[@]} = 2 ] || fail "files: ${files[*]}"
valid "$short" "${files[@]}"
word_is '1 0' || fail "it was ended while somebody waits still"
kill "$endless"
wait "$endless" || true
wait_for 5 word_is '0 0' || fail "it goes on though nobody waits: $(word)"
waiters='^^wait_(mutex|mtx|read|write|cond|clock|cnd|sem|barrier)$|^join_thread$'
eval "$(raw "$short" delay ours="$waiters")"
one=$total
is "$ours >= 0.99 * $total and $total > 5e8" || fail "block: $ours ns of $total"
for file in "${files[@]}"; do
	case "$file" in
	*block_*) eval "$(raw "$file" delay ours="$waiters")"
		# ended with the shorter one, it would have as much
		is "$total > 1.3 * $one" || fail "12 s: $total ns, 1 s of them: $one ns" ;;
	*mutex_*) eval "$(raw "$file" delay ours='^^hold_')"
		is "$total > 1e7 and $ours >= 0.99 * $total" || fail "mutex: $ours ns of $total" ;;
	*) fail "$file: what is this?" ;;
	esac
done
figure "blocked in $(($(duration_of "$short") / 1000000)) ms: $((one / 1000000)) ms, by request, of a program that ran already"

# What the last request saw is not seen again.
snapshot --pid "$target_pid" --type block --seconds 1s
eval "$(raw "${files[0]}" delay)"
is "$total / $(duration_of "${files[0]}") < 3 * $one / $(duration_of "$short")" ||
	fail "another second: $total ns, the first: $one ns"

# An engine that is killed leaves the word as it is; its successor clears it.
"$profctl" snapshot --pid "$target_pid" --type block --seconds 300s >/dev/null 2>&1 &
own_pids+=($!)
wait_for 10 word_is '1 0' || fail "it does not measure: $(word)"
engine=$(role_pid engine)
kill -STOP "$engine" # it is not to end by itself
kill -KILL "$engine"
another_engine() { [ "$(role_pid engine)" != "$engine" ]; }
wait_for 10 another_engine || fail "there is no other engine"
wait_for 10 word_is '0 0' || fail "the next engine left it on: $(word)"
wait_attached "$target_pid"
touch "$T/stop"
wait "$target_pid" || fail "the program ended with status $?"

# Nothing waits here.
target sleep 1000
wait_attached "$target_pid"
snapshot --pid "$target_pid" --type block,mutex,threadcreate --seconds 100ms
[ ${#files[@]} = 3 ] || fail "files: ${files[*]}"
valid "${files[@]}"
for file in "${files[@]}"; do
	eval "$(raw "$file" "$([ "${file#*threadcreate}" = "$file" ] && echo delay || echo threadcreate)")"
	[ "$total" = 0 ] && [ "$n" = 0 ] || fail "$file: $total"
done
