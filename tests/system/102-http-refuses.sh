#!/bin/bash
# Proves who is let in and what is cut off: another user sees what the control socket
# shows them and no more; names that are not the server's, pages of other sites,
# wrong passwords, methods and paths are refused; beyond loopback nothing is served
# without a password; slow, endless and huge requests are closed; and through all of
# it others are served and the daemon samples on.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../http-lib.sh"
need_root
for_everyone
cp "$http" "$T/bin" && http=$T/bin/profd-http
nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups)
getent group profd >/dev/null || groupadd --system profd
member=(setpriv --reuid 65534 --regid "$(getent group profd | cut -d: -f3)" --clear-groups)

start_profd
chmod 755 "$T/run"
mine=leak$$
cp "$fixtures/leak" "$T/$mine"
target "$T/$mine" 3000
wait_attached "$target_pid"
start_http --mode 0666 --listen "$T/http.sock"
heap=/pid/$target_pid/debug/pprof/heap

# as COMMAND-PREFIX STATUS PATH [CURL-OPTION...]
status_as()
{
	local -n who=$1
	local wanted=$2 got
	got=$("${who[@]}" curl -s -o /dev/null -m 20 -w '%{http_code}' "${@:4}" "$url$3" || true)
	[ "$got" = "$wanted" ] || fail "$1: $3: $got, not $wanted (${*:4})"
}

echo "- another user: over loopback, and by the UNIX socket"
status_as nobody 403 "$heap"
status_as nobody 403 "/pid/$target_pid/debug/pprof/profile?seconds=1"
"${nobody[@]}" curl -sf "$url/debug/pprof/profile?seconds=1" >"$T/theirs.pb.gz" || fail "nobody has no CPU profile of their own"
pprof -raw "$T/theirs.pb.gz" >"$T/raw"
! grep -q "pid:\[$target_pid\]" "$T/raw" || fail "another's process is in nobody's CPU profile"
status_as nobody 404 "/comm/$mine/debug/pprof/heap"
status_as nobody 404 "/pid/$target_pid/debug/pprof/cmdline"
status_as nobody 403 "$heap" --unix-socket "$T/http.sock"
for page in / /targets /metrics; do
	"${nobody[@]}" curl -sf "$url$page" >"$T/page" || fail "a stranger has no $page"
	! grep -q "$mine" "$T/page" || fail "$page shows others' processes to a stranger"
done
got 200 "$heap"
got 200 "$heap" --unix-socket "$T/http.sock"
status_as member 200 "$heap" --unix-socket "$T/http.sock"
echo "- a profile that one may see is not kept for another"
got 200 "$heap" && status_as nobody 403 "$heap"
echo "- their own they have"
"${nobody[@]}" env LD_PRELOAD="$client" PROFD_SOCKET="$PROFD_SOCKET" "$fixtures/leak" 900 >/dev/null 2>&1 &
theirs=$!
own_pids+=("$theirs")
wait_attached "$theirs"
status_as nobody 200 "/pid/$theirs/debug/pprof/heap"
status_as nobody 200 "/debug/pprof/heap"
status_as nobody 200 "/debug/pprof/profile?seconds=1"

echo "- names that are not ours, and pages of others"
got 403 "$heap" -H 'Host: evil.example'
got 403 "$heap" -H "Host: localhost.evil.example:${address#*:}"
got 403 "$heap" -H 'Sec-Fetch-Site: cross-site'
got 403 "$heap" -H 'Origin: http://evil.example'
got 200 "$heap" -H "Host: localhost:${address#*:}"
got 200 "$heap" --unix-socket "$T/http.sock" -H 'Host: anything'

echo "- methods, paths, sizes"
got 405 "$heap" -X DELETE
got 405 "$heap" -X OPTIONS
for path in '/%' '/%00' "/$(printf 'a%.0s' $(seq 300))"; do got 400 "$path"; done
got 301 '/debug/pprof/../../../../etc/passwd'
got 404 '/etc/passwd'
got 301 '/comm/%2e%2e/%2e%2e/etc/shadow'
head -c 60000 /dev/zero | tr '\0' a >"$T/large"
head -c 70000 /dev/zero | tr '\0' a >"$T/huge"
got 200 /debug/pprof/symbol --data-binary "@$T/large"
got 413 /debug/pprof/symbol --data-binary "@$T/huge"
get "$heap" -H "X: $(cat "$T/large")"
case "$code" in 4?? | 000) ;; *) fail "a header of 60 kB: $code" ;; esac
get "/$(cat "$T/large")"
case "$code" in 4?? | 000) ;; *) fail "a path of 60 kB: $code" ;; esac
got 400 '/debug/pprof/heap?seconds=3601'
got 400 '/debug/pprof/profile?seconds=100000'

