#!/bin/bash
# Proves that `profctl symbolize --debuginfod URL` gets what is not here from a real
# debuginfod server, dwz's shared file included, and that nobody is asked without the option,
# whatever DEBUGINFOD_URLS says; that what a server sends is taken only if it is the right
# build, and within limits; that a server which cannot be reached costs no profile; and that
# nothing stays behind. All on a loopback interface of its own.
if [ -z "${IN_NAMESPACE:-}" ]; then
	[ "$(id -u)" = 0 ] || { echo "needs root"; exit 77; }
	command -v debuginfod >/dev/null || { echo "no debuginfod here"; exit 77; }
	IN_NAMESPACE=1 exec unshare --net "$0"
fi
. "$(dirname "$0")/../lib.sh"
. "$root/tests/debug-lib.sh"
ip link set lo up
mkdir -p "$T/server/.dwz/here" "$T/tmp"
export TMPDIR=$T/tmp

build plain
debug_of plain "$T/server/plain.debug"
for name in shared_a shared_b; do
	build $name -include map -include string -fno-eliminate-unused-debug-types \
		-UINNER -DINNER=inner_shared_name
	debug_of $name "$T/server/$name.debug"
done
dwz -m "$T/server/.dwz/here/shared.debug" -M "$T/server/.dwz/here/shared.debug" \
	"$T/server/shared_a.debug" "$T/server/shared_b.debug" || fail "dwz"
readelf -SW "$T/server/shared_a.debug" | grep gnu_debugaltlink >/dev/null || fail "dwz shared nothing"
for name in plain shared_a; do
	"$profctl" run -F 499 --cpu "$T/$name.pb.gz" -- timeout 2 "$T/bin/$name" || true
done
rm "$T/bin/plain" # found here without its debug file, and not found at all

debuginfod -F "$T/server" -p 8002 -d "$T/debuginfod.sqlite" -t 0 >"$T/server.log" 2>&1 &
own_pids+=($!)
has() { python3 -c 'import sys, urllib.request as u; u.urlopen(sys.argv[1])' "http://127.0.0.1:8002/buildid/$1/debuginfo" 2>/dev/null; }
for name in plain shared_a; do
	wait_for 60 has "$(build_id_of "$T/full/$name")" || { tail -5 "$T/server.log"; fail "the server does not know $name"; }
done
wait_for 60 has "$(build_id_of "$T/server/.dwz/here/shared.debug")" || fail "the server does not know dwz's file"

# symbolize NAME OPTION...: the report is $T/top
symbolize()
{
	"$profctl" symbolize -o "$T/out.pb.gz" "${@:2}" "$T/$1.pb.gz" >"$T/said" 2>"$T/stderr" ||
		{ cat "$T/stderr"; fail "symbolize $*"; }
	valid "$T/out.pb.gz"
	go tool pprof -top -nodecount 1000000 -nodefraction 0 "$T/out.pb.gz" >"$T/top" 2>/dev/null
	[ -z "$(ls -A "$T/tmp")" ] || fail "$(ls -A "$T/tmp") was left behind"
}

echo "- nobody is asked"
DEBUGINFOD_URLS=http://127.0.0.1:8002 symbolize plain
nameless plain
echo "- fetched"
for name in plain shared_a; do
	symbolize $name --debuginfod http://127.0.0.1:8002
	[ ! -s "$T/stderr" ] || { cat "$T/stderr"; fail "$name: it complains"; }
	grep -Eq 'inner_(plain|shared_name) \(inline\)' "$T/top" || { cat "$T/top"; fail "$name: not named"; }
done
symbolize plain --debuginfod http://127.0.0.1:8002/
named plain
cp "$T/said" "$T/said.first"
symbolize shared_a --debuginfod http://127.0.0.1:9 --debuginfod http://127.0.0.1:8002
grep -q 'inner_shared_name (inline)' "$T/top" || { cat "$T/top"; fail "shared_a: not named"; }
grep -q '127.0.0.1:9/.*connect' "$T/stderr" || { cat "$T/stderr"; fail "it does not say what it could not reach"; }
symbolize plain --debuginfod http://ann:secret@127.0.0.1:9
grep -q '^profd-fetch: http://127.0.0.1:9/.*connect.*not asked again' "$T/stderr" ||
	{ cat "$T/stderr"; fail "it does not say that it gives up"; }
grep -q secret "$T/stderr" && fail "the password is in the message"
figure "$(sed 's/.*: //' "$T/said.first"), from a server, of which one has its entries in dwz's file"

cat >"$T/evil.py" <<'END'
import http.server, sys
mode, path = sys.argv[1:3]
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(302 if mode == 'moved' else 200)
        if mode == 'moved':
            self.send_header('Location', 'file://' + path)
        self.end_headers()
        if mode == 'wrong':
            self.wfile.write(open(path, 'rb').read())
        try:
            while mode == 'endless':
                self.wfile.write(bytes(1 << 20))
        except OSError:
            pass
    def log_message(self, *args):
        pass
server = http.server.HTTPServer(('127.0.0.1', 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
END
evil()
{
	echo "- a server that is $1"
	rm -f "$T/port"
	python3 "$T/evil.py" "$@" >"$T/port" &
	own_pids+=($!)
	wait_for 10 test -s "$T/port" || fail "no server"
	url=http://127.0.0.1:$(cat "$T/port")
}
evil wrong "$T/server/shared_b.debug"
symbolize plain --debuginfod "$url"
nameless plain
evil moved "$T/server/plain.debug"
symbolize plain --debuginfod "$url"
nameless plain
evil endless -
fetched=$(build_id_of "$T/full/plain" | timeout 60 "$BUILD/profd-fetch" --max-bytes 3000000 "$T/tmp" "$url" 2>"$T/stderr")
[ "$fetched" = 0 ] || fail "endless: $fetched files"
grep -q 'larger than it may be' "$T/stderr" || { cat "$T/stderr"; fail "endless: it does not say why"; }
[ -z "$(find "$T/tmp" -type f)" ] || fail "endless: something was kept"
echo "- errors"
status_is 2 "$profctl" symbolize --debuginfod file:///etc "$T/plain.pb.gz"
status_is 2 "$profctl" symbolize --debuginfod ftp://127.0.0.1 "$T/plain.pb.gz"
figure "the wrong build, a file without end and a redirection to a file of ours: refused"
