#!/bin/bash
# Proves that a forked child's heap holds what it inherited and counts for it alone,
# that the parent's numbers do not move, and that exec starts afresh.
. "$(dirname "$0")/../fixtures/fork-lib.sh"

functions=(inherited=^inherited own='^child_own$' fresh='^after_exec$')
start_profd
start_heap
wait_attached "$heap_pid"
sums_of "$heap_pid" inuse_space "${functions[@]}"
[ "$inherited" = 100000 ] || fail "the parent holds $inherited bytes, not 100000"
before=$total
sums_of "$heap_pid" alloc_objects
before_objects=$total

# Spawned children borrow the parent's memory, and must not count for it; and that they
# confine themselves is no reason for the parent's children to go without a profile.
tell v spawned
tell f child
child=$(sed -n 's/^child //p' "$T/target.log")
own_pids+=("$child")
wait_attached "$child"

sums_of "$child" inuse_space "${functions[@]}"
[ "$inherited" = 60000 ] || fail "of what it inherited the child has $inherited bytes, not 60000"
[ "$own" = 60000 ] || fail "of its own the child has $own bytes, not 60000"
sums_of "$child" inuse_objects "${functions[@]}"
[ "$inherited $own" = "600 300" ] || fail "the child has $inherited and $own objects, not 600 and 300"

sums_of "$heap_pid" inuse_space "${functions[@]}"
[ "$inherited $own" = "100000 0" ] || fail "the parent has $inherited and $own bytes, not 100000 and 0"
[ "$total" = "$before" ] || fail "the parent's total went from $before to $total bytes"
sums_of "$heap_pid" alloc_objects
[ "$total" = "$before_objects" ] || fail "the parent's objects went from $before_objects to $total"

# What the parent does now is its own, too.
tell a counted
sums_of "$child" alloc_objects theirs='^counted$'
[ "$theirs" = 0 ] || fail "the child counts $theirs objects of its parent's"

tell x exec
afresh()
{
	sums_of "$heap_pid" alloc_objects "${functions[@]}" theirs='^counted$'
	[ "$inherited $fresh $theirs" = "0 50 0" ]
}
wait_for 10 afresh ||
	fail "after exec: $inherited and $theirs objects of the old program, $fresh of the new"
sums_of "$child" inuse_space "${functions[@]}"
[ "$inherited $own" = "60000 60000" ] || fail "the parent's exec changed the child: $inherited $own"
figure "parent $before bytes before and after 40 spawned children and a fork; child 60000 of 100000 and 60000 of its own"
