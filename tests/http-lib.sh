# profd-http for system tests; sourced after tests/lib.sh.
http=$BUILD/profd-http

# start_http [OPTION...]: on a port of its own; $url, $http_pid, and what it said in
# $T/http.log. What stands in http_prefix starts it.
http_prefix=()
start_http()
{
	: >"$T/http.log"
	"${http_prefix[@]}" "$http" --listen 127.0.0.1:0 "$@" 2>>"$T/http.log" &
	http_pid=$!
	own_pids+=("$http_pid")
	wait_for 20 grep -q 'listening on 127' "$T/http.log" || { cat "$T/http.log" >&2; fail "no profd-http"; }
	address=$(sed -n 's/.*listening on \(127.*\)/\1/p' "$T/http.log" | head -1)
	url=http://$address
}

# get PATH [CURL-OPTION...]: the body in $T/body, the headers in $T/head, the status in
# $code ("000": none).
get()
{
	local path=$1
	shift
	code=$(curl -s --path-as-is -m 60 -o "$T/body" -D "$T/head" -w '%{http_code}' "$@" "$url$path" || true)
}

# got STATUS PATH [CURL-OPTION...]
got()
{
	local wanted=$1
	shift
	get "$@"
	[ "$code" = "$wanted" ] || { head -c 300 "$T/body" >&2; fail "status $code, not $wanted: $*"; }
}

# The Go program that serves net/http/pprof: $go_url.
start_go_server()
{
	GO111MODULE=off GOCACHE="$BUILD/go-cache" go build -o "$BUILD/goserver" "$root/tests/goserver/main.go" ||
		fail "the Go server does not build"
	"$BUILD/goserver" >"$T/goserver.log" 2>&1 &
	own_pids+=($!)
	wait_for 20 grep -q : "$T/goserver.log" || fail "no Go server"
	go_url=http://$(head -1 "$T/goserver.log")
}
