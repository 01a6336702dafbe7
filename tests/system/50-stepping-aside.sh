#!/bin/bash
# Proves that a program of one thread is one under the client, too, whenever it makes
# a difference: it changes its privileges and its name spaces as bare, and whether
# profd can still ask it for something is as said.
. "$(dirname "$0")/../fixtures/hazard-lib.sh"
need_root
as_bare unshare -Ur id -u </dev/null
for what in namespaces thread capabilities vfork sandbox; do
	as_bare "$fixtures/client-aside" $what </dev/null
done
grep -q '^unshare the users: done' <("$fixtures/client-aside" namespaces </dev/null) ||
	echo "unshare the users is not allowed here, which proves less"

start_profd
# asked WHAT: the line about the trim, of a program that has done WHAT.
asked()
{
	mkfifo "$T/$1"
	exec 9<>"$T/$1"
	target_prefix=(bash -c 'exec "$@" <'"$T/$1 9<&-" -)
	target "$fixtures/client-aside" "$1"
	wait_attached "$target_pid"
	wait_said ready
	threads=$(ls "/proc/$target_pid/task" | wc -l)
	snapshot --pid "$target_pid" --output "$T" 2>"$T/said"
	line=$(pprof -comments "${files[0]}" | grep -E '^ *trim ')
	exec 9<&-
	wait "$target_pid" || fail "$1: status $?"
}

for what in namespaces thread vfork; do
	asked $what
	[ "$threads" = 2 ] || fail "$what: $threads threads"
	grep -q '^ *trim 1 @' <<<"$line" || fail "$what: $line"
done
for what in capabilities sandbox; do
	asked $what
	[ "$threads" = 1 ] || fail "$what: $threads threads"
	grep -q 'trim skipped @.*given up for privileges' <<<"$line" || fail "$what: $line"
done
