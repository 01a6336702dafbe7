#!/bin/bash
# Proves that go tool pprof works against every address as it does against a Go
# program's: reports, the difference of two URLs, a measurement of so many seconds,
# the page with its flame graph, source lines, SVG; without a warning and with the
# right totals. And that the shell loop written for Go services runs unchanged.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../http-lib.sh"
cd "$T"

start_profd
# Under names that nobody else's programs have: profd sees the whole machine.
mine=leak$$ burner=split$$
cp "$fixtures/leak" "$T/$mine"
cp "$fixtures/split" "$T/$burner"
target PROFD_RATE=1024 "$T/$mine" 3000
leak_pid=$target_pid
wait_attached "$leak_pid"
"$T/$burner" 900 >"$T/split.log" &
own_pids+=($!)
start_http
machine=$url
url=$url/comm/$mine

# quiet REGEX OPTION...: succeeds; says what it fetches and nothing else; has REGEX.
quiet()
{
	local regex=$1
	shift
	go tool pprof "$@" >"$T/out.txt" 2>"$T/err" || { cat "$T/err" >&2; fail "pprof $*"; }
	if grep -vE '^(Fetching profile over HTTP|Saved profile in|Please wait)' "$T/err" >&2; then
		fail "pprof $*: not silent"
	fi
	grep -Eq -- "$regex" "$T/out.txt" || { head -30 "$T/out.txt" >&2; fail "pprof $*: no $regex"; }
}

echo "- reports"
for where in "" "/pid/$leak_pid" "/comm/$mine"; do
	quiet open_session -top "$machine$where/debug/pprof/heap"
done
quiet 'Type: alloc_space' -top "$url/debug/pprof/allocs"
quiet open_session -inuse_objects -top "$url/debug/pprof/heap?gc=1"
quiet open_session -top -cum "$url/debug/pprof/heap"
quiet 'new Session; // LEAK' -list open_session "$url/debug/pprof/heap"
quiet '<svg' -svg "$url/debug/pprof/heap"
quiet open_session -traces "$url/debug/pprof/heap"
# `web`, as it is typed at pprof's prompt: the SVG is what a browser is given.
printf '#!/bin/sh\ncp "$1" "%s/web.svg"\n' "$T" >"$T/browser"
chmod +x "$T/browser"
printf 'top -cum\nlist open_session\nweb\n' | BROWSER=$T/browser go tool pprof "$url/debug/pprof/heap" >"$T/out.txt" 2>&1
wait_for 20 grep -q 'xlink:title="Server::open_session' "$T/web.svg" || { tail -5 "$T/out.txt"; fail "web: no SVG with the function"; }
grep -q 'new Session; // LEAK' "$T/out.txt" || fail "list at the prompt"
quiet 'open_session' -symbolize=remote -top "$url/debug/pprof/heap?debug=1"
# A thread that waits for its turn on a busy machine at that moment may be shown without a stack.
main_is_seen() { go tool pprof -top -cum "$url/debug/pprof/goroutine" >"$T/main" 2>&1 && grep -Eq 'main|__libc_start' "$T/main"; }
wait_for 60 main_is_seen || { cat "$T/main" >&2; fail "no main in goroutine"; }
quiet 'Type: ' -top -cum "$url/debug/pprof/goroutine"
quiet 'Type: threads' -top "$url/debug/pprof/threads"
for empty in block mutex threadcreate; do
	quiet 'Type: (delay|threadcreate)' -top "$url/debug/pprof/$empty"
done

echo "- the text and the file say the same"
kill -STOP "$leak_pid" # its heap is read from outside, and stands still
quiet . -unit bytes -top "$url/debug/pprof/heap"
file_total=$(sed -n 's/.* of \([0-9]*\)B total.*/\1/p' "$T/out.txt")
quiet . -unit bytes -symbolize=remote -top "$url/debug/pprof/heap?debug=1"
text_total=$(sed -n 's/.* of \([0-9]*\)B total.*/\1/p' "$T/out.txt")
kill -CONT "$leak_pid"
is "abs($text_total - $file_total) <= 0.02 * $file_total" ||
	fail "the text has $text_total bytes, the file $file_total"

