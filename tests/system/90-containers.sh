#!/bin/bash
# Proves that what runs in a container is profiled with the names of the
# container's files: PID, mount and UTS namespaces and a root of its own, where
# the program lies at a path that outside leads to another build, with the same
# code under another name. Once with programs that live for 10 ms, whose root has
# gone with them, and once with one that stays; and after the fact, by the
# container's id, which is in its control group.
. "$(dirname "$0")/../lib.sh"
need_root
leaves() { python3 "$root/tests/leaves.py" "$@"; }
why=$("$root/tests/own-mounts" true) || skip "$why"
id=$(printf '%064d' 0 | tr 0 c)

# In the container and outside the program is $T/app.
mkdir -p "$T/root$T" "$T/root/proc" "$T/cgroup"
cp "$fixtures/short-other" "$T/app"
cp "$fixtures/short-burn" "$T/root$T/app"
cp "$fixtures/spawner" "$T/root/spawner"

cat >"$T/container.sh" <<'END'
mount -t cgroup2 cgroup2 "$T/cgroup" && mkdir -p "$T/cgroup/docker-$id.scope" &&
	echo $$ >"$T/cgroup/docker-$id.scope/cgroup.procs" || exit 77
exec unshare --pid --fork --kill-child --uts --ipc sh -c "
	mount -t proc proc '$T/root/proc' && hostname container && exec chroot '$T/root' $*"
END
container() { T=$T id=$id "$root/tests/own-mounts" bash "$T/container.sh" "$@"; }
remove_group()
{
	T=$T id=$id "$root/tests/own-mounts" bash -c \
		'mount -t cgroup2 cgroup2 "$T/cgroup" && rmdir "$T/cgroup/docker-$id.scope"'
}
at_exit+=(remove_group)

# judge FILTER...: of the samples in the container's program.
judge()
{
	snapshot --type cpu "$@" --output "$T"
	leaves "${files[0]}" | awk -F'\t' -v id="$id" '
		$3 != "app" { next }
		{ all += $1 }
		$7 == "burn_in_this" { right += $1 }
		$7 == "burn_in_that" { wrong += $1 }
		$5 == id { unit += $1 }
		END { printf "all=%d right=%d wrong=%d unit=%d\n", all, right, wrong, unit }' >"$T/counts"
	rm "${files[0]}"
	eval "$(cat "$T/counts")"
	[ "$wrong" = 0 ] || fail "$wrong samples have the names of the file outside"
}

start_profd
status=0
container /spawner 300 "$T/app" >"$T/spawned" || status=$?
[ $status = 77 ] && skip "no control group version 2 here"
[ $status = 0 ] || fail "the container ended with status $status"
judge --comm app
figure "300 programs of 10 ms in a container: $right of $all samples named, $unit with its id"
is "$all >= 150" || fail "only $all samples"
is "$right >= 0.9 * $all" || fail "$right of $all samples are named"
is "$unit >= 0.9 * $all" || fail "$unit of $all samples have the container's id"

container "$T/app" 1500 || fail "the container ended with status $?"
judge --unit "$id"
figure "by the container's id, after its end: $right of $all samples named"
is "$all >= 250 and $right >= 0.9 * $all" || fail "$right of $all samples are named"

# The same path outside has the names of the file outside.
"$T/app" 500 &
pid=$!
wait "$pid"
snapshot --type cpu --pid "$pid" --output "$T"
that=$(leaves "${files[0]}" | awk -F'\t' '$7 == "burn_in_that" { n += $1 } END { print n + 0 }')
is "$that >= 20" || fail "the program outside has $that samples under its own name"
