#!/bin/bash
# Proves that `profctl snapshot --url` takes the place of the shell loop that everyone
# writes: from Go's own server and from profd-http, timestamped files that are valid;
# what is not a profile, an error status, a server that is silent, sends without end
# or is gone is said in one line, leaves no file, and does not end the series.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../http-lib.sh"
mkdir "$T/out"

start_profd
mine=leak$$
cp "$fixtures/leak" "$T/$mine"
target "$T/$mine" 900
wait_attached "$target_pid"
start_http
start_go_server

echo "- three files, from Go and from a native program"
for from in "$go_url" "$url/comm/$mine"; do
	status_is 0 "$profctl" snapshot --url "$from/debug/pprof/heap?gc=1" --every 1s --count 3 --output "$T/out"
	mapfile -t files <"$T/stdout"
	[ ${#files[@]} = 3 ] || fail "${#files[@]} files"
	[ ! -s "$T/stderr" ] || fail "$(cat "$T/stderr")"
	for file in "${files[@]}"; do
		[[ $(basename "$file") =~ ^heap_127.0.0.1_[0-9]+_[0-9]{8}T[0-9]{6}\.[0-9]{3}Z\.pb\.gz$ ]] || fail "named $file"
	done
	go tool pprof -top -base "${files[0]}" "${files[2]}" >"$T/top" 2>&1 || fail "pprof -base"
done
valid "${files[@]}"
status_is 0 "$profctl" snapshot --url "$go_url/debug/pprof/profile?seconds=1" --output "$T/out"
status_is 0 "$profctl" --json snapshot --url "$go_url/debug/pprof/allocs" --output "$T/out"
python3 -c "import json, sys; assert json.load(open('$T/stdout'))['index'] == 1"
figure "$(ls "$T/out" | wc -l) files from Go's server and profd-http"

# bad REGEX URL [OPTION...]: fails, says so in one line, leaves nothing.
bad()
{
	local before=$(ls "$T/out") regex=$1
	shift
	status_is 1 "$profctl" snapshot --output "$T/out" --url "$@"
	one_line "$regex"
	[ "$(ls "$T/out")" = "$before" ] || fail "left a file: $*"
}
echo "- what cannot be had"
bad '404: Unknown profile' "$go_url/debug/pprof/nosuch"
bad '404: Unknown profile' "$url/debug/pprof/nosuch"
bad 'no profile' "$go_url/debug/pprof/heap?debug=1"
bad 'no profile' "$go_url/debug/pprof/"
bad 'no profile' "$url/metrics"
bad 'onnect' http://127.0.0.1:1/debug/pprof/heap
bad 'resolve' http://nosuch.invalid/debug/pprof/heap
status_is 2 "$profctl" snapshot --url file:///etc/passwd --output "$T/out"
status_is 2 "$profctl" snapshot --url "$url/debug/pprof/heap" --pid 1

echo "- a password is not shown"
bad '127.0.0.1:[0-9]*/debug/pprof/nosuch: HTTP' "http://ann:secret@${go_url#http://}/debug/pprof/nosuch"
grep -q secret "$T/stderr" && fail "the password is in the message"

echo "- servers that mean ill"
cat >"$T/ill.py" <<'END'
import http.server, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path.startswith('/silent'):
            time.sleep(1000)
        elif self.path.startswith('/endless'):
            self.send_response(200)
            self.end_headers()
            try:
                while True:
                    self.wfile.write(bytes(1 << 20))
            except OSError:
                pass
        elif self.path.startswith('/file'):
            self.send_response(302)
            self.send_header('Location', 'file:///etc/passwd')
            self.end_headers()
        elif self.path.startswith('/loop'):
            self.send_response(302)
            self.send_header('Location', '/loop')
            self.end_headers()
        elif self.path.startswith('/short'):
            self.send_response(200)
            self.send_header('Content-Length', '100000')
            self.end_headers()
            self.wfile.write(b'\x1f\x8b')
    def log_message(self, *args):
        pass
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
END
python3 "$T/ill.py" >"$T/ill.port" &
own_pids+=($!)
wait_for 10 test -s "$T/ill.port"
ill=http://127.0.0.1:$(cat "$T/ill.port")
bad 'more than 256 MiB' "$ill/endless"
bad 'rotocol' "$ill/file"
bad 'redirect' "$ill/loop"
bad '.' "$ill/short"

echo "- a signal ends it, and profd-fetch with it, while a server is silent"
asks() { asking=$(pgrep -P "$series" -x profd-fetch) && grep -q silent "/proc/$asking/cmdline"; }
gone() { [[ $(cut -d' ' -f3 "/proc/$asking/stat" 2>/dev/null) = [ZX] || ! -e /proc/$asking ]]; }
for signal in TERM INT KILL; do
	# Not by a shell that would have SIGINT ignored, as it has for what runs beside it.
	python3 -c 'import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])' "$profctl" snapshot --url "$ill/silent" --output "$T/out" 2>"$T/stderr" &
	series=$!
	own_pids+=("$series")
	wait_for 20 asks || fail "no profd-fetch asks"
	kill -"$signal" "$series"
	status=0
	wait "$series" || status=$?
	[ "$status" = $((128 + $(kill -l "$signal"))) ] || fail "status $status after SIG$signal"
	[ ! -s "$T/stderr" ] || fail "$(cat "$T/stderr")"
	wait_for 5 gone || fail "profd-fetch outlives SIG$signal"
done

echo "- a server that is restarted: the series goes on"
"$profctl" snapshot --url "$url/comm/$mine/debug/pprof/heap" --every 500ms --count 40 --output "$T/out" \
	>"$T/series" 2>"$T/series.err" &
series=$!
own_pids+=("$series")
some_files() { [ "$(wc -l <"$T/series")" -ge 2 ]; }
wait_for 20 some_files || fail "no files"
end_process "$http_pid"
some_errors() { [ -s "$T/series.err" ]; }
wait_for 20 some_errors || fail "that the server has gone is not said"
before=$(wc -l <"$T/series")
"$http" --listen "$address" 2>>"$T/http.log" &
own_pids+=($!)
more_files() { [ "$(wc -l <"$T/series")" -gt "$before" ]; }
wait_for 20 more_files || { cat "$T/series.err" >&2; fail "no file after the restart"; }
status=0
wait "$series" || status=$?
[ "$status" = 1 ] || fail "status $status, though some could not be had"
mapfile -t files <"$T/series"
valid "${files[@]}"

echo "- a signal ends it"
rm -f "$T/series" # or what it said before is taken for an answer
"$profctl" snapshot --url "$go_url/debug/pprof/heap" --every 1h --count 2 --output "$T/out" >"$T/series" &
series=$!
own_pids+=("$series")
one_file() { [ -s "$T/series" ]; }
wait_for 20 one_file || fail "no file"
kill -TERM "$series"
status=0
wait "$series" || status=$?
[ "$status" = 143 ] || fail "status $status after SIGTERM"
