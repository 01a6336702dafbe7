#!/bin/bash
# Proves that measured locks behave as bare ones: every kind of mutex with its own
# answers, cancellation with its handlers, robust owners that die, conditions between
# processes, forks and exits while others wait, longjmp out of a wait, more stacks and
# more locks than there is room for, locks whose memory is gone. A waiter that was
# cancelled or has jumped away is charged to nobody. And so while nobody measures.
. "$(dirname "$0")/../lib.sh"

"$fixtures/hazard-locks" >"$T/bare" || [ $? = 5 ] || fail "bare: status $?"
status=0
LD_PRELOAD=$client "$fixtures/hazard-locks" >"$T/off" || status=$?
[ $status = 5 ] || fail "not measured: status $status"
cmp "$T/bare" "$T/off" || { diff "$T/bare" "$T/off"; fail "not measured: it behaves otherwise"; }

status=0
PROFD_BLOCK=1 "$profctl" run --block "$T/block.pb.gz" --mutex "$T/mutex.pb.gz" --heap "$T/heap.pb.gz" \
	-- "$fixtures/hazard-locks" >"$T/on" 2>"$T/stderr" || status=$?
[ $status = 5 ] || { cat "$T/stderr"; fail "measured: status $status"; }
cmp "$T/bare" "$T/on" || { diff "$T/bare" "$T/on"; fail "measured: it behaves otherwise"; }
valid "$T/block.pb.gz" "$T/mutex.pb.gz" "$T/heap.pb.gz"
eval "$(raw "$T/mutex.pb.gz" delay jumps='^jumps$' cancellations='^cancellations$' many='^many$' \
	inner='^inner_release$' outer='^outer_release$' forks='^crowd$')"
[ "$jumps" = 0 ] || fail "waiters that have jumped out are charged: $jumps ns"
[ "$cancellations" = 0 ] || fail "waiters that were cancelled are charged: $cancellations ns"
is "$inner == 0 and $outer > 4e7" || fail "recursive: inner $inner ns, outer $outer ns"
is "$many > 0 and $forks > 1e6" || fail "others are not charged: $many, $forks"
eval "$(raw "$T/block.pb.gz" contentions turns='^other_process$')"
pprof -raw "$T/block.pb.gz" | grep -E '^Comment: ' >"$T/comments" || true
lost=$(sed -n 's/.* \([0-9]*\) waits and threads lost.*/\1/p' "$T/comments")
is "${lost:-0} > 20000 and $n + $lost >= 60000" || fail "stacks: $n kept, ${lost:-0} lost"
figure "$(wc -l <"$T/bare") cases as bare; of 60,000 stacks $n kept and $lost counted as lost"

# The small table of a program with little address space.
status=0
(ulimit -v 262144; PROFD_BLOCK=1 PROFD_MUTEX=1 LD_PRELOAD=$client "$fixtures/hazard-locks" >"$T/small") ||
	status=$?
[ $status = 5 ] && cmp "$T/bare" "$T/small" || { diff "$T/bare" "$T/small"; fail "small table: status $status"; }
