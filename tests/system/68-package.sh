#!/bin/bash
# Proves the packages over their whole life in a real systemd: `make deb` builds what
# lintian has no errors for; installed they do nothing until they are started; redis and
# nginx get the client by `profctl enable`; a worker of nginx that serves pages is in the
# profile of its unit, with its own functions; redis is profiled every 2 s under load,
# while the packages are upgraded, the daemon reloaded, its keeper and its engine killed,
# the machine rebooted; `go tool pprof` reads the heap from profd-http, which the first
# request starts; no file is broken, no total goes back, no service notices; the journal
# has its fields and explains them; neither unit is exposed beyond 2.5; and after removal
# and purge there is nothing left but profiles, and no word of a missing library.
. "$(dirname "$0")/../lib.sh"
need_root
ns=$T/ns
systemd_ns=$root/tests/systemd-ns
packages=$BUILD/deb

# The copy of the tree is one for all: whoever tests it at the same time waits.
mkdir -p "$packages"
exec 9>"$packages/lock"
flock 9
DEB_BUILD_OPTIONS=noautodbgsym make -C "$root" BUILD="$BUILD" deb >"$T/deb.log" 2>&1 ||
	{ cat "$T/deb.log"; fail "make deb"; }
mkdir "$T/now" "$T/next"
cp "$packages"/{profd,profd-http}_0.1.0_amd64.deb "$packages/libprofd-dev_0.1.0_all.deb" "$T/now"
flock -u 9
# While they are being tried.
lintian --allow-root --fail-on error,warning "$T"/now/*.deb >"$T/lintian.log" 2>&1 &
lintian=$!
own_pids+=("$lintian")
# The next version is this one under another number.
for deb in "$T"/now/*.deb; do
	dpkg-deb --raw-extract "$deb" "$T/tree"
	sed -i 's/^Version: .*/&+next/; s/(= 0.1.0)/(= 0.1.0+next)/' "$T/tree/DEBIAN/control"
	dpkg-deb --root-owner-group -Znone --build "$T/tree" "$T/next" >"$T/repack.log" || fail "repack $deb"
	rm -r "$T/tree"
done

status=0
"$systemd_ns" start "$ns" "$T" 2>"$T/start.err" || status=$?
[ $status = 77 ] && skip "no systemd in namespaces here: $(tail -1 "$T/start.err")"
[ $status = 0 ] || { cat "$T/start.err"; fail "systemd did not start"; }
at_exit+=("'$systemd_ns' stop '$ns'")
inside() { "$systemd_ns" run "$ns" -- "$@"; }
property() { inside systemctl show -p "$2" --value "$1"; }
state() { inside systemctl is-active "$1" || true; }
trouble() { inside journalctl --no-pager -u profd -u profd-http -u redis-server -u snapshots | tail -40 >&2; fail "$@"; }
package() { inside env DEBIAN_FRONTEND=noninteractive dpkg "$@" >"$T/dpkg.log" 2>&1 || { cat "$T/dpkg.log"; fail "dpkg $*"; }; }
redis_is_up() { inside redis-cli ping >"$T/pong" && grep -qx PONG "$T/pong"; }

# Settings that would make it write a file of its own.
inside sed -i 's/^save .*//; s/^# save ""/save ""/' /etc/redis/redis.conf
# Manuals' triggers take longer than all the rest; an image's policy may be to start nothing.
inside rm -f /var/lib/man-db/auto-update /usr/sbin/policy-rc.d
inside systemctl start redis-server nginx || trouble "redis and nginx do not start here"
# What there is beyond the host's files, without the books of others, and the services'
# own: data, logs, temporary directories, and that they were enabled.
changed()
{
	"$systemd_ns" changed "$ns" | grep -vE '^/var/(lib/(dpkg|redis|nginx|systemd)|log|cache)/|^/root/' |
		grep -vE '^/var/tmp/[^/]*-redis|/(redis(-server)?|nginx).service$|/multi-user.target.wants$'
}
changed >"$T/before"