echo "- CPU time: of the machine, of a name; without an address of its own"
quiet hot_sixty -top -seconds 3 "$machine/debug/pprof/profile"
quiet hot_sixty -top -seconds 3 "$machine/comm/$burner/debug/pprof/profile"
quiet hot_sixty -top -seconds 3 "$address"
quiet hot_sixty -seconds 1 -top -cum "$machine/comm/$burner/debug/pprof/profile"

echo "- a difference: of two URLs, and by the server"
quiet 'open_session' -top -base "$url/debug/pprof/heap" "$url/debug/pprof/heap?gc=1"
# What the program leaks in 4 seconds, as the server subtracts it and as pprof does.
got 200 /debug/pprof/heap?gc=1 && cp "$T/body" "$T/before.pb.gz"
began=$(date +%s%N)
got 200 '/debug/pprof/heap?seconds=4' && cp "$T/body" "$T/delta.pb.gz"
took=$((($(date +%s%N) - began) / 1000000)) # in which the 4 s lie
got 200 /debug/pprof/heap?gc=1 && cp "$T/body" "$T/after.pb.gz"
valid "$T/before.pb.gz" "$T/delta.pb.gz" "$T/after.pb.gz"
total() { go tool pprof -unit bytes -top "$@" 2>"$T/err" | sed -n 's/.* of \(-*[0-9]*\)B total.*/\1/p'; }
delta=$(total "$T/delta.pb.gz")
difference=$(total -base "$T/before.pb.gz" "$T/after.pb.gz")
is "0.5 * $difference * 4000 / max($took, 4000) <= $delta <= 1.05 * $difference" ||
	fail "the delta has $delta bytes; the files around it differ by $difference"
go tool pprof -raw "$T/delta.pb.gz" 2>&1 | grep '^Duration: 4' >/dev/null || fail "the delta's duration"
figure "heap?seconds=4: $delta bytes, within files that differ by $difference"

echo "- the page, with its flame graph"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
go tool pprof -no_browser -http "127.0.0.1:$port" "$url/debug/pprof/heap" >"$T/web.log" 2>&1 &
own_pids+=($!)
wait_for 30 curl -sf -o "$T/page" "http://127.0.0.1:$port/ui/flamegraph" || { cat "$T/web.log" >&2; fail "no page"; }
grep -q open_session "$T/page" || fail "the flame graph does not have the function"
curl -sf -o "$T/page" "http://127.0.0.1:$port/ui/peek?f=open_session"
grep -q 'Server::handle' "$T/page" || fail "the page of callers does not have the caller"
grep -iE 'warn|fail|error' "$T/web.log" && fail "the page came with a warning"

echo "- the loop that everyone writes"
mkdir loop
for i in 1 2 3; do
	curl -sSf -o "loop/heap.$(date +%s).$i.pb.gz" "$url/debug/pprof/heap?gc=1"
	sleep 1
done
valid loop/*
first=$(ls loop/* | head -1) last=$(ls loop/* | tail -1)
quiet open_session -top -inuse_objects -base "$first" "$last"

echo "- several targets at once: told apart by labels, and summed"
target PROFD_RATE=1024 "$T/$mine" 3000
wait_attached "$target_pid"
got 200 /debug/pprof/heap?gc=1 && cp "$T/body" "$T/both.pb.gz"
valid "$T/both.pb.gz"
go tool pprof -tags "$T/both.pb.gz" >"$T/tags" 2>&1
for pid in "$leak_pid" "$target_pid"; do grep -q "\b$pid\b" "$T/tags" || { cat "$T/tags" >&2; fail "no samples of $pid"; }; done
url=$machine
got 200 "/pid/$target_pid/debug/pprof/heap?gc=1" && cp "$T/body" "$T/one.pb.gz"
is "$(total "$T/both.pb.gz") > $(total "$T/one.pb.gz") > 0" || fail "the sum is no sum"
got 404 /comm/nosuch/debug/pprof/heap
got 404 /pid/4194303/debug/pprof/heap
got 404 /pid/4194303/debug/pprof/profile?seconds=1
grep -qi '^x-go-pprof: 1' "$T/head" || fail "pprof would not show why"
