#!/bin/bash
# What profd-http takes: a heap of 20,000 live samples by one request after another,
# each with a fresh profile behind it; then 50 such requests a second for ten
# seconds, with the CPU time of the daemon, of its symbolizer and of profd-http.
. "$(dirname "$0")/lib.sh"
. "$root/tests/http-lib.sh"

start_profd
start_http # first: it must not keep open what ends the program
start_stacks PROFD_RATE=1 LD_PRELOAD="$client" 20000 2000 30
wait_attached "$stacks_pid"
engine_pid=$(role_pid engine) scribe_pid=$(role_pid scribe)
cat >"$T/requests.py" <<'END'
import concurrent.futures, http.client, json, sys, time
host, path, rate, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4])
begin = time.monotonic()

def request(i):
    due = begin + i / rate
    time.sleep(max(0, due - time.monotonic()))
    start = time.monotonic()
    c = http.client.HTTPConnection(host, timeout=30)
    c.request('GET', path)
    r = c.getresponse()
    n = len(r.read())
    c.close()
    return r.status, n, time.monotonic() - start

with concurrent.futures.ThreadPoolExecutor(16) as pool:
    answers = list(pool.map(request, range(int(rate * seconds))))
times = sorted(t for _, _, t in answers)
print(json.dumps({'bad': sum(s != 200 or not n for s, n, _ in answers), 'median': times[len(times) // 2] * 1e3,
                  'most': times[-1] * 1e3, 'rate': len(answers) / (time.monotonic() - begin)}))
END
cpu_ns() { awk '{n += $1} END {printf "%d", n}' /proc/"$1"/task/*/schedstat; }
requests() { python3 "$T/requests.py" "$address" "/pid/$stacks_pid/debug/pprof/heap" "$@"; }
of() { value "$1" "$2" "$3"; }

heading "profd-http, a heap of 20,000 live samples on 2,000 stacks of 30 frames"
requests 1 1 >"$T/first"
# Slower than a profile is kept: each has one made.
alone=$(requests 1 "$rounds")
row "heap over HTTP, gc=0, each made anew" "" "" "$(of median .0f "$alone") ms" "<= 100 ms"
before=($(cpu_ns "$engine_pid") $(cpu_ns "$scribe_pid") $(cpu_ns "$http_pid") $(date +%s%N))
many=$(requests 50 10)
after=($(cpu_ns "$engine_pid") $(cpu_ns "$scribe_pid") $(cpu_ns "$http_pid") $(date +%s%N))
[ "$(of bad d "$many")" = 0 ] || differs+=("$(of bad d "$many") requests failed")
share() { python3 -c "print('%.1f' % (100 * (${after[$1]} - ${before[$1]}) / (${after[3]} - ${before[3]})))"; }
row "heap over HTTP, $(of rate .0f "$many") a second for 10 s: median, longest" "" "" \
	"$(of median .0f "$many"), $(of most .0f "$many") ms" ""
row "  the daemon meanwhile: engine, symbolizer" "" "" "$(share 0), $(share 1)% of one CPU" "<= 20%"
row "  profd-http meanwhile" "" "" "$(share 2)% of one CPU" ""
end_stacks
end_of_part
