#!/bin/bash
# Proves that a client which turns on its reader harms nobody but itself: its table
# cannot be cut, and while it is punched and scribbled over, profd reads it again
# and again, stays up, and serves another target with right values.
. "$(dirname "$0")/../fixtures/hazard-lib.sh"
need_root

. "$(dirname "$0")/../fixtures/fork-lib.sh"
start_profd
start_heap # the neighbour, at rate 1
tell a counted
target PROFD_RATE=1 "$fixtures/hazard-scribble"  900
wait_said '^ready' 10
hostile=$target_pid
rounds=0 read=0
# As often as to tell, and 8 s at least; it may also die of what it does.
at_least=$((SECONDS + $(times 8)))
while kill -0 "$hostile" 2>/dev/null && { [ $rounds -lt 12 ] || [ $read -lt 3 ] || [ $SECONDS -lt $at_least ]; }; do
	if "$profctl" snapshot --pid "$hostile" --no-trim --output "$T" >"$T/hostile.out" 2>"$T/stderr"; then
		valid "$(cat "$T/hostile.out")"
		rm -f "$(cat "$T/hostile.out")"
		read=$((read + 1))
	fi
	"$profctl" list >/dev/null || fail "profd does not answer"
	sums_of "$heap_pid" inuse_space counted='^counted$'
	[ "$counted" = 32000 ] || fail "the neighbour has $counted bytes in use, not 32000"
	rounds=$((rounds + 1))
done
kill -TERM "$hostile" 2>/dev/null || true
wait "$hostile" 2>/dev/null || true
kill -0 "$profd_pid" || fail "profd has died"
[ $rounds -ge 5 ] && [ $read -ge 1 ] || fail "$rounds rounds, $read profiles: too few to tell"
figure "$(grep -h scribbled "$T/target.log" || echo "it died of it") (rounds, holes); read $read times meanwhile, all valid; the neighbour right $rounds times"
stop_profd
