#!/bin/bash
# Proves what programs that watch get: /metrics is clean to promtool and has every
# counter of `profctl status`; a real Prometheus scrapes it, sees it up and its
# counters never go back; the list of targets is Prometheus' service discovery format,
# and what it says leads to a profile.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../http-lib.sh"

start_profd
mine=leak$$
cp "$fixtures/leak" "$T/$mine"
target "$T/$mine" 3000
wait_attached "$target_pid"
start_http

echo "- promtool"
got 200 /metrics
grep -qi '^content-type: text/plain; version=0.0.4; charset=utf-8' <(tr -d '\r' <"$T/head") || fail "$(cat "$T/head")"
promtool check metrics <"$T/body" >"$T/promtool" 2>&1 || { cat "$T/promtool" >&2; fail "promtool"; }
[ ! -s "$T/promtool" ] || { cat "$T/promtool" >&2; fail "promtool has something to say"; }
for name in profd_samples_total profd_samples_lost_total profd_snapshots_total profd_clients \
	profd_build_info process_cpu_seconds_total process_start_time_seconds process_open_fds \
	process_max_fds process_resident_memory_bytes process_virtual_memory_bytes \
	profd_symbolize_duration_seconds_{bucket,sum,count}; do
	grep -q "^$name[{ ]" "$T/body" || fail "no $name"
done
fds=$(sed -n 's/^process_open_fds //p' "$T/body")
is "3 < $fds < 100" || fail "$fds descriptors"
began=$(sed -n 's/^process_start_time_seconds //p' "$T/body")
is "0 <= $(date +%s) + 1 - $began < 600" || fail "it began at $began"

echo "- how long profiles take to be symbolized"
metric() { sed -n "s/^$1 //p" "$T/body"; }
before=$(metric profd_symbolize_duration_seconds_count)
begin=$(date +%s%N)
for _ in 1 2 3; do snapshot --type heap --pid "$target_pid"; done
spent=$(($(date +%s%N) - begin))
got 200 /metrics
[ "$(metric profd_symbolize_duration_seconds_count)" = $((before + 3)) ] || fail "three profiles are not counted"
python3 - "$T/body" <<'END' || fail "no histogram"
import re, sys
buckets = re.findall(r'^profd_symbolize_duration_seconds_bucket\{le="(.*)"\} (\d+)$', open(sys.argv[1]).read(), re.M)
bounds, counts = [float(b) for b, _ in buckets], [int(n) for _, n in buckets]
assert len(buckets) > 10 and bounds == sorted(bounds) and bounds[-1] == float('inf'), bounds
assert counts == sorted(counts) and counts[-1] >= 3, counts
END
sum=$(metric profd_symbolize_duration_seconds_sum)
is "0 < $sum and ($before > 0 or $sum < $spent / 1e9)" || fail "$sum s for three profiles within $spent ns"
figure "$(metric profd_symbolize_duration_seconds_count) profiles symbolized in $sum s"

echo "- every counter of status"
"$profctl" --json status >"$T/status"
python3 - "$T/status" "$T/body" <<'END' || fail "counters"
import json, re, sys
counters = json.load(open(sys.argv[1]))['counters']
text = open(sys.argv[2]).read()
source = open('client/http/metrics.c').read()
missing = []
for name in counters:
    own = re.search(rf'^profd_{name}(_total)? \d+$', text, re.M)
    label = re.search(rf'"{name}", "(\w+)"', source)
    if not own and not (label and f'="{label[1]}"}}' in text):
        missing.append(name)
print('missing:', missing) if missing else None
sys.exit(bool(missing))
END
figure "$(grep -c '^# TYPE' "$T/body") metrics, $(python3 -c "import json; print(len(json.load(open('$T/status'))['counters']))") counters of status, promtool silent"

echo "- samples of heaps, also of processes that have ended"
of_heaps() { got 200 /metrics; metric 'profd_samples_total{kind="heap"}'; }
before=$(of_heaps)
[ "$before" -gt 0 ] || fail "$before samples of heaps"
# a table that is full: there are more objects than one has room for
PROFD_RATE=1 LD_PRELOAD=$client python3 -c 'x = [bytearray(600) for _ in range(600000)]' || fail "python3"
lost() { got 200 /metrics; [ "$(metric 'profd_samples_lost_total{reason="heap_objects_full"}')" -gt 0 ]; }
wait_for 20 lost || fail "no loss is counted"
is "$(of_heaps) >= $before + 100000" || fail "the samples of a program that has ended are not there"
figure "$(metric 'profd_samples_lost_total{reason="heap_objects_full"}') samples lost by a program of 600,000 objects, counted after its end"

