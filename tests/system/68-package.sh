#!/bin/bash
# Proves the package over its whole life in a real systemd: `make deb` builds what
# lintian has no errors for; installed it does nothing until it is started; redis gets
# the client by `profctl enable` and is profiled every 2 s under load, while the package
# is upgraded, the daemon reloaded and killed, the machine rebooted; no file is broken,
# no total goes back, redis never notices; and after removal and purge there is nothing
# left but profiles, and no word of a missing library.
. "$(dirname "$0")/../lib.sh"
need_root
ns=$T/ns
systemd_ns=$root/tests/systemd-ns
packages=$BUILD/deb
# The copy of the tree is one for all: whoever tests it at the same time waits.
mkdir -p "$packages"
exec 9>"$packages/lock"
flock 9

# deb VERSION: builds it, and keeps it in $T.
deb()
{
	make -C "$root" BUILD="$BUILD" DEB_VERSION="$1" deb >"$T/deb.log" 2>&1 || { cat "$T/deb.log"; fail "make deb"; }
	cp "$packages/profd_${1}_amd64.deb" "$T/$1.deb"
}
deb 0.1.0
# While the first is being tried.
(
	cd "$packages"
	lintian --allow-root --fail-on error,warning profd_0.1.0_amd64.changes >"$T/lintian.log" 2>&1 ||
		{ cat "$T/lintian.log"; fail "lintian"; }
	deb 0.1.0+next
) &
next=$!
own_pids+=("$next")

status=0
"$systemd_ns" start "$ns" "$T" 2>"$T/start.err" || status=$?
[ $status = 77 ] && skip "no systemd in namespaces here: $(tail -1 "$T/start.err")"
[ $status = 0 ] || { cat "$T/start.err"; fail "systemd did not start"; }
at_exit+=("'$systemd_ns' stop '$ns'")
inside() { "$systemd_ns" run "$ns" -- "$@"; }
property() { inside systemctl show -p "$2" --value "$1"; }
state() { inside systemctl is-active "$1" || true; }
journal() { inside journalctl --no-pager -u profd -u redis-server | tail -30 >&2; }
package() { inside env DEBIAN_FRONTEND=noninteractive dpkg "$@" >"$T/dpkg.log" 2>&1 || { cat "$T/dpkg.log"; fail "dpkg $*"; }; }

# Listens where nobody else on this machine can: its port is the host's.
redis_is_up() { inside redis-cli -s /run/redis/redis.sock ping | grep -qx PONG; }
begin_redis()
{
	inside sh -c 'sed -i "s|^port .*|port 0\nunixsocket /run/redis/redis.sock|; s/^save .*//; s/^# save \"\"/save \"\"/" /etc/redis/redis.conf'
	inside systemctl start redis-server || { journal; fail "redis does not start here"; }
}
# Objects that come and go, and memory that is neither too much nor ever the same.
begin_load()
{
	wait_for 10 redis_is_up || fail "redis does not answer"
	inside systemd-run --quiet --collect --unit load redis-benchmark -s /run/redis/redis.sock \
		-c 4 -r 20000 -d 400 -n 100000000 -q -t set,lpush
}
begin_redis
# Manuals' triggers take longer than all the rest; an image's policy may be to start nothing.
inside rm -f /var/lib/man-db/auto-update /usr/sbin/policy-rc.d
# What there is beyond the host's files, without the books of others, and redis's own:
# its data, its directory of temporary files, and that it was enabled.
changed()
{
	"$systemd_ns" changed "$ns" | grep -vE '^/var/(lib/(dpkg|redis|systemd)|log|cache)/|^/root/' |
		grep -vE '^/var/tmp/[^/]*-redis|/redis(-server)?.service$|/multi-user.target.wants$'
}
changed >"$T/before"

state_dir=/var/lib/profd
heaps() { inside sh -c "ls $state_dir | grep '^heap_redis-server_$redis_pid''_' || true"; }
# At least @1 more heaps of redis as it runs now.
await_heaps()
{
	local wanted=$(($(heaps | wc -l) + $1))
	more() { [ "$(heaps | wc -l)" -ge $wanted ]; }
	wait_for 30 more || { journal; inside profctl list; fail "no more heaps of redis ($2)"; }
}
# Whatever is done to profd, redis does not notice.
undisturbed()
{
	[ "$(property redis-server MainPID)" = "$redis_pid" ] && redis_is_up || { journal; fail "redis was disturbed ($1)"; }
	[ "$(state load)" = active ] || { inside journalctl -u load | tail >&2; fail "its clients were disturbed ($1)"; }
}
profd_is_back() { [ "$(state profd)" = active ] && [ "$(property profd MainPID)" != "$1" ] && inside profctl status; }

echo "- installed: there, and at rest"
package -i "$T/0.1.0.deb"
[ "$(inside systemctl is-enabled profd)" = disabled ] && [ "$(state profd)" = inactive ] || fail "not at rest"
inside getent group profd >/dev/null || fail "no group profd"
for page in profd.8 profctl.1 profd.conf.5 libprofd.3; do
	inside man -w "${page##*.}" "${page%.*}" >/dev/null || fail "no page $page"
done
inside sh -c 'mkdir /etc/profd.conf.d; printf "[profd]\nrotate = 2s\n" >/etc/profd.conf.d/often.conf'

echo "- started, and redis enabled"
inside systemctl start profd || { journal; fail "systemctl start profd"; }
status_is 0 inside profctl enable --restart redis-server
redis_pid=$(property redis-server MainPID)
begin_load
attached() { inside profctl list | grep -Eq "^ *$redis_pid +redis-server +redis-server.service +attached"; }
wait_for 10 attached || { journal; inside profctl list; fail "redis has no client"; }
await_heaps 2 "at first"
undisturbed "at first"

