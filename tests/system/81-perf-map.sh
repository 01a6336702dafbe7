#!/bin/bash
# Proves that generated code is named by the perf-map of its process, and by nothing
# else: JavaScript in node; a program that writes its own map, early or late, and is
# gone when the profile is written; one in namespaces of its own. A FIFO, a device, a
# link, a directory, 1 GiB, another user's file, and one open to others are refused,
# counted and said, delay nobody and name nothing; a hostile text names what it may.
. "$(dirname "$0")/../lib.sh"

need_root
cd "$T" # node leaves a file where it runs
at_exit+=('rm -rf $maps')
maps=

# run_map HOW: profile $T/HOW.pb.gz
run_map()
{
	"$profctl" run -F 499 --cpu "$T/$1.pb.gz" -- "$fixtures/jit-map" "$1" 1 >"$T/pid" 2>"$T/log" ||
		{ cat "$T/log" >&2; fail "$1: exit status $?"; }
	maps+=" /tmp/perf-$(cat "$T/pid").map /tmp/perf-$(cat "$T/pid").map.target"
	valid "$T/$1.pb.gz"
}
# named FILE: parts of the samples that are in the map's code, and in none that is named
count_named() { eval "$(raw "$1" samples named='^^^named_by_map$' anon='^^^//anon$' main='$$^(_start|main)$')"; }
says_refused() { go tool pprof -raw "$1" 2>/dev/null | grep -E '^Comment: .*[1-9] perf-map files refused' >/dev/null; }

for how in good late; do
	run_map $how
	count_named "$T/$how.pb.gz"
	is "$named >= 0.9 * $total and $total >= 30" || fail "$how: $named of $total samples named"
	is "$main >= 0.95 * $total" || fail "$how: $main of $total stacks through generated code reach main"
	! says_refused "$T/$how.pb.gz" || fail "$how: refused"
done
figure "a program's own map: $named of $total samples are in code that it names, after its end"

for how in fifo device link directory huge open foreign; do
	run_map $how
	count_named "$T/$how.pb.gz"
	is "$named == 0 and $anon >= 0.9 * $total and $total >= 30" ||
		fail "$how: $named of $total samples named, $anon not"
	says_refused "$T/$how.pb.gz" || fail "$how: the profile does not say that the map was refused"
done
run_map none
count_named "$T/none.pb.gz"
is "$named == 0 and $anon > 0" || fail "none: $named of $total named"
! says_refused "$T/none.pb.gz" || fail "none: refused"
figure "refused and said: FIFO, device, symbolic link, directory, 1 GiB, another user's, open to others"

run_map hostile
eval "$(raw "$T/hostile.pb.gz" samples evil='^^^evil\?\[2J\?name\?L{900,1010}$' code='^^^(evil|//anon|given_up|all|cut_sho)')"
is "$evil >= 0.9 * $total and $code == $evil" || fail "hostile: $evil of $total by the cleaned name ($code in code)"

# Its pid is another to itself, and so is its /tmp.
"$profctl" run -F 499 --cpu "$T/inner.pb.gz" -- unshare --pid --mount --fork --mount-proc \
	sh -c "mount -t tmpfs none /tmp && exec /proc/self/fd/9 good 1" >"$T/pid" 2>"$T/log" 9<"$fixtures/jit-map" ||
	{ cat "$T/log" >&2; fail "namespaces"; }
eval "$(raw "$T/inner.pb.gz" samples named='^^^named_by_map$' anon='^^^//anon$')"
[ "$(cat "$T/pid")" = 1 ] || fail "its pid is $(cat "$T/pid"), not 1"
is "$named >= 0.9 * $total" || fail "namespaces: $named of $total named"
figure "in namespaces of pids and mounts: $named of $total samples named"

# The daemon counts what it refuses, and goes on.
start_profd
"$fixtures/jit-map" fifo 4 >"$T/pid" & own_pids+=($!)
"$profctl" snapshot --type cpu --seconds 2 --output "$T" >/dev/null
maps+=" /tmp/perf-$(cat "$T/pid").map"
[ "$(counter perf_maps_refused)" -ge 1 ] || fail "not counted"
[ "$(counter scribe_restarts)" = 0 ] || fail "a scribe died"

command -v node >/dev/null || { figure "NODE IS NOT HERE: only programs of our own were tested"; exit 0; }
cat >"$T/fib.js" <<'END'
console.log(process.pid);
const end = Date.now() + 3000;
function fibonacci(n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2) }
function driver() { while (Date.now() < end) fibonacci(24) }
driver();
END
"$profctl" run -F 499 --cpu "$T/node.pb.gz" -- node --perf-basic-prof "$T/fib.js" >"$T/pid"
maps+=" /tmp/perf-$(cat "$T/pid").map"
eval "$(raw "$T/node.pb.gz" samples fib='^^^(JS|LazyCompile):\*fibonacci .*fib.js' start='$$^_start$' anon='^^^//anon$')"
figure "node --perf-basic-prof: of $total samples $fib in the compiled fibonacci, $anon without a name; $start stacks reach _start"
is "$fib >= 0.7 * $total and $start >= 0.9 * $total" || fail "node's functions"
