#!/bin/bash
# `make bench BENCH=unwind`: unwinding a stack copy, warm, of real samples of python3,
# of a compiler and of a C++ program.
. "$(dirname "$0")/lib.sh"

heading "Unwinding the stack copies of real samples, warm"
# measure NAME COMMAND...: the line that the program prints, as a row.
measure()
{
	local name=$1 line

	shift
	"$BUILD/bench/unwind" 4 "$@" >"$T/unwind" || fail "unwind: $name"
	line=$(head -1 "$T/unwind")
	row "unwinding a sample of $name" "" "" "${line#*complete: }" "<= 1.5 us for 10 frames"
}

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
measure python3 /usr/bin/python3 "$T/w.py"
measure cc1plus "$(g++ -print-prog-name=cc1plus)" -quiet -imultiarch x86_64-linux-gnu -O2 "$T/w.cc" -o /dev/null
measure "a C++ program" "$fixtures/stacks-shapes" 60

start_profd
end_of_part
