#!/bin/bash
# Proves that stacks are complete in programs as distributions ship them, built
# without frame pointers: of each program's stacks at least 99% reach _start, main
# or the start of their thread. Each runs for some seconds at 499 Hz; those that are
# cut are listed by reason and innermost function. Not held against a program: what
# lies on a second stack, of which the kernel copies nothing (roots.py).
. "$(dirname "$0")/../lib.sh"

PATH=$PATH:/usr/sbin:/sbin
chmod 711 "$T"
mkdir "$T/work"
chmod 777 "$T/work"
cd "$T/work"
missing=()
only=${STACKS_ONLY:-}

# measure NAME COMM-REGEX COMMAND...: one program under the profiler, for $WORK seconds. On a
# busy machine it had little of the CPU in these, and has four times as many.
measure()
{
	local what=$1 comm=$2 total reached elsewhere kernel_only

	shift 2
	[ -z "$only" ] || [[ " $only " = *" $what "* ]] || return 0
	for WORK in 4 16 64; do
		export WORK
		"$profctl" run -F 499 --cpu "$T/$what.pb.gz" -- "$@" >"$T/$what.log" 2>&1 ||
			{ tail -5 "$T/$what.log" >&2; fail "$what: exit status $?"; }
		valid "$T/$what.pb.gz"
		python3 "$root/tests/roots.py" "$T/$what.pb.gz" "$what" "$comm" >"$T/$what.roots"
		eval "$(tail -1 "$T/$what.roots")"
		! is "$total >= 1000" || break
	done
	cat "$T/$what.roots"
	is "$total >= 300" || fail "$what: only $total stacks"
	is "$reached + $elsewhere >= 0.99 * $total" || failed+=("$what")
}
failed=()

have() { command -v "$1" >/dev/null || { missing+=("$1"); return 1; }; }

# ---- interpreters
cat >w.py <<'END'
import hashlib, json, os, random, re, threading, time, zlib
class A:
    def __init__(self, x): self.x = x
    def f(self, n): return self.x if n == 0 else self.f(n - 1) + 1
def work(end):
    while time.time() < end:
        d = [{'a': i, 'b': str(i) * 10, 'c': [1, 2, 3] * 5} for i in range(300)]
        t = json.dumps(d); json.loads(t)
        sorted([(i, random.random()) for i in range(2000)], key=lambda a: a[1])
        re.findall(r'(\d+)[a-z"]*:', t)
        for name in ('sha512', 'sha256', 'sha1', 'md5'): hashlib.new(name, t.encode() * 4).digest()
        zlib.compress(t.encode()); A(1).f(50)
        try: raise ValueError
        except ValueError: pass
threads = [threading.Thread(target=work, args=(time.time() + int(os.environ['WORK']),)) for _ in range(2)]
for t in threads: t.start()
for t in threads: t.join()
END
measure python3 python /usr/bin/python3 w.py

cat >w.js <<'END'
const end = Date.now() + 1000 * process.env.WORK, zlib = require('zlib'), crypto = require('crypto');
class A { constructor(x) { this.x = x } m(n) { return n <= 0 ? this.x : this.m(n - 1) + 1 } }
function fib(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2) }
function sorter() {
	const a = [];
	for (let i = 0; i < 5000; i++) a.push({k: Math.random(), s: 'x' + i});
	a.sort((x, y) => x.k - y.k);
	return a.map(o => o.s).join(',');
}
while (Date.now() < end) {
	fib(22);
	const s = sorter();
	JSON.parse(JSON.stringify(s.split(',')));
	s.replace(/x(\d)/g, (m, d) => d + 'y');
	zlib.deflateSync(s);
	crypto.createHash('sha512').update(s).digest();
	new A(1).m(100);
}
END
! have node || measure node '^node|V8|libuv' node w.js

cat >w.pl <<'END'
my $end = time + $ENV{WORK}; my %h;
sub rec { my $n = shift; return $n <= 0 ? 0 : 1 + rec($n - 1) }
while (time < $end) {
	for my $i (1 .. 2000) { $h{"k$i"} .= substr("abc" x $i, 0, 5); }
	my @s = sort { $h{$a} cmp $h{$b} } keys %h;
	my $t = join ",", @s; $t =~ s/(\d+)/<$1>/g; my @p = split /[,<>]+/, $t; rec(60); %h = ();
}
END
measure perl perl perl w.pl

