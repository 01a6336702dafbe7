#!/bin/bash
# Proves `profctl enable`, `disable` and `enabled` in a real systemd: a service gets the
# client by a drop-in, keeps its own LD_PRELOAD, and loses the client again with nothing
# left; aliases, templates and instances are what systemd takes them for; and where the
# client cannot work, one line says why and nothing is changed.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../service-lib.sh"
etc=/etc/systemd/system
library=/usr/lib/profd/libprofd.so

# unit NAME LINE...: a service that sleeps, with these settings.
unit()
{
	local unit=$1
	shift
	{ printf '[Service]\nType=exec\n'; printf '%s\n' "$@"; } >"$T/unit"
	grep -q '^ExecStart=' "$T/unit" || echo 'ExecStart=/bin/sleep 1000' >>"$T/unit"
	inside sh -c "cat >$etc/$unit" <"$T/unit"
}
files() { inside find /etc/systemd /run/systemd/system "$@" | sort; }
# The client's mappings in the main process of @1, once the C library, which comes later, has one.
mapped()
{
	local pid
	pid=$(property MainPID "$1")
	inside timeout 60 sh -c "until grep -q /libc.so.6 /proc/$pid/maps; do sleep 0.02; done" || fail "$1 does not run"
	inside grep -c /libprofd.so "/proc/$pid/maps" || true
}
variable() { inside sh -c "tr '\\0' '\\n' </proc/$(property MainPID "$1")/environ" | sed -n 's/^LD_PRELOAD=//p'; }
# refused REGEX UNIT: one that says why, and nothing is changed.
refused()
{
	status_is 1 inside profctl enable "$2"
	grep -Eq -- "^profctl: .*$1" "$T/stderr" || { cat "$T/stderr" >&2; fail "$2: not said: $1"; }
	inside test ! -e "$etc/$2.d" || fail "$2: something was left"
}

# A user's own manager is not this one.
status_is 2 inside profctl enable --user plain
one_line "--user: .*systemctl --user edit UNIT.*LD_PRELOAD=$library"

unit plain.service
unit own.service 'Environment=LD_PRELOAD=libjemalloc.so.2 "SAID=a b"'
unit odd.service 'Environment="LD_PRELOAD=/opt/with space/lib%%n\"q\".so"'
unit asan.service 'Environment=LD_PRELOAD=/usr/lib/libasan.so.8'
unit inst@.service 'Environment=WHICH=%i'
unit empty.service
inside mkdir "$etc/empty.service.d"
unit beside.service
inside mkdir "$etc/beside.service.d"
inside sh -c "printf '[Service]\nNice=3\n' >$etc/beside.service.d/mine.conf"
unit aliased.service
inside ln -s aliased.service "$etc/other-name.service"
inside systemctl daemon-reload
before=$(files)

echo "- enabled, not before a restart, then running with it"
inside systemctl start plain own odd inst@one
status_is 0 inside profctl enable plain own odd.service asan
grep -q '^plain.service: enabled, from its next start on: systemctl restart plain.service' "$T/stdout" ||
	{ cat "$T/stdout"; fail "no word of a restart"; }
grep -q 'own.service: LD_PRELOAD was "libjemalloc.so.2"' "$T/stdout" || fail "no word of its LD_PRELOAD"
[ "$(mapped plain)" = 0 ] || fail "the client came by itself"
inside profctl enabled >"$T/enabled"
grep -Eq '^plain.service +active +[0-9]+ +needs a restart' "$T/enabled" || { cat "$T/enabled"; fail "enabled"; }
inside systemctl restart plain own odd
for one in plain own; do
	[ "$(mapped $one)" -gt 0 ] || fail "$one: no client"
done
inside profctl --json enabled >"$T/enabled"
json_of cat "$T/enabled" "1 / ([u['client'] for u in j['units'] if u['unit'] == 'own.service'] == ['yes'])" >/dev/null ||
	{ cat "$T/enabled"; fail "enabled --json"; }
[ "$(variable plain)" = $library ] || fail "LD_PRELOAD is $(variable plain)"
[ "$(variable own)" = "$library:libjemalloc.so.2" ] || fail "LD_PRELOAD is $(variable own)"
[ "$(variable odd)" = "$library:/opt/with space/lib%n\"q\".so" ] || fail "LD_PRELOAD is $(variable odd)"
inside sh -c "tr '\\0' '\\n' </proc/$(property MainPID own)/environ" | grep -x 'SAID=a b' >/dev/null || fail "a variable got lost"
property Environment asan | grep "LD_PRELOAD=/usr/lib/libasan.so.8:$library" >/dev/null || fail "not behind libasan"
[ "$(inside stat -c '%a %U %F' $etc/plain.service.d/50-profd.conf)" = "644 root regular file" ] || fail "the file's mode"
inside systemd-analyze verify plain.service odd.service || fail "systemd finds fault with it"
status_is 0 inside profctl enable plain
grep -q 'enabled already' "$T/stdout" || fail "twice"

echo "- an alias, a template, one instance"
status_is 0 inside profctl enable other-name inst@two.service
status_is 0 inside profctl enable inst@.service
status_is 0 inside profctl enable inst@three
grep -q 'by its template' "$T/stdout" || fail "an instance of an enabled template"
inside test -e $etc/aliased.service.d/50-profd.conf || fail "the alias is not resolved"
[ "$(mapped inst@one)" = 0 ] || fail "the client came by itself"
inside systemctl restart inst@one
[ "$(mapped inst@one)" -gt 0 ] || fail "the template's drop-in is not for its instance"
status_is 0 inside profctl disable --restart inst@.service
grep -q 'disabled' "$T/stdout" && [ "$(mapped inst@one)" = 0 ] || fail "the template: not disabled"
inside systemctl start inst@two
[ "$(mapped inst@two)" -gt 0 ] || fail "the instance has lost its own"

