#!/bin/bash
# Proves that profd-http answers as Go's net/http/pprof does: the same requests to a
# Go server beside it get the same status, and where the answer does not depend on
# the program, the same headers and body, byte by byte.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../http-lib.sh"

start_profd
target "$fixtures/leak" 3000
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
	'/debug/pprof/heap?debug=2' '/debug/pprof/goroutine?debug=2' '/debug/pprof/goroutine?debug=3' '/debug/pprof/mutex?debug=2' \
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
got 200 "/pid/$target_pid/debug/pprof/heap?debug=1"
stack=$(sed -n '2s/.*@ //p' "$T/body")
head -1 "$T/body" | grep -E '^heap profile: [0-9]+: [0-9]+ \[[0-9]+: [0-9]+\] @ heap_v2/524288$' >/dev/null ||
	fail "debug=1: $(head -1 "$T/body")"
grep -q '^MAPPED_LIBRARIES:$' "$T/body" || fail "debug=1 has no mappings"
got 200 "/pid/$target_pid/debug/pprof/symbol" -d "${stack// /+}"
grep -q '^0x[0-9a-f]* main$' "$T/body" || fail "symbol: $(cat "$T/body")"
grep -q 'Server::open_session' "$T/body" || fail "symbol: $(cat "$T/body")"
got 200 "/pid/$target_pid/debug/pprof/symbol?${stack// /+}"
[ "$(wc -l <"$T/body")" -gt 3 ] || fail "symbol by GET: $(cat "$T/body")"

echo "- threads as Go tells goroutines"
"$fixtures/many-threads" 100 >"$T/threads.log" &
threads=$!
own_pids+=("$threads")
wait_for 20 grep -q waiting "$T/threads.log" || fail "the threads do not wait"
# FILE WORD: of each block the id, what stands in brackets, and its functions, tab by tab.
cat >"$T/blocks.py" <<'END'
import re, sys
text = open(sys.argv[1], encoding='utf-8').read()
for block in text.split('\n\n'):
    lines = [l for l in block.split('\n') if l and not l.startswith('# ')]
    if not lines:
        continue
    head = re.fullmatch(sys.argv[2] + r' (\d+) \[([^\]]+)\]:', lines[0])
    assert head, lines[0]
    frames = lines[1:]
    assert frames and len(frames) % 2 == 0, block
    for function, place in zip(frames[::2], frames[1::2]):
        assert re.fullmatch(r'created by .*|.+\(.*\)', function), function
        assert re.fullmatch(r'\t(.+:\d+( \+0x[0-9a-f]+)?|.+ \+0x[0-9a-f]+)', place), place
    print(head[1], head[2], *(f.rsplit('(', 1)[0] for f in frames[::2]), sep='\t')
END
url=$go_url got 200 '/debug/pprof/goroutine?debug=2'
python3 "$T/blocks.py" "$T/body" goroutine >"$T/blocks" || fail "this is not how Go writes them: $(head -3 "$T/body")"
for word in goroutine:goroutine threads:thread; do
	got 200 "/pid/$threads/debug/pprof/${word%:*}?debug=2"
	python3 "$T/blocks.py" "$T/body" "${word#*:}" >"$T/blocks" || fail "${word%:*}?debug=2"
	cut -f1 "$T/blocks" | sort -u >"$T/ids"
	ls "/proc/$threads/task" | sort | cmp -s - "$T/ids" || fail "not each thread once"
	for way in mutex condition semaphore read sleep poll epoll; do
		in=$(grep -c ", $way, of $threads [^	]*	.*	in_$way	" "$T/blocks" || true)
		[ "$in" -ge 14 ] || { head -3 "$T/blocks"; fail "$in threads in_$way"; }
	done
	grep -q '^[0-9]*	sleeping, futex' "$T/blocks" || fail "no state and wait channel"
	grep -q "^$threads	sleeping, .*	main	" "$T/blocks" || fail "no main thread"
done
grep -qE '^	.*many-threads\.c:[0-9]+$' "$T/body" || fail "no source lines"
figure "$(wc -l <"$T/blocks") threads as goroutine?debug=2 tells them"
echo "- equal stacks are one, and told how often"
got 200 "/pid/$threads/debug/pprof/goroutine?debug=1"
[ "$(head -1 "$T/body")" = "goroutine profile: total 102" ] || fail "$(head -1 "$T/body")"
blocks=$(grep -c '^[0-9]* @' "$T/body")
is "8 <= $blocks < 30" || fail "$blocks stacks of 102 threads"
grep -A6 -E '^1[45] @' "$T/body" | grep in_epoll >/dev/null || fail "not 14 threads on one stack"
echo "- contention has the head that Go gives it"
for kind in block mutex; do
	got 200 "/debug/pprof/$kind?debug=1"
	head -1 "$T/body" >"$T/ours"
	url=$go_url got 200 "/debug/pprof/$kind?debug=1"
	head -1 "$T/body" | cmp -s - "$T/ours" || fail "$kind?debug=1: $(cat "$T/ours")"
done
