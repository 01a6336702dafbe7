#!/bin/bash
# Proves that pre-forking servers work under the client: nginx and PostgreSQL serve,
# the master and each worker are targets of their own with valid heaps, and they end
# cleanly.
. "$(dirname "$0")/../lib.sh"

PATH=$PATH:/usr/sbin:/sbin
command -v nginx >/dev/null || fail "no nginx: make deps"
chmod 711 "$T"
for_everyone
start_profd
mkdir "$T/out"

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
children_of() { cat "/proc/$1/task/"*/children | tr ' ' '\n' | sed '/^$/d'; }
n_children() { children_of "$1" | wc -l; }
at_least() { [ "$("${@:2}")" -ge "$1" ]; }

# Each of the processes is a target, and its heap a valid file of its own.
check_targets()
{
	local pid

	for pid; do
		wait_attached "$pid"
		snapshot --pid "$pid" --output "$T/out"
		[ ${#files[@]} = 1 ] || fail "${#files[@]} files of process $pid"
		[[ ${files[0]} = *_${pid}_* ]] || fail "the file of $pid is called ${files[0]}"
		valid "${files[0]}"
		eval "$(raw "${files[0]}" alloc_space)"
		is "$total > 0" || fail "the heap of $pid is empty"
	done
}

# ends_cleanly PID SIGNAL NAME
ends_cleanly()
{
	local status=0

	kill "-$2" "$1"
	wait "$1" || status=$?
	[ $status = 0 ] || { tail -5 "$T/target.log" >&2; fail "$3 ended with status $status"; }
}

port=$(free_port)
mkdir -p "$T/nginx/root"
echo "served by a worker" >"$T/nginx/root/index.html"
cat >"$T/nginx/conf" <<END_CONF
$([ "$(id -u)" != 0 ] || echo "user nobody nogroup;")
daemon off;
worker_processes 2;
pid $T/nginx/pid;
error_log stderr notice;
events { worker_connections 64; }
http {
	access_log off;
	client_body_temp_path $T/nginx/body;
	proxy_temp_path $T/nginx/proxy;
	fastcgi_temp_path $T/nginx/fastcgi;
	uwsgi_temp_path $T/nginx/uwsgi;
	scgi_temp_path $T/nginx/scgi;
	server { listen 127.0.0.1:$port; root $T/nginx/root; }
}
END_CONF
target PROFD_RATE=4096 nginx -e stderr -p "$T/nginx" -c "$T/nginx/conf"
nginx=$target_pid
get()
{
	python3 - "$port" "$1" <<-'END_PYTHON'
		import sys, urllib.request
		for _ in range(int(sys.argv[2])):
		    url = f'http://127.0.0.1:{sys.argv[1]}/index.html'
		    assert urllib.request.urlopen(url, timeout=10).read() == b'served by a worker\n'
	END_PYTHON
}
wait_for 20 get 1 || { tail -5 "$T/target.log" >&2; fail "nginx does not serve"; }
mapfile -t workers < <(children_of "$nginx")
[ ${#workers[@]} = 2 ] || fail "nginx has ${#workers[@]} workers, not 2"
get 200 || fail "nginx stopped serving"
check_targets "$nginx" "${workers[@]}"
get 20 || fail "nginx does not serve after the snapshots"
ends_cleanly "$nginx" QUIT nginx
! grep -E 'exited on signal|\[(alert|emerg)\]' "$T/target.log" >&2 || fail "nginx complains"
figure "nginx: a master and ${#workers[@]} workers, each its own target; 221 requests served"

programs=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -1 || true)
if [ -z "$programs" ] || ! [ -x "$programs/initdb" ]; then
	figure "POSTGRES IS NOT HERE: only nginx was tested"
	exit 0
fi
# It refuses to be root's.
as_user=()
mkdir "$T/postgres"
if [ "$(id -u)" = 0 ]; then
	chown 65534:65534 "$T/postgres"
	as_user=(setpriv --reuid 65534 --regid 65534 --clear-groups)
fi
"${as_user[@]}" "$programs/initdb" -D "$T/postgres/data" -U tester -A trust -N >"$T/initdb.log" 2>&1 ||
	{ tail -5 "$T/initdb.log" >&2; fail "initdb"; }
target_prefix=("${as_user[@]}")
target PROFD_RATE=4096 "$programs/postgres" -D "$T/postgres/data" -k "$T/postgres" -h '' -F -c autovacuum=off
postgres=$target_pid
sql() { timeout 60 "$programs/psql" -h "$T/postgres" -U tester -Atq -d postgres "$@"; }
wait_for 30 sql -c 'select 1' || { tail -5 "$T/target.log" >&2; fail "postgres does not serve"; }
# A session that stays: its process is a worker with work behind it.
sql -c "create table t as select i, repeat('x', 100) as filler from generate_series(1, 20000) i" \
	-c 'select count(*) from t' -c 'select pg_backend_pid()' -c 'select pg_sleep(900)' \
	>"$T/session" &
session=$!
own_pids+=("$session")
wait_for 20 at_least 2 grep -c . "$T/session" || fail "postgres does not answer"
[ "$(head -1 "$T/session")" = 20000 ] || fail "postgres answers $(head -1 "$T/session")"
backend=$(tail -1 "$T/session")
wait_for 10 at_least 5 n_children "$postgres"
mapfile -t workers < <(children_of "$postgres")
check_targets "$postgres" "$backend" "${workers[@]}"
[ "$(sql -c 'select sum(i) from t')" = 200010000 ] || fail "postgres miscounts after the snapshots"
ends_cleanly "$postgres" INT postgres
wait "$session" 2>/dev/null || true
! grep -E 'terminated by signal|PANIC' "$T/target.log" >&2 || fail "a process of postgres died"
figure "postgres: a master and ${#workers[@]} processes, each its own target"