echo "- slow and endless requests are cut off, while others are served"
cat >"$T/slow.py" <<'END'
import socket, sys, time
host, port, how = sys.argv[1], int(sys.argv[2]), sys.argv[3]
s = socket.create_connection((host, port))
begin = time.monotonic()
try:
    if how == 'header':
        s.sendall(b'GET / HTTP/1.1\r\nHost: localhost\r\nX: ')
    elif how == 'body':
        s.sendall(b'POST /debug/pprof/symbol HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n')
    elif how == 'chunks':
        s.sendall(b'POST /debug/pprof/symbol HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n')
    while time.monotonic() - begin < 60:
        s.sendall(b'1\r\na\r\n' if how == 'chunks' else b'a')
        time.sleep(0.2)
        s.settimeout(0.01)
        try:
            if not s.recv(1000):
                break
        except TimeoutError:
            pass
        s.settimeout(None)
except OSError:
    pass
print(f'{time.monotonic() - begin:.1f}')
END
for how in header body chunks silence; do
	python3 "$T/slow.py" "${address%:*}" "${address#*:}" "$how" >"$T/slow.$how" &
	slow+=($!)
done
got 200 "$heap"
for pid in "${slow[@]}"; do wait "$pid" || fail "slow.py"; done
for how in header body chunks silence; do
	is "$(cat "$T/slow.$how") < 40" || fail "$how: not cut off in $(cat "$T/slow.$how") s"
done
got 200 /metrics
closed=$(sed -n 's/^profd_http_slow_total //p' "$T/body")
[ "$closed" -ge 4 ] || fail "$closed slow connections were counted"
figure "slow requests cut off after $(cat "$T"/slow.{header,body,chunks,silence} | xargs) s"

echo "- more connections than there may be: those within the limit are served again"
cat >"$T/flood.py" <<'END'
import socket, sys, time
held = []
for _ in range(200):
    s = socket.socket()
    s.settimeout(0.2)
    try:
        s.connect((sys.argv[1], int(sys.argv[2])))
        held.append(s)
    except OSError:
        break
print(len(held), flush=True)
time.sleep(3)
END
python3 "$T/flood.py" "${address%:*}" "${address#*:}" >"$T/flood"
wait_for 40 curl -sf -m 2 -o /dev/null "$url/metrics" || fail "not served after a flood of $(cat "$T/flood")"
[ "$(ls "/proc/$http_pid/task" | wc -l)" -le 80 ] || fail "$(ls "/proc/$http_pid/task" | wc -l) threads"

echo "- rubbish"
for rubbish in 'GET\r\n\r\n' '\0\0\0\0\r\n\r\n' 'GET / HTTP/9.9\r\n\r\n' 'POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n' \
	'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n' 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'; do
	printf "$rubbish" | timeout 3 bash -c "cat >/dev/tcp/${address%:*}/${address#*:}" || true
done
got 200 "$heap"
end_process "$http_pid"

echo "- beyond loopback: not without a password"
status_is 1 timeout 10 "$http" --listen :0
one_line 'password-file'
printf 'ann:%s\n' "$(openssl passwd -6 secret)" >"$T/passwords"
echo "ann:secret" >"$T/clear"
status_is 1 timeout 10 "$http" --listen :0 --password-file "$T/clear"
one_line 'hash'
status_is 1 timeout 10 "$http" --listen :0 --password-file "$T/none"
start_http --password-file "$T/passwords" --listen :0
everywhere=$(sed -n 's/.*listening on \(0.0.0.0\|\[::\]\):/127.0.0.1:/p' "$T/http.log")
for where in "$address" "$everywhere"; do
	url=http://$where
	got 401 "$heap"
	grep -qi '^WWW-Authenticate: Basic' "$T/head" || fail "401 without a question"
	got 401 "$heap" -u ann:wrong
	got 401 "$heap" -u bob:secret
	got 200 "$heap" -u ann:secret
	status_as nobody 200 "$heap" -u ann:secret
done
go tool pprof -top "http://ann:secret@$everywhere$heap" >"$T/top" 2>&1
grep -q open_session "$T/top" || { cat "$T/top" >&2; fail "pprof with a name and a password"; }
end_process "$http_pid"

echo "- TLS"
openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 \
	-days 2 -keyout "$T/key.pem" -out "$T/cert.pem" 2>"$T/openssl.log"
status_is 1 timeout 10 "$http" --listen 127.0.0.1:0 --tls-cert "$T/passwords" --tls-key "$T/key.pem"
status_is 2 timeout 10 "$http" --tls-cert "$T/cert.pem"
start_http --tls-cert "$T/cert.pem" --tls-key "$T/key.pem"
url=https://$address
got 200 "$heap" --cacert "$T/cert.pem"
cp "$T/body" "$T/tls.pb.gz" && valid "$T/tls.pb.gz"
got 000 "$heap"
url=http://$address
get "$heap"
[ "$code" != 200 ] || fail "plain HTTP where TLS was asked for"
end_process "$http_pid"

echo "- everyone, if it was said so"
start_http --users all
status_as nobody 200 "$heap"

echo "- and the daemon has sampled on"
before=$(counter cpu_samples)
more_samples() { [ "$(counter cpu_samples)" -gt "$before" ]; }
wait_for 10 more_samples || fail "no more samples"
[ "$(counter messages_malformed)" = 0 ] || fail "the daemon was sent rubbish"