# ---- compilers and tools
cat >w.cc <<'END'
#include <algorithm>
#include <functional>
#include <map>
#include <regex>
#include <string>
#include <unordered_map>
#include <vector>
int main(int argc, char **argv)
{
	std::map<std::string, std::vector<std::function<int(int)>>> m;
	std::unordered_map<std::string, std::map<int, std::string>> u;
	for (int i = 0; i < argc; i++)
		m[argv[i]].push_back([=](int x) { return x + i; });
	std::regex r("(a|b)*c");
	for (auto &e : m)
		u[e.first][std::regex_match(e.first, r)] = e.first;
	return (int)u.size();
}
END
measure cc1plus cc1plus sh -c 'for i in 1 2; do g++ -O2 -c -o w.o w.cc; done'

# (a copy of what is here to hand, in a repository of its own)
mkdir repo
cp -r "$root"/daemon "$root"/proto "$root"/client repo
(cd repo && git init -q . && git add . && git -c user.name=t -c user.email=t@t commit -qm one)
measure git '^git' sh -c 'cd repo && for i in $(seq 12); do git repack -adfq --depth=50 --window=200; git log -p --stat >/dev/null; git grep -c "return [a-z]*(" >/dev/null; done'

# ---- programs in Go, Rust and C++
cat >w.go <<'END'
package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"sort"
	"sync"
	"time"
)

type shape interface{ area() float64 }
type square struct{ a float64 }

func (s square) area() float64 { return s.a * s.a }

func rec(n int) int {
	var pad [64]byte
	pad[n%64] = 1
	if n == 0 {
		return int(pad[0])
	}
	return rec(n-1) + int(pad[n%64])
}

func work(end time.Time) {
	re := regexp.MustCompile("([a-z]+)([0-9]+)")
	for time.Now().Before(end) {
		m := map[string]interface{}{}
		for i := 0; i < 500; i++ {
			m[fmt.Sprintf("k%d", i)] = []shape{square{float64(i)}}[0].area()
		}
		b, _ := json.Marshal(m)
		json.Unmarshal(b, &m)
		var z bytes.Buffer
		w := gzip.NewWriter(&z)
		w.Write(b)
		w.Close()
		sha256.Sum256(b)
		re.FindAll(b, -1)
		s := make([]int, 5000)
		for i := range s {
			s[i] = (i * 7919) % 5000
		}
		sort.Slice(s, func(i, j int) bool { return s[i] < s[j] })
		rec(30)
		os.Stat("/")
	}
}

func main() {
	var wg sync.WaitGroup
	length, _ := time.ParseDuration(os.Getenv("WORK") + "s")
	end := time.Now().Add(length)
	for i := 0; i < 3; i++ {
		wg.Add(1)
		go func() { defer wg.Done(); work(end) }()
	}
	wg.Wait()
}
END
if have go; then
	CGO_ENABLED=0 GO111MODULE=off GOCACHE=$BUILD/go-cache go build -o w-go w.go
	measure go '^w-go' ./w-go
fi

cat >w.rs <<'END'
#![feature(bench_black_box)] // where it is not stable yet
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};
trait Shape { fn area(&self) -> f64; }
struct Square(f64);
struct Circle(f64);
impl Shape for Square { fn area(&self) -> f64 { self.0 * self.0 } }
impl Shape for Circle { fn area(&self) -> f64 { 3.14 * self.0 * self.0 } }
#[inline(never)]
fn rec(n: u64) -> u64 { if n == 0 { 1 } else { std::hint::black_box(rec(n - 1)) + n } }
fn work(end: Instant) -> u64 {
    let mut sum = 0;
    while Instant::now() < end {
        let mut h: HashMap<String, Vec<Box<dyn Shape>>> = HashMap::new();
        for i in 0..2000u32 {
            h.entry(format!("k{}", i % 300)).or_default().push(
                if i % 2 == 0 { Box::new(Square(i as f64)) } else { Box::new(Circle(i as f64)) });
        }
        let b: BTreeMap<_, f64> = h.iter().map(|(k, v)| (k.clone(), v.iter().map(|s| s.area()).sum())).collect();
        let mut v: Vec<_> = b.values().cloned().collect();
        v.sort_by(|a, b| b.partial_cmp(a).unwrap());
        sum += rec(50) + v.len() as u64 + b.keys().map(|k| k.chars().rev().collect::<String>().len() as u64).sum::<u64>();
        if std::panic::catch_unwind(|| { if std::hint::black_box(false) { panic!() } }).is_err() { sum += 1; }
    }
    sum
}
fn main() {
    let end = Instant::now() + Duration::from_secs(std::env::var("WORK").unwrap().parse().unwrap());
    let t: Vec<_> = (0..2).map(|_| std::thread::spawn(move || work(end))).collect();
    println!("{}", t.into_iter().map(|t| t.join().unwrap()).sum::<u64>());
}
END
if have rustc && RUSTC_BOOTSTRAP=1 rustc -O -o w-rs w.rs 2>"$T/rustc.log"; then
	measure rust '^w-rs' ./w-rs
