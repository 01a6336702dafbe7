# What tests of the installed service share; source it after lib.sh. profd is
# installed in a systemd of its own ($ns); nothing is started yet. Where that cannot be,
# the test is skipped, or, with service_optional=1, goes on with an empty $ns.
ns=
[ "$(id -u)" = 0 ] || [ -z "${service_optional:-}" ] || return 0
need_root
ns=$T/ns
systemd_ns=$root/tests/systemd-ns

make -C "$root" BUILD="$BUILD" DESTDIR="$T/image" PREFIX=/usr install >"$T/install.log" 2>&1 ||
	{ cat "$T/install.log"; fail "make install"; }
status=0
"$systemd_ns" start "$ns" "$T/image" "$fixtures" 2>"$T/start.err" || status=$?
cat "$T/start.err"
[ $status != 77 ] || [ -z "${service_optional:-}" ] || { ns=; return 0; }
[ $status = 77 ] && skip "no systemd in namespaces here: $(tail -1 "$T/start.err")"
[ $status = 0 ] || fail "systemd did not start"
at_exit+=("'$systemd_ns' stop '$ns'")

inside() { "$systemd_ns" run "$ns" -- "$@"; }
journal() { inside journalctl --no-pager -u profd | tail -30 >&2; }
property() { inside systemctl show -p "$1" --value "${2:-profd.service}"; }
is_active() { [ "$(inside systemctl is-active "${1:-profd}")" = active ]; }
counter() { json_of inside profctl --json status "j['counters']['$1']"; }

inside cp -a "$T/image/." / || fail "installing into the namespace"
inside systemd-sysusers profd.conf || fail "sysusers"
inside systemd-tmpfiles --create profd.conf || fail "tmpfiles"
inside systemctl daemon-reload

# client UNIT COMMAND...: a service with the client.
client()
{
	inside systemd-run --quiet --unit "$1" --setenv=LD_PRELOAD=/usr/lib/profd/libprofd.so \
		"${@:2}" || fail "systemd-run $1"
}

# with_setting NAME LINE...: a drop-in of profd.service.
with_setting()
{
	local dir=/etc/systemd/system/profd.service.d

	inside mkdir -p "$dir"
	printf '%s\n' "${@:2}" | inside tee "$dir/$1.conf" >"$T/drop-in"
	inside systemctl daemon-reload
}