echo "- a target's heap and RSS"
inuse=$(sed -n "s/^profd_target_heap_inuse_bytes{pid=\"$target_pid\",.*} //p" "$T/body")
resident=$(sed -n "s/^profd_target_resident_memory_bytes{pid=\"$target_pid\",.*} //p" "$T/body")
is "0 < $inuse < $resident" || fail "in use $inuse, resident $resident"

echo "- names that would break the format"
cp "$fixtures/leak" "$T/"'a"b\c<i>'
target "$T/"'a"b\c<i>' 900
wait_attached "$target_pid"
got 200 /metrics
promtool check metrics <"$T/body" >"$T/promtool" 2>&1 || { cat "$T/promtool" >&2; fail "promtool"; }
grep -q 'comm="a\\"b\\\\c<i>"' "$T/body" || fail "the name is not there as it should be"
got 200 /
grep -q '<i>' "$T/body" && fail "a name became part of the page"
grep -q 'a&#34;b\\c&lt;i&gt;' "$T/body" || fail "the page does not have the name"
got 200 '/comm/a%22b%5Cc%3Ci%3E/debug/pprof/heap'

echo "- service discovery"
got 200 /targets
grep -qi '^content-type: application/json' "$T/head" || fail "the type of /targets"
prefix=$(python3 - "$T/body" "$mine" "$address" <<'END'
import json, sys
groups = json.load(open(sys.argv[1]))
for g in groups:
    assert set(g) == {'targets', 'labels'} and isinstance(g['targets'], list)
    assert all(isinstance(v, str) for v in g['labels'].values())
mine = [g for g in groups if g['labels']['comm'] == sys.argv[2]]
assert len(mine) == 1 and mine[0]['targets'] == [sys.argv[3]], mine
print(mine[0]['labels']['__profile_path_prefix__'])
END
) || fail "/targets"
got 200 "$prefix/debug/pprof/heap"

echo "- a real Prometheus"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >"$T/prometheus.yml" <<END
# So long it may take on a busy machine; one that takes longer is down.
global: {scrape_interval: 3s, scrape_timeout: 3s}
scrape_configs:
- job_name: profd
  static_configs: [{targets: ["$address"]}]
- job_name: discovered
  http_sd_configs: [{url: "$url/targets", refresh_interval: 1s}]
END
prometheus --config.file="$T/prometheus.yml" --storage.tsdb.path="$T/tsdb" \
	--web.listen-address="127.0.0.1:$port" >"$T/prometheus.log" 2>&1 &
own_pids+=($!)
query() { curl -sf --data-urlencode "query=$1" "http://127.0.0.1:$port/api/v1/query"; }
# The number of series for which the expression holds.
holds() { query "$1" | python3 -c 'import json, sys; print(len(json.load(sys.stdin)["data"]["result"]))'; }
scraped() { [ "$(holds 'count_over_time(up{job="profd"}[5m]) >= 8')" = 1 ]; }
wait_for 120 scraped || { tail -5 "$T/prometheus.log" >&2; fail "not scraped eight times"; }
[ "$(holds 'min_over_time(up{job="profd"}[5m]) == 1')" = 1 ] || fail "it was down"
query '{__name__=~"profd_.*_total",job="profd"}[5m]' >"$T/series"
series=$(python3 - "$T/series" <<'END'
import json, sys
result = json.load(open(sys.argv[1]))['data']['result']
for s in result:
    values = [float(v) for _, v in s['values']]
    assert values == sorted(values), s
print(len(result))
END
) || fail "a counter went back"
[ "$series" -gt 30 ] || fail "only $series series"
[ "$(holds 'increase(profd_samples_total{kind="cpu",job="profd"}[5m]) > 0')" = 1 ] || fail "no CPU samples were counted"
discovered() { [ "$(holds "up{job=\"discovered\",comm=\"$mine\"}")" = 1 ]; }
wait_for 20 discovered || fail "targets were not discovered"
figure "$(query 'count_over_time(up{job="profd"}[5m])' | grep -o '"[0-9]*"\]' | tr -dc 0-9) scrapes by Prometheus, up all the time, $series counters, none went back"