state_dir=/var/lib/profd
heap_names() { inside sh -c "ls $state_dir | grep '^heap_redis-server_$redis_pid''_' || true"; }
# At least @1 more heaps of redis as it runs now.
await_heaps()
{
	local wanted=$(($(heap_names | wc -l) + $1))
	more() { [ "$(heap_names | wc -l)" -ge $wanted ]; }
	wait_for 30 more || { inside profctl list; trouble "no more heaps of redis ($2)"; }
}
# The services as they are now, and what is to happen to redis from now on.
begin()
{
	wait_for 10 redis_is_up || fail "redis does not answer"
	redis_pid=$(property redis-server MainPID) nginx_pid=$(property nginx MainPID)
	# Objects that come and go, and memory that is neither too much nor ever the same;
	# in the time that nobody else wants.
	inside systemd-run --quiet --collect --unit load -p Nice=19 \
		redis-benchmark -c 1 -r 20000 -d 400 -n 100000000 -q -t set,lpush
	wait_for 10 attached || { inside profctl list; trouble "redis or nginx has no client"; }
	# A series ends with the daemon that it asked.
	inside systemd-run --quiet --collect --unit snapshots -p Restart=always -p RestartSec=100ms \
		-p StartLimitIntervalSec=0 profctl snapshot --unit redis-server.service --every 2s
}
attached()
{
	inside profctl list >"$T/list"
	grep -Eq "^ *$redis_pid +redis-server +redis-server.service +attached" "$T/list" &&
		grep -Eq "^ *$nginx_pid +nginx +nginx.service +attached" "$T/list"
}
# Whatever is done to profd, it goes on, and no service notices.
goes_on() # WHEN
{
	wait_for 10 attached || { cat "$T/list" >&2; trouble "a client is not found ($1)"; }
	await_heaps 1 "$1"
	[ "$(property redis-server MainPID)" = "$redis_pid" ] && redis_is_up || trouble "redis was disturbed ($1)"
	[ "$(property nginx MainPID)" = "$nginx_pid" ] && inside curl -sf -o /dev/null http://127.0.0.1/ ||
		trouble "nginx was disturbed ($1)"
	[ "$(state load)" = active ] || { inside journalctl -u load | tail >&2; fail "redis's clients were disturbed ($1)"; }
}
role() { json_of inside profctl --json status "j['processes']['$1']"; }
is_other() { [ "$(state profd)" = active ] && [ "$(property profd MainPID)" != "$1" ] && inside profctl status >"$T/status"; }
# As a user of Go's tools would: from the address, and from a file.
over_http() # WHEN
{
	local at=http://localhost:6060/unit/redis-server.service/debug/pprof/heap
	inside curl -sf -o /tmp/http.pb.gz "$at" || trouble "no heap over HTTP ($1)"
	inside cat /tmp/http.pb.gz >"$T/http.pb.gz"
	valid "$T/http.pb.gz"
	inside go tool pprof -top -sample_index=alloc_space "$at" >"$T/top" 2>"$T/top.err" ||
		{ cat "$T/top.err" >&2; fail "go tool pprof ($1)"; }
	grep -q ' zmalloc' "$T/top" || { head -30 "$T/top" >&2; fail "not redis's heap ($1)"; }
}
# entry ID FIELD: of the latest entry of that kind.
entry()
{
	inside journalctl --no-pager -u profd -o json "MESSAGE_ID=$1" | tail -1 |
		python3 -c 'import json, sys; print(json.loads(sys.stdin.readline() or "{}").get(sys.argv[1], ""))' "$2"
}
# explained ID TEXT: by the catalogue.
explained()
{
	inside journalctl --no-pager -x "MESSAGE_ID=$1" >"$T/explained"
	grep -q -- "$2" "$T/explained" || { tail -20 "$T/explained" >&2; fail "journalctl -x: $2"; }
}

