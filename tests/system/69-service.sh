#!/bin/bash
# Proves in a real systemd: a request or a client starts profd by its socket, and
# neither ever finds nobody there; `systemctl reload` with good and bad settings;
# clients' tables lie in the service manager's store over a restart, and the last
# heap of one that was killed while profd, or its engine alone, was away is written,
# with totals that do not go back; what comes out of the store and is not what it says is let go of; an
# engine that hangs is not fed and is replaced, one that idles is not; the journal
# has the fields; and the exposure that systemd-analyze finds is at most 2.5.
. "$(dirname "$0")/../lib.sh"
. "$root/tests/service-lib.sh"

# /tmp is not profd's /tmp, and what has ended is named by the path of its program.
inside install -m 755 "$fixtures/leak" /usr/local/bin/leak
inside systemd-analyze verify profd.service profd.socket || fail "systemd finds fault with a unit"
inside systemctl start profd.socket || fail "start profd.socket"
is_active && fail "profd runs already"

# ---- a client, then a request
client first /usr/local/bin/leak 900
wait_for 10 is_active || { journal; fail "a client does not start it"; }
inside systemctl stop profd.service profd.socket || fail "stop"
inside test -e /run/profd/profd.sock && fail "the socket is left behind"
inside systemctl stop first
inside systemctl start profd.socket
inside profctl status >"$T/status" || { journal; fail "a request does not start it"; }
is_active || fail "who answered?"
property StatusText | grep ' clients$' || fail "no status: $(property StatusText)"
[ "$(property NRestarts)" = 0 ] || fail "it was restarted"

# ---- reload
status_says() { inside profctl status >"$T/status" && grep -q -- "$1" "$T/status"; }
is_counted() { [ "$(counter "$1")" = "$2" ]; }
with_file() { printf '[profd]\n%s\n' "$1" | inside tee /etc/profd.conf.d/test.conf >"$T/conf"; }
inside mkdir -p /etc/profd.conf.d
pid=$(property MainPID)
with_file 'frequency = 53'
inside systemctl reload profd || fail "systemctl reload"
wait_for 10 is_counted reloads 1 || { journal; fail "not reloaded"; }
status_says ' at 53 Hz' || fail "another frequency"
wait_for 10 is_active || fail "it is $(inside systemctl is-active profd) after the reload"
property StatusText | grep 'at 53 Hz' || fail "the status is the old one: $(property StatusText)"
with_file 'frequency = fast'
inside systemctl reload profd || fail "systemctl reload"
wait_for 10 is_counted reloads_failed 1 || { journal; fail "a bad file was taken"; }
wait_for 10 is_active || fail "it is $(inside systemctl is-active profd) after the bad one"
status_says ' at 53 Hz' || fail "a bad file changed something"
with_file ''
[ "$(property MainPID)" = "$pid" ] || fail "it was started anew"

# entry ID FIELD: of the latest entry of that kind.
entry()
{
	inside journalctl --no-pager -u profd -o json "MESSAGE_ID=$1" | tail -1 |
		python3 -c 'import json, sys; print(json.loads(sys.stdin.readline() or "{}").get(sys.argv[1], ""))' "$2"
}
entry dfcc6d708c8f41f5ade61c82911e291e MESSAGE | grep '^settings read anew: frequency$' ||
	{ journal; fail "no entry about the reload"; }
entry 820a3e5bd4ab457aa2af3b71cc8495bd MESSAGE |
	grep '/etc/profd.conf.d/test.conf:2: frequency: fast: ' || { journal; fail "none about the bad one"; }
[ "$(entry 820a3e5bd4ab457aa2af3b71cc8495bd PRIORITY)" = 3 ] || fail "not an error"

# ---- the store: one client is killed while profd is away, one lives, one comes
client lives /usr/local/bin/leak 900
client dies /usr/local/bin/leak 900
are_stored() { [ "$(property NFileDescriptorStore)" = "$1" ]; }
wait_for 10 are_stored 2 || { journal; fail "$(property NFileDescriptorStore) tables stored, not 2"; }
is_counted tables_stored 2 || fail "counted otherwise"
allocated() # FILE: bytes, since its start
{
	inside cat "$1" >"$T/$(basename "$1")"
	valid "$T/$(basename "$1")"
	eval "$(raw "$T/$(basename "$1")" alloc_space x=.)"
	echo "$total"
}
before_lives=$(allocated "$(inside profctl snapshot --unit lives.service)")
# It fills a cache first, and leaks then.
has_leaked()
{
	local file
	file=$(inside profctl snapshot --unit dies.service) && before_dies=$(allocated "$file") || return 1
	eval "$(raw "$T/$(basename "$file")" inuse_space leak=open_session)"
	is "$leak > 0.2 * $total > 0"
}
wait_for 60 has_leaked || { journal; fail "it does not leak"; }
dies=$(property MainPID dies.service)
with_setting away '[Service]' 'RestartSec=2s'
inside systemctl kill --signal KILL --kill-who all profd
is_away() { [ "$(property SubState)" = auto-restart ]; }
wait_for 10 is_away || { journal; fail "it is not away"; }
inside systemctl kill --signal KILL dies.service
client comes /usr/local/bin/leak 900
gone() { [ "$(property SubState dies.service)" != running ]; }
wait_for 10 gone || fail "it does not die"
is_away || fail "it came back too soon for this test"
inside profctl status >"$T/status" || { journal; fail "a request found nobody"; }
[ "$(counter tables_restored)" = 2 ] || { cat "$T/status"; journal; fail "not restored: 2"; }
[ "$(counter tables_restored_dead)" = 1 ] || fail "not 1 of them dead"
[ "$(counter tables_invalid)" = 0 ] || fail "some were found invalid"
wait_for 20 is_counted heaps_last 1 || { journal; fail "no last heap"; }
last=$(entry c1c6df99b3324c4595d3ccc1139c77b3 PROFD_FILE)
[ -n "$last" ] || { journal; fail "the journal does not name it"; }
[ "$(entry c1c6df99b3324c4595d3ccc1139c77b3 PROFD_PID)" = "$dies" ] || fail "of another process"
[ "$(entry c1c6df99b3324c4595d3ccc1139c77b3 PROFD_COMM)" = leak ] || fail "by another name"
after_dies=$(allocated "$last")
pprof -raw "$T/$(basename "$last")" >"$T/raw" 2>/dev/null
grep -q '^Comment: last heap: .*while profd was away' "$T/raw" || { head -5 "$T/raw"; fail "its comment"; }
eval "$(raw "$T/$(basename "$last")" inuse_space leak=open_session)"
is "$leak > 0.1 * $total > 0" || { pprof -top -sample_index=inuse_space "$T/$(basename "$last")" | head -20; head -40 "$T/raw"; fail "no names in the last heap"; }
after_lives=$(allocated "$(inside profctl snapshot --unit lives.service)")
figure "allocated, before and after: lives $before_lives $after_lives, killed $before_dies $after_dies"
is "$after_lives >= $before_lives > 0 and $after_dies >= $before_dies > 0" || fail "totals went back"
inside profctl list >"$T/list"
grep -q 'comes.service' "$T/list" || { cat "$T/list"; fail "who came meanwhile is not attached"; }
wait_for 10 are_stored 2 || fail "$(property NFileDescriptorStore) tables stored, not lives and comes"

