#!/bin/bash
# Proves that the client gets by on the smallest stacks: threads of 16 KiB, coroutines
# and signal handlers on 8 KiB. At most 1 KiB of them is its own.
. "$(dirname "$0")/../fixtures/hazard-lib.sh"

start_profd
bare=$("$fixtures/hazard-stacks") || fail "not even bare"
for rate in 1 1000; do
	survives env PROFD_RATE=$rate "$fixtures/hazard-stacks"
	under=$(cat "$T/under")
	ours=$((${under#deepest } - ${bare#deepest }))
	is "$ours <= 1024" || fail "$ours bytes of stack are ours"
	[ $rate = 1 ] || continue
	figure "$ours bytes of stack are ours (a malloc takes ${under#deepest }, bare ${bare#deepest })"
	is "$ours > 0" || fail "it sampled nothing: nothing was proved"
done