echo "- installed: there, and at rest"
package -i "$T"/now/*.deb
for unit in profd.service profd.socket profd-http.socket; do
	inside systemctl is-enabled "$unit" >"$T/enabled" || true
	grep -qx disabled "$T/enabled" && [ "$(state $unit)" = inactive ] || fail "$unit is not at rest"
done
[ "$(state profd-http)" = inactive ] || fail "profd-http is not at rest"
inside getent group profd >"$T/group" || fail "no group profd"
for page in profd.8 profd-http.8 profctl.1 profd.conf.5 libprofd.3; do
	inside man -w "${page##*.}" "${page%.*}" >"$T/page" || fail "no page $page"
done
# For developers: nothing is linked, and without the client nothing is done.
inside sh -c 'printf "#include <profd.h>\nint main(void) { return profd_write_heap(1, 0) != -ENOSYS; }\n" |
	cc $(pkg-config --cflags profd) -x c -o /tmp/program - && /tmp/program' || fail "profd.h"

echo "- started, and redis and nginx enabled"
inside systemctl start profd profd-http.socket || trouble "systemctl start"
status_is 0 inside profctl enable --restart redis-server nginx
begin
goes_on "at first"

echo "- nginx's own profile"
inside systemd-run --quiet --collect --unit pages sh -c \
	'while :; do curl -sf -o /dev/null "http://127.0.0.1/?[1-500]" || exit 1; done'
nginx_works() # of the samples at least one in ten has a function of nginx's, in a worker
{
	local file worker
	file=$(inside profctl snapshot --unit nginx.service --type cpu --seconds 2s) || return 1
	inside cat "$file" >"$T/nginx.pb.gz"
	eval "$(raw "$T/nginx.pb.gz" samples ngx='^ngx_')"
	is "10 * $ngx > $n > 0" || return 1
	pprof -tags "$T/nginx.pb.gz" >"$T/tags" 2>/dev/null
	inside pgrep -P "$nginx_pid" >"$T/workers"
	while read -r worker; do grep -Eq ": $worker\$" "$T/tags" && return 0; done <"$T/workers"
	return 1
}
wait_for 60 nginx_works || { cat "$T/tags" "$T/workers" >&2; fail "no worker of nginx with functions of its own"; }
valid "$T/nginx.pb.gz"
figure "nginx: $ngx of $n samples have its own functions"
[ "$(state pages)" = active ] || trouble "nginx does not serve its page"
inside systemctl stop pages

echo "- over HTTP"
[ "$(state profd-http)" = inactive ] || fail "profd-http runs before anybody asked"
over_http "at first"
[ "$(state profd-http)" = active ] || trouble "who answered?"
for unit in profd profd-http; do
	inside systemd-analyze security --no-pager $unit >"$T/security" || true
	exposure=$(tail -1 "$T/security" | sed 's/.*: \([0-9.]*\).*/\1/')
	figure "systemd-analyze security $unit: $exposure"
	is "0 < $exposure <= 2.5" || { cat "$T/security"; fail "$unit is too exposed"; }
done
inside systemd-analyze verify profd-http.service profd-http.socket || fail "systemd finds fault with a unit"

echo "- upgraded under load"
old=$(property profd MainPID) old_http=$(property profd-http MainPID)
inside systemd-run --quiet --unit starts sh -c \
	'while :; do LD_PRELOAD=/usr/lib/profd/libprofd.so /bin/true || exit 1; sleep 0.01; done'