fi
measure c++ stacks-shapes sh -c "exec $fixtures/stacks-shapes \$WORK"

# ---- servers
# A server and its load: the server is told to end, cleanly, when the load has run.
cat >nginx.conf <<END
$([ "$(id -u)" != 0 ] || echo "user nobody nogroup;")
daemon off;
worker_processes 1;
pid $T/work/nginx.pid;
error_log stderr crit;
events { worker_connections 64; }
http {
	access_log off;
	gzip on; gzip_comp_level 9; gzip_min_length 1; gzip_types text/plain;
	client_body_temp_path $T/work/body; proxy_temp_path $T/work/proxy;
	fastcgi_temp_path $T/work/fastcgi; uwsgi_temp_path $T/work/uwsgi; scgi_temp_path $T/work/scgi;
	server { listen unix:$T/work/nginx.sock; root $T/work; keepalive_requests 1000000; location / { rewrite ^/x(.*)y$ /w.py; } }
}
END
cat >get.py <<'END'
import os, socket, sys, time
path, end = sys.argv[1], time.time() + int(os.environ['WORK'])
while True:
    try: s = socket.socket(socket.AF_UNIX); s.connect(path); break
    except OSError: time.sleep(.05)
while time.time() < end:
    s.sendall(b'GET /xaby HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n' * 16)
    got = 0
    while got < 16: got += s.recv(65536).count(b'0\r\n\r\n')
END
if have nginx; then
	measure nginx '^nginx' sh -c "nginx -e stderr -p . -c nginx.conf & s=\$!; python3 get.py $T/work/nginx.sock; kill -QUIT \$s; wait \$s"
fi

if have redis-server && have redis-benchmark; then
	measure redis '^redis-server' sh -c "redis-server --port 0 --unixsocket $T/work/redis.sock --save '' >/dev/null & s=\$!
		until redis-cli -s $T/work/redis.sock ping; do sleep .05; done
		redis-benchmark -s $T/work/redis.sock -q -n 60000 -P 16 -r 10000 -t set,get,lpush,lrange_100,zadd,hset,sadd,mset
		redis-cli -s $T/work/redis.sock eval 'local s = 0; for i = 1, 8000000 do s = s + #tostring(i) end; return s' 0
		redis-cli -s $T/work/redis.sock shutdown nosave; wait \$s"
fi

programs=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -1 || true)
if [ -x "$programs/initdb" ]; then
	as_user=
	mkdir postgres
	if [ "$(id -u)" = 0 ]; then
		chown 65534:65534 postgres
		as_user="setpriv --reuid 65534 --regid 65534 --clear-groups"
	fi
	$as_user "$programs/initdb" -D "$T/work/postgres/data" -U tester -A trust -N >"$T/initdb.log" 2>&1
	# Without what cannot be complete: its regular expressions have their automata on the
	# stack, more than the kernel copies, and what it generates has neither call-frame
	# information nor frame pointers.
	measure postgres '^postgres' $as_user sh -c "$programs/postgres -D $T/work/postgres/data -k $T/work/postgres -h '' -F -c jit=off & s=\$!
		sql() { $programs/psql -h $T/work/postgres -U tester -Atq -d postgres \"\$@\"; }
		until sql -c 'select 1'; do sleep .1; done
		for i in \$(seq \$((WORK / 4))); do sql -c 'drop table if exists t' -c 'create table t as select i, md5(i::text) h, i % 1000 k from generate_series(1, 200000) i' -c 'create index on t(h)' \
			-c 'select count(*), sum(length(a.h)) from t a join t b using (h) group by a.k order by 2 limit 3' \
			-c \"select replace(translate(h, 'abcdef', 'uvwxyz'), 'u', 'xx') r, count(*) from t group by r order by 2 desc limit 2\" \
			-c 'select jsonb_object_agg(h, i) is null from t where i < 50000' -c 'vacuum analyze t' \
			-c 'with recursive f(n, s) as (select 1, 0.5::numeric union all select n + 1, s * 1.01 from f where n < 3000) select max(s) > 0 from f'; done
		kill -INT \$s; wait \$s"
else
	missing+=(postgres)
fi

[ ${#missing[@]} = 0 ] || figure "NOT HERE, and so not tested: ${missing[*]}"
[ ${#failed[@]} = 0 ] || fail "less than 99% of the stacks are complete in: ${failed[*]}"