echo "- upgraded under load"
old=$(property profd MainPID)
inside systemd-run --quiet --unit starts sh -c \
	'while :; do LD_PRELOAD=/usr/lib/profd/libprofd.so /bin/true || exit 1; sleep 0.01; done'
wait $next || fail "the next package"
package -i "$T/0.1.0+next.deb"
wait_for 20 profd_is_back "$old" || { journal; fail "the upgrade did not restart the daemon"; }
inside grep -q 'libprofd.so (deleted)' "/proc/$redis_pid/maps" || fail "redis has not the library of before"
wait_for 10 attached || { journal; fail "the client of before is not found"; }
await_heaps 2 "upgraded"
undisturbed "upgraded"
[ "$(state starts)" = active ] || fail "a program did not start during the upgrade"
inside journalctl -u starts | grep 'ld.so' && fail "the library was away during the upgrade"
inside systemctl stop starts

echo "- reloaded"
if [ "$(property profd CanReload)" = yes ]; then
	old=$(property profd MainPID)
	inside sed -i 's/2s/1s/' /etc/profd.conf.d/often.conf
	inside systemctl reload profd || { journal; fail "systemctl reload profd"; }
	[ "$(property profd MainPID)" = "$old" ] || fail "reload is not restart"
	await_heaps 2 "reloaded"
	undisturbed "reloaded"
else
	echo "  (the unit has no reload)"
fi

echo "- killed"
old=$(property profd MainPID)
inside systemctl kill --signal KILL --kill-who main profd
wait_for 30 profd_is_back "$old" || { journal; fail "not back after kill -9"; }
wait_for 10 attached || { journal; fail "the client is not found after kill -9"; }
await_heaps 2 "killed"
undisturbed "killed"

echo "- rebooted"
inside systemctl enable --quiet profd redis-server
before_reboot=$(heaps | wc -l)
old_pid=$redis_pid
"$systemd_ns" reboot "$ns" || fail "reboot"
up() { [ "$(state profd)" = active ] && redis_is_up; }
wait_for 20 up || { journal; fail "profd and redis are not up"; }
[ "$(heaps | wc -l)" -ge "$before_reboot" ] || fail "profiles were lost"
redis_pid=$(property redis-server MainPID)
begin_load
wait_for 10 attached || { journal; fail "redis has no client after the reboot"; }
await_heaps 2 "rebooted"
undisturbed "rebooted"

# What there is now stays, to the end.
mkdir "$T/files"
cp "$("$systemd_ns" root "$ns")$state_dir"/*.pb.gz "$T/files"
valid "$T"/files/*.pb.gz
for pid in "$old_pid" "$redis_pid"; do
	last=0 n=0
	for file in "$T"/files/heap_redis-server_"${pid}"_*.pb.gz; do
		total=$("$profctl" --json top -n 1 --type alloc_space "$file" | sed -n 's/^  "total": \([0-9]*\),$/\1/p')
		[ "$total" -ge "$last" ] || fail "a total went back: $total after $last ($file)"
		last=$total n=$((n + 1))
	done
	figure "redis, process $pid: $n heaps, up to $((last >> 20)) MiB allocated, no total goes back"
	[ "$last" -gt 0 ] || fail "nothing was allocated"
done
figure "files: $(ls "$T/files" | wc -l), all valid"

echo "- disabled, and enabled once more"
inside systemctl stop load
status_is 0 inside profctl disable --restart redis-server
redis_pid=$(property redis-server MainPID)
inside grep -q libprofd "/proc/$redis_pid/maps" && fail "redis still has the client"
status_is 0 inside profctl enable --restart redis-server

echo "- removed"
package --remove profd
grep -q 'redis-server.service: disabled; it keeps the client until: systemctl restart' "$T/dpkg.log" ||
	{ cat "$T/dpkg.log"; fail "the removal does not say what to restart"; }
[ "$(state profd)" = inactive ] || fail "the daemon still runs"
inside test ! -e /etc/systemd/system/redis-server.service.d || fail "redis is still enabled"
inside test ! -e /run/profd || fail "the runtime directory is left"
inside systemctl restart redis-server || { journal; fail "redis does not start any more"; }
inside sh -c "tr '\\0' '\\n' </proc/$(property redis-server MainPID)/environ" | grep LD_PRELOAD && fail "LD_PRELOAD is left"
inside journalctl --no-pager | grep 'from LD_PRELOAD cannot be preloaded' && fail "the library is missed"
inside systemctl --failed --no-legend | grep . && fail "something failed"
kept=$(inside sh -c "ls $state_dir | wc -l")
[ "$kept" -ge "$(ls "$T/files" | wc -l)" ] || fail "profiles were removed"

echo "- purged"
inside test -e /etc/profd.conf || fail "the configuration is gone"
inside rm -r /etc/profd.conf.d # written by hand
package --purge profd
changed >"$T/after"
comm -13 "$T/before" "$T/after" >"$T/left"
grep -v "^$state_dir" "$T/left" | grep -vE '^/etc/(\.pwd\.lock|(passwd|shadow|group|gshadow)-?)$' && fail "that is left"
grep -qx "$state_dir" "$T/left" || fail "the profiles are gone"
comm -23 "$T/before" "$T/after" | grep . && fail "that is gone"
figure "left after the purge: $(grep -c "^$state_dir/" "$T/left") files in $state_dir, and the group that owns them"
exit 0