echo "- directories that were there stay, others go; other files are left alone"
status_is 0 inside profctl enable --restart empty beside
status_is 0 inside profctl disable --restart plain own odd
[ "$(mapped plain)" = 0 ] && [ "$(variable own)" = libjemalloc.so.2 ] || fail "not disabled"
inside rm $etc/aliased.service $etc/other-name.service
inside systemctl daemon-reload
inside profctl enabled | grep >/dev/null '^aliased.service.*no such unit' || fail "a unit that is gone"
status_is 0 inside profctl disable --all
inside systemctl --failed --no-legend | grep . && fail "something failed"
diff <(echo "$before" | grep -vE '/(aliased|other-name).service$') <(files) || fail "something is left, or too little"
status_is 0 inside profctl disable --all
[ -s "$T/stdout" ] && fail "disabled what was none"
inside profctl enabled 2>&1 | grep >/dev/null 'no service is enabled' || fail "enabled lists something"

echo "- what cannot be"
unit static.service "ExecStart=/sbin/ldconfig -p"
unit shell.service 'ExecStart=/usr/bin/script'
inside sh -c 'printf "#! /bin/sh\nsleep 1000\n" >/usr/bin/script; chmod 755 /usr/bin/script'
unit hidden.service 'InaccessiblePaths=-/lib/profd'
unit tmpfs.service 'TemporaryFileSystem=/usr/lib/profd:ro'
unit rooted.service 'RootDirectory=/srv'
unit noexec.service 'NoExecPaths=/' 'ExecPaths=/usr/bin /lib/x86_64-linux-gnu /lib64'
unit exec.service 'NoExecPaths=/' 'ExecPaths=/usr/bin /usr/lib /lib /lib64'
unit killed.service 'SystemCallFilter=@system-service' 'SystemCallFilter=~memfd_create'
unit denied.service 'SystemCallFilter=~memfd_create' 'SystemCallErrorNumber=EPERM'
unit alone.service 'RestrictAddressFamilies=AF_INET' MemoryDenyWriteExecute=yes 'SystemCallFilter=@system-service'
unit unset.service 'UnsetEnvironment=LD_PRELOAD'
unit file.service 'EnvironmentFile=-/etc/default/file'
inside sh -c 'echo LD_PRELOAD=libc.so.6 >/etc/default/file'
unit later.service
inside mkdir $etc/later.service.d
inside sh -c "printf '[Service]\nEnvironment=LD_PRELOAD=libjemalloc.so.2\n' >$etc/later.service.d/override.conf"
unit linked.service
inside ln -s /tmp $etc/linked.service.d
unit foreign.service
inside mkdir $etc/foreign.service.d
inside sh -c "echo '[Service]' >$etc/foreign.service.d/50-profd.conf"
inside ln -s /dev/null $etc/masked.service
inside systemctl daemon-reload
inside systemd-run --quiet --unit transient sleep 1000
before=$(files)
refused 'there is no such service' nowhere.service
refused 'is masked' masked.service
refused 'is not a service' dbus.socket
refused 'is not a unit.s name' '../x.service'
refused 'is transient' transient.service
refused 'linked statically' static.service
refused 'InaccessiblePaths=.*out of its sight' hidden.service
refused 'TemporaryFileSystem=.*out of its sight' tmpfs.service
refused 'RootDirectory=.*out of its sight' rooted.service
refused 'NoExecPaths=' noexec.service
refused 'SystemCallFilter=: it would be killed.*memfd_create' killed.service
refused 'SystemCallFilter=: forbids memfd_create' denied.service
refused 'UnsetEnvironment=' unset.service
refused '/etc/default/file: sets LD_PRELOAD' file.service
refused 'profile its own' profd.service
for one in later:'another drop-in' linked:'is a link' foreign:"somebody else's"; do
	status_is 1 inside profctl enable "${one%%:*}"
	one_line "^profctl: ${one%%:*}.service: .*${one#*:}"
done
status_is 1 inside profctl disable foreign
one_line 'not what profctl wrote'
status_is 1 inside profctl disable plain
one_line 'is not enabled'
status_is 2 inside profctl enable
status_is 2 inside profctl disable --all plain
status_is 1 inside setpriv --reuid 65534 --regid 65534 --clear-groups profctl enable plain
one_line 'needs root'
[ "$before" = "$(files)" ] || { diff <(echo "$before") <(files); fail "something was changed"; }
[ "$(property Environment later)" = LD_PRELOAD=libjemalloc.so.2 ] || fail "systemd still has it"

echo "- what is no obstacle, and what is worth a note"
status_is 0 inside profctl enable exec shell alone
grep -q 'alone.service: RestrictAddressFamilies=.*socket' "$T/stderr" || { cat "$T/stderr"; fail "no note"; }
inside systemctl start exec shell alone
for one in exec shell alone; do
	[ "$(mapped $one)" -gt 0 ] || fail "$one: no client"
done
status_is 0 inside profctl enable --force killed
inside systemctl start killed
died() { [[ "$(property Result killed)" = signal || "$(property Result killed)" = core-dump ]]; }
wait_for 10 died || fail "what it warns of does not happen"
status_is 0 inside profctl disable --all --restart
[ "$before" = "$(files)" ] || { diff <(echo "$before") <(files); fail "something is left"; }

echo "- a library that others than root could change"
inside chmod 777 /usr/lib/profd
status_is 1 inside profctl enable plain
one_line 'others than root'
inside test ! -e $etc/plain.service.d || fail "enabled"
exit 0
