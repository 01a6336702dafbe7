#!/bin/bash
# Proves that `profctl run` needs no daemon, no root and no set-up, leaves both
# profiles, and exits as its command did.
. "$(dirname "$0")/../lib.sh"
unset PROFD_SOCKET
for_everyone

# both WHO PREFIX...: a run gives one valid heap and one valid CPU profile.
both()
{
	local who=$1 dir=$T/$1
	shift

	mkdir "$dir"
	chmod 777 "$dir"
	# Busy in the profiled process itself, and with memory in use at its end.
	(cd "$dir" && "$@" "$profctl" run -- /usr/bin/python3 -c "
x = [str(i) * 50 for i in range(200000)]
s = 0
for i in range(6000000): s += i
") || fail "$who: exit status $?"
	valid "$dir"/heap_*.pb.gz "$dir"/cpu_*.pb.gz
	[ "$(ls "$dir" | wc -l)" = 2 ] || fail "$who: left behind: $(ls "$dir")"
	eval "$(raw "$dir"/cpu_*.pb.gz samples)"
	is "$total >= 10" || fail "$who: $total CPU samples"
	figure "as $who: $total CPU samples"
	eval "$(raw "$dir"/heap_*.pb.gz alloc_space)"
	is "$total >= 1e6" || fail "$who: $total bytes allocated"
}

# exits N COMMAND...
exits()
{
	local wanted=$1
	shift
	mkdir -p "$T/exits"
	chmod 777 "$T/exits"
	status_is "$wanted" "${as[@]}" "$profctl" run --output "$T/exits" -- "$@"
}

exits_all()
{
	exits 0 true
	exits 7 sh -c 'exit 7'
	exits 137 sh -c 'kill -KILL $$'
	exits 143 sh -c 'kill -TERM $$'
	exits 127 "$T/no-such-command"
	exits 126 /etc/passwd
	# Standard streams are the command's own.
	out=$(echo in | "${as[@]}" "$profctl" run --output "$T/exits" -- cat 2>/dev/null)
	[ "$out" = in ] || fail "standard input or output went astray: $out"
}

as=()
both "$(id -un)"
exits_all
if [ "$(id -u)" = 0 ]; then
	as=(setpriv --reuid 65534 --regid 65534 --clear-groups env HOME=/ TMPDIR=/tmp)
	echo "perf_event_paranoid is $(cat /proc/sys/kernel/perf_event_paranoid)"
	both nobody "${as[@]}"
	exits_all
fi
