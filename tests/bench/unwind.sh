#!/bin/bash
# `make bench BENCH=unwind`: unwinding a stack copy, warm, of real samples of python3,
# of a compiler and of a C++ program. Beside it, if perf is there, the same program
# under perf's own unwinder: the time that perf script takes more with stacks than without.
. "$(dirname "$0")/../lib.sh"

cat >"$T/w.py" <<'END'
import json, re
class A:
    def f(self, n): return 0 if n == 0 else self.f(n - 1) + 1
while True:
    t = json.dumps([{'a': i, 'b': str(i) * 10} for i in range(300)])
    json.loads(t); re.findall(r'(\d+)[a-z"]*:', t); sorted(t.split(), key=lambda x: x[1:]); A().f(20)
END
echo '#include <regex>' >"$T/w.cc"
for i in $(seq 40); do echo "bool f$i(const char *s) { return std::regex_match(s, std::regex(\"(a|b)*c$i\")); }" >>"$T/w.cc"; done
"$BUILD/bench/unwind" 4 /usr/bin/python3 "$T/w.py"
"$BUILD/bench/unwind" 4 "$(g++ -print-prog-name=cc1plus)" -quiet -imultiarch x86_64-linux-gnu -O2 "$T/w.cc" -o /dev/null
"$BUILD/bench/unwind" 4 "$fixtures/stacks-shapes" 60

command -v perf >/dev/null || exit 0
perf record -q -B -N -F 999 -e cpu-clock --call-graph dwarf,8192 -o "$T/perf.data" timeout 4 /usr/bin/python3 "$T/w.py" 2>/dev/null || true
python3 - "$T/perf.data" <<'END'
import subprocess, sys, time
def run(*how):
    start = time.monotonic()
    out = subprocess.run(['perf', 'script', '-i', sys.argv[1], *how], capture_output=True, text=True).stdout
    return time.monotonic() - start, out
bare = min(run('-F', 'comm,tid,time')[0] for _ in range(3))
stacks, out = min((run('-F', 'comm,tid,time,ip') for _ in range(3)), key=lambda r: r[0])
n = out.count('\n\n')
if n == 0:
    print('perf script     does not read its own file on this kernel: no figure beside')
else:
    print(f'perf script     {n} samples: {1e9 * (stacks - bare) / n:.0f} ns a sample, cold start and output included')
END
