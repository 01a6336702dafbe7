#!/bin/bash
# Proves that requests do not get in each other's way: two and ten CPU requests at
# once all succeed, each with the right shares; one who leaves ends their request
# and nobody else's; a target that ends during a measurement gives what there was
# until then, at once and with a comment.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../http-lib.sh"

start_profd
"$fixtures/split" 900 >"$T/split.log" &
split=$!
own_pids+=("$split")
start_http

# at_once N: N requests of 5 seconds, each a file.
at_once()
{
	local i pids=()
	for i in $(seq "$1"); do
		curl -sSf -o "$T/$1-$i.pb.gz" "$url/pid/$split/debug/pprof/profile?seconds=5" &
		pids+=($!)
	done
	for i in "${pids[@]}"; do wait "$i" || fail "one of $1 failed"; done
	valid "$T"/$1-*.pb.gz
	for i in $(seq "$1"); do
		eval "$(raw "$T/$1-$i.pb.gz" samples sixty=hot_sixty thirty=hot_thirty ten=hot_ten)"
		# Four standard deviations: how many samples there are is the machine's affair.
		for share in "$sixty 0.6" "$thirty 0.3" "$ten 0.1"; do
			set -- "$1" $share
			is "abs($2 - $3 * $total) <= 4 * ($total * $3 * (1 - $3)) ** 0.5 + 0.02 * $total > 0" ||
				fail "$i of $1: $2 of $total samples, not $3 of them"
		done
	done
	figure "$1 CPU requests at once: all with 60, 30 and 10%"
}
at_once 2
at_once 10

echo "- one who leaves"
curl -s -m 1 -o /dev/null "$url/debug/pprof/profile?seconds=300" || true
no_peers() { [ "$(ss -x state connected 2>/dev/null | grep -c "$T/run/profd.sock")" = 0 ]; }
if command -v ss >/dev/null; then
	wait_for 10 no_peers || fail "the request goes on without anyone who waits for it"
fi

echo "- a target that ends"
target "$fixtures/leak" 3000
victim=$target_pid
wait_attached "$victim"
start=$SECONDS
curl -sS -o "$T/cpu.pb.gz" -w '%{http_code}' "$url/pid/$victim/debug/pprof/profile?seconds=600" >"$T/cpu.code" &
cpu=$!
curl -sS -o "$T/heap.pb.gz" -w '%{http_code}' "$url/pid/$victim/debug/pprof/heap?seconds=600" >"$T/heap.code" &
heap=$!
sleep 3
kill -KILL "$victim"
wait "$cpu" && wait "$heap" || fail "curl failed"
[ "$(cat "$T/cpu.code" "$T/heap.code")" = 200200 ] || { cat "$T/heap.pb.gz" >&2; fail "$(cat "$T"/*.code)"; }
[ $((SECONDS - start)) -lt 500 ] || fail "it took $((SECONDS - start)) s"
valid "$T/cpu.pb.gz" "$T/heap.pb.gz"
for file in cpu heap; do
	go tool pprof -top "$T/$file.pb.gz" >"$T/top" 2>&1
	grep -q '^incomplete: the process ended' "$T/top" || { cat "$T/top" >&2; fail "$file: no comment"; }
done
grep -q open_session "$T/top" || { cat "$T/top" >&2; fail "the last heap is not in the difference"; }
got 404 "/pid/$victim/debug/pprof/profile?seconds=60"
figure "a target killed after 3 s of 600: both profiles after $((SECONDS - start)) s, with a comment"

echo "- the daemon goes, and comes back"
stop_profd
got 503 /debug/pprof/heap
got 503 /metrics
start_profd
got 200 /metrics