# ---- a client that dies while only the engine is away: the next one writes its heap
client alone /usr/local/bin/leak 300
wait_for 10 are_stored 3 || fail "$(property NFileDescriptorStore) tables stored, not 3"
alone=$(property MainPID alone.service) keeper=$(property MainPID)
before_alone=$(allocated "$(inside profctl snapshot --unit alone.service)")
engine=$(json_of inside profctl --json status "j['processes']['engine']")
inside kill -STOP "$engine"
inside systemctl kill --signal KILL alone.service
gone() { [ "$(property SubState alone.service)" != running ]; }
wait_for 10 gone || fail "it does not die"
inside kill -KILL "$engine"
is_written() { [ "$(entry c1c6df99b3324c4595d3ccc1139c77b3 PROFD_PID)" = "$alone" ]; }
wait_for 20 is_written || { journal; fail "the last heap of a client that died while the engine was away"; }
[ "$(property MainPID)" = "$keeper" ] || { journal; fail "the keeper is another one"; }
after_alone=$(allocated "$(entry c1c6df99b3324c4595d3ccc1139c77b3 PROFD_FILE)")
figure "killed while the engine was away: allocated before and after: $before_alone $after_alone"
is "$after_alone >= $before_alone > 0" || fail "totals went back"
[ "$(counter tables_restored) $(counter tables_restored_dead)" = "3 1" ] || fail "not 3 tables restored, 1 of them dead"
wait_for 10 are_stored 2 || fail "$(property NFileDescriptorStore) tables stored, not 2"

# ---- a store with something else in it
cat >"$T/image/inject" <<'END'
#!/usr/bin/python3
import os, socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.connect(os.environ['NOTIFY_SOCKET'])
for name in ('heap-1-0-5-6-61', 'heap-x', 'junk', 'control'):
    socket.send_fds(s, [f'FDSTORE=1\nFDNAME={name}'.encode()], [os.memfd_create('x')])
END
inside install -m 755 "$T/image/inject" /usr/local/bin/inject
with_setting inject '[Service]' 'ExecStartPost=/usr/local/bin/inject'
inside systemctl restart profd || { journal; fail "restart"; }
wait_for 10 are_stored 6 || fail "nothing was injected: $(property NFileDescriptorStore)"
[ "$(counter tables_restored)" = 2 ] || fail "a restart lost tables"
inside rm /etc/systemd/system/profd.service.d/inject.conf
inside systemctl daemon-reload
inside systemctl restart profd || { journal; fail "restart"; }
[ "$(counter tables_invalid)" = 4 ] || fail "$(counter tables_invalid) found invalid, not 4"
[ "$(counter tables_restored)" = 2 ] || fail "the good ones went with the bad"
wait_for 10 are_stored 2 || fail "they are still there: $(property NFileDescriptorStore)"

# ---- the watchdog
with_setting watchdog '[Service]' 'WatchdogSec=1s' 'RestartSec=100ms'
inside systemctl restart profd
restarts=$(property NRestarts)
inside profctl snapshot --type cpu --seconds 4s >"$T/path" || fail "it did not live 4 s under a watchdog of 1 s"
[ "$(property NRestarts)" = "$restarts" ] || { journal; fail "it was killed while it worked"; }
engine=$(json_of inside profctl --json status "j['pid']")
inside kill -STOP "$engine"
restarted() { [ "$(property NRestarts)" -gt "$restarts" ]; }
wait_for 20 restarted || { journal; fail "an engine that hangs is kept"; }
inside journalctl --no-pager -u profd >"$T/journal"
grep -qi 'watchdog timeout' "$T/journal" || { journal; fail "not by the watchdog"; }
wait_for 20 is_active || fail "it is not back"
[ "$(counter tables_restored)" = 2 ] || fail "it came back without its clients"
inside rm -r /etc/systemd/system/profd.service.d

security=$(inside systemd-analyze security --no-pager profd | tail -1 | sed 's/.*: \([0-9.]*\).*/\1/')
figure "systemd-analyze security: $security"
is "$security <= 2.5" || { inside systemd-analyze security --no-pager profd; fail "too exposed"; }