package -i "$T"/next/*.deb
wait_for 20 is_other "$old" || trouble "the upgrade did not restart the daemon"
inside grep -q 'libprofd.so (deleted)' "/proc/$redis_pid/maps" || fail "redis has not the library of before"
goes_on "upgraded"
over_http "upgraded"
[ "$(property profd-http MainPID)" != "$old_http" ] || fail "the upgrade did not restart profd-http"
[ "$(state starts)" = active ] || fail "a program did not start during the upgrade"
inside journalctl -u starts >"$T/starts"
grep 'ld.so' "$T/starts" && fail "the library was away during the upgrade"
inside systemctl stop starts

echo "- reloaded"
old=$(property profd MainPID)
inside sh -c 'mkdir /etc/profd.conf.d; printf "[profd]\nfrequency = 53\n" >/etc/profd.conf.d/slow.conf'
inside systemctl reload profd || trouble "systemctl reload profd"
reloaded() { inside profctl status >"$T/status" && grep -q ' at 53 Hz' "$T/status"; }
wait_for 10 reloaded || trouble "not reloaded"
[ "$(property profd MainPID)" = "$old" ] || fail "reload is not restart"
[ "$(entry dfcc6d708c8f41f5ade61c82911e291e MESSAGE)" = 'settings read anew: frequency' ] || trouble "no entry about it"
explained dfcc6d708c8f41f5ade61c82911e291e 'Subject: profd has read its settings anew'
goes_on "reloaded"

echo "- killed: the engine, then the keeper"
engine=$(role engine)
inside kill -KILL "$engine"
replaced() { new=$(role engine) && [ -n "$new" ] && [ "$new" != "$engine" ]; } 2>/dev/null
wait_for 10 replaced || trouble "no other engine"
[ "$(property profd MainPID)" = "$old" ] || fail "the keeper ended with its engine"
goes_on "without its engine"
inside systemctl kill --signal KILL --kill-who main profd
wait_for 30 is_other "$old" || trouble "not back after kill -9 of the keeper"
goes_on "without its keeper"
over_http "killed"

echo "- a service is killed: the journal tells where its last heap is"
inside cp "$(command -v sleep)" /tmp/victim
inside systemd-run --quiet --unit dies --setenv=LD_PRELOAD=/usr/lib/profd/libprofd.so --setenv=PROFD_RATE=1 /tmp/victim 1000
dies=$(property dies MainPID)
is_listed() { inside profctl list >"$T/list" && grep -q "^ *$dies .* attached" "$T/list"; }
wait_for 10 is_listed || trouble "it has no client"
inside systemctl kill --signal KILL dies
id=c1c6df99b3324c4595d3ccc1139c77b3
told() { [ "$(entry $id PROFD_PID)" = "$dies" ]; }
wait_for 20 told || trouble "no entry about its last heap"
[ "$(entry $id PROFD_COMM) $(entry $id PROFD_UNIT)" = "victim dies.service" ] || trouble "the fields of that entry"
inside test -s "$(entry $id PROFD_FILE)" || fail "its last heap is not where the journal says"
explained $id "The last heap of process $dies (victim) was written"
inside systemctl reset-failed dies

echo "- rebooted"
inside systemctl enable --quiet profd profd-http.socket redis-server nginx
before_reboot=$(heap_names | wc -l)
old_pid=$redis_pid
"$systemd_ns" reboot "$ns" || fail "reboot"
up() { [ "$(state profd)" = active ] && redis_is_up; }
wait_for 20 up || trouble "profd and redis are not up"
[ "$(heap_names | wc -l)" -ge "$before_reboot" ] || fail "profiles were lost"
begin
await_heaps 1 "rebooted"
goes_on "rebooted"
over_http "rebooted"
inside systemctl stop load snapshots

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
status_is 0 inside profctl disable --restart redis-server nginx
for unit in redis-server nginx; do
	inside cat "/proc/$(property $unit MainPID)/maps" >"$T/maps"
	grep libprofd "$T/maps" && fail "$unit still has the client"
done
status_is 0 inside profctl enable --restart redis-server

echo "- removed"
package --remove profd-http profd libprofd-dev
grep -q 'redis-server.service: disabled; it keeps the client until: systemctl restart' "$T/dpkg.log" ||
	{ cat "$T/dpkg.log"; fail "the removal does not say what to restart"; }
for unit in profd.service profd.socket profd-http.service profd-http.socket; do
	[ "$(state $unit)" = inactive ] || fail "$unit still runs"
done
inside test ! -e /etc/systemd/system/redis-server.service.d || fail "redis is still enabled"
inside find /run /dev/shm -maxdepth 2 -name '*profd*' >"$T/run"
[ ! -s "$T/run" ] || { cat "$T/run"; fail "that is left in /run"; }
inside systemctl restart redis-server || trouble "redis does not start any more"
inside sh -c "tr '\\0' '\\n' </proc/$(property redis-server MainPID)/environ" >"$T/environ"
grep LD_PRELOAD "$T/environ" && fail "LD_PRELOAD is left"
inside journalctl --no-pager >"$T/journal"
grep 'from LD_PRELOAD cannot be preloaded' "$T/journal" && fail "the library is missed"
inside systemctl --failed --no-legend >"$T/failed"
[ ! -s "$T/failed" ] || { cat "$T/failed"; fail "something failed"; }
kept=$(inside sh -c "ls $state_dir | wc -l")
[ "$kept" -ge "$(ls "$T/files" | wc -l)" ] || fail "profiles were removed"

echo "- purged"
inside test -e /etc/profd.conf || fail "the configuration is gone"
inside rm -r /etc/profd.conf.d # written by hand
package --purge profd profd-http libprofd-dev
changed >"$T/after"
comm -13 "$T/before" "$T/after" >"$T/left"
grep -v "^$state_dir" "$T/left" | grep -vE '^/etc/(\.pwd\.lock|(passwd|shadow|group|gshadow)-?)$' && fail "that is left"
grep -qx "$state_dir" "$T/left" || fail "the profiles are gone"
comm -23 "$T/before" "$T/after" | grep . && fail "that is gone"
wait $lintian || { cat "$T/lintian.log"; fail "lintian"; }
figure "left after the purge: $(grep -c "^$state_dir/" "$T/left") files in $state_dir, and the group that owns them"
exit 0
