#!/bin/bash
# Proves that profd-http answers as Go's net/http/pprof does: the same requests to a
# Go server beside it get the same status, and where the answer does not depend on
# the program, the same headers and body, byte by byte.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../http-lib.sh"

start_profd
target "$fixtures/leak" 900
wait_attached "$target_pid"
start_http
start_go_server

# The headers of an answer, but the date and how its length is told.
headers_of()
{
	tr -d '\r' <"$1" | grep -viE '^(date|content-length|transfer-encoding|connection):' | sort
}

# as_go whole|headers PATH [CURL-OPTION...]
compared=0
as_go()
{
	local what=$1 path=$2
	shift 2
	get "$path" "$@"
	headers_of "$T/head" >"$T/ours"
	cp "$T/body" "$T/our-body"
	url=$go_url get "$path" "$@"
	headers_of "$T/head" >"$T/gos"
	cmp -s "$T/ours" "$T/gos" || { diff "$T/gos" "$T/ours" >&2 || true; fail "$path: other headers than Go's"; }
	[ "$what" = headers ] || cmp -s "$T/body" "$T/our-body" ||
		{ diff "$T/body" "$T/our-body" >&2 || true; fail "$path: another body than Go's"; }
	compared=$((compared + 1))
}

echo "- wrong requests"
for path in /debug/pprof/nosuch '/debug/pprof/nosuch?seconds=1' '/debug/pprof/heap?seconds=0' \
	'/debug/pprof/heap?seconds=-1' '/debug/pprof/heap?seconds=x' \
	'/debug/pprof/heap?seconds=1&debug=1' '/debug/pprof/allocs?seconds=1.5' \
	'/debug/pprof/heap?seconds=99999999999999999999' '/debug/pprof/block?seconds=%20' \
	'/debug/pprof/heap/' '/debug/pprof/heap/x' /nosuch /debug /debug/pprof//heap \
	/debug/pprof /debug/pprof/heap/../nosuch /../../etc/passwd '/debug/pprof?x=1'; do
	as_go whole "$path"
done
wrong=$compared

echo "- right ones"
for path in /debug/pprof/heap /debug/pprof/allocs '/debug/pprof/heap?gc=1' '/debug/pprof/heap?debug=1' \
	'/debug/pprof/heap?debug=x' '/debug/pprof/heap?seconds=1' '/debug/pprof/allocs?seconds=1' \
	/debug/pprof/block /debug/pprof/mutex /debug/pprof/threadcreate /debug/pprof/goroutine '/debug/pprof/goroutine?debug=1' '/debug/pprof/block?debug=1' \
	'/debug/pprof/profile?seconds=1' '/debug/pprof/profile?seconds=1&debug=1' /debug/pprof/cmdline \
	'/debug/pprof/trace?seconds=0.2' '/debug/pprof/trace?seconds=-1' '/debug/pprof/trace?seconds=x&debug=1' \
	/debug/pprof/ ; do
	as_go headers "$path"
done
as_go headers /debug/pprof/heap -I
as_go whole /debug/pprof/symbol
as_go whole '/debug/pprof/symbol?0x0+junk'
as_go whole /debug/pprof/symbol -d '0x0'
figure "$wrong wrong and $((compared - wrong)) right requests answered as by Go $(go version | awk '{print $3}')"

echo "- a seconds that is none means 30 for CPU time, as in Go"
start=$SECONDS
got 200 '/debug/pprof/profile?seconds=x' -o "$T/thirty.pb.gz"
[ $((SECONDS - start)) -ge 29 ] || fail "it took $((SECONDS - start)) s"

echo "- cmdline and symbol"
got 200 "/pid/$target_pid/debug/pprof/cmdline"
cmp -s "$T/body" <(head -c -1 "/proc/$target_pid/cmdline") || fail "cmdline: $(tr '\0' ' ' <"$T/body")"
got 200 '/debug/pprof/heap?debug=1'
stack=$(sed -n '2s/.*@ //p' "$T/body")
head -1 "$T/body" | grep -E '^heap profile: [0-9]+: [0-9]+ \[[0-9]+: [0-9]+\] @ heap_v2/524288$' >/dev/null ||
	fail "debug=1: $(head -1 "$T/body")"
grep -q '^MAPPED_LIBRARIES:$' "$T/body" || fail "debug=1 has no mappings"
got 200 /debug/pprof/symbol -d "${stack// /+}"
grep -q '^0x[0-9a-f]* main$' "$T/body" || fail "symbol: $(cat "$T/body")"
grep -q 'Server::open_session' "$T/body" || fail "symbol: $(cat "$T/body")"
got 200 "/debug/pprof/symbol?${stack// /+}"
[ "$(wc -l <"$T/body")" -gt 3 ] || fail "symbol by GET: $(cat "$T/body")"
