#!/bin/bash
# `make demo`: the main job, on two programs that know nothing of profd. One is
# ours, in C++, and leaks at a known line; the other is the system's python3.
# Leaves the profiles, and nothing else.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
BUILD=$(cd "$root" && readlink -f "${BUILD:-build}")
profctl=$BUILD/profctl
out=$BUILD/demo
python=/usr/bin/python3
T=$(mktemp -d /tmp/profd-demo.XXXXXX)
chmod 755 "$T" # the daemon is not root, even if root starts it
pids=()
series=()
unset PROFD_RATE PROFD_DISABLE PROFD_TRIM PROFD_CPU PROFD_BLOCK PROFD_MUTEX

bold=; plain=
[ -t 1 ] && { bold=$(printf '\033[1m'); plain=$(printf '\033[0m'); }
step() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
shown() { printf '  $ %s\n' "$*"; }
indent() { cut -c1-78 | sed 's/^/  /'; }

# Rows of `profctl top` in 80 columns: the place below the function.
rows()
{
	sed -n '/ flat%/,$p' | head -"$1" | sed -e "s|$root/||" -e '/ [0-9.]*%  /!b' |
		sed -E 's|^(.{50}.*[^ ])  ([^ ]+:[0-9]+)$|\1\n                                                    \2|' | indent
}

cleanup()
{
	local status=$?
	trap - EXIT
	for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
	for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
	if [ $status -ne 0 ]; then
		echo "demo: did not work; profd said:" >&2
		tail -5 "$T/profd.log" >&2 || true
	fi
	rm -rf "$T"
	exit $status
}
trap cleanup EXIT
trap 'exit 130' INT TERM

wait_for()
{
	for _ in $(seq 100); do
		"$@" >/dev/null 2>&1 && return
		sleep 0.1
	done
	return 1
}
attached() { "$profctl" list | grep -E "^ *$1 .*attached" >/dev/null; }

rm -rf "$out"
mkdir -p "$out" "$T/run" "$T/state"
export PROFD_SOCKET=$T/run/profd.sock

step "1. The daemon"
shown "profd --foreground &"
"$BUILD/profd" --foreground --runtime-dir "$T/run" --state-dir "$T/state" --rotate 0 \
	>"$T/profd.log" 2>&1 &
pids+=($!)
wait_for "$profctl" status
"$profctl" status >"$T/shown"
head -2 "$T/shown" | indent

step "2. Two programs, not changed, not rebuilt, under the client"
shown "LD_PRELOAD=libprofd.so ./leak &"
LD_PRELOAD=$BUILD/libprofd.so "$BUILD/fixtures/leak" 60 >/dev/null &
pids+=($!)
leak=$!
shown "PYTHONMALLOC=malloc LD_PRELOAD=libprofd.so python3 grow.py &"
PYTHONMALLOC=malloc LD_PRELOAD=$BUILD/libprofd.so "$python" "$root/tests/fixtures/grow.py" &
pids+=($!)
grow=$!
wait_for attached "$leak"
wait_for attached "$grow"
sleep 1
# (a daemon that root starts sees the whole machine: others may have the client, too)
"$profctl" list | grep -E "^ *(PID|$leak|$grow) " >"$T/shown"
indent <"$T/shown"

step "3. Five heap snapshots of each, two seconds apart"
for pid in "$leak" "$grow"; do
	shown "profctl snapshot --pid $pid --every 2s --count 5 --output $(basename "$out") &"
	"$profctl" snapshot --verbose --pid "$pid" --every 2s --count 5 --output "$out" \
		>"$T/files.$pid" 2>"$T/trims.$pid" &
	series+=($!)
done
for pid in "${series[@]}"; do wait "$pid"; done
cat "$T/files.$leak" "$T/files.$grow" | sed 's|.*/|  |'

printf '\n%s\n' "Before each, the program gave its free memory back, so that its RSS and its
bytes in use can be compared:"
# (as profctl says it, without the time, to fit the line)
sed -E 's/^profctl: //; s/ \([0-9]+\):/:/; s/ @[0-9.]+s:/:/; s/python3: trim/python3:/; s/leak: trim/leak:   /' \
	"$T/trims.$leak" "$T/trims.$grow" | indent

# show PID TITLE: what grew in its files between first and last.
show()
{
	local first last

	first=$(head -1 "$T/files.$1")
	last=$(tail -1 "$T/files.$1")
	step "$2"
	shown "profctl top LAST --base FIRST"
	"$profctl" top "$last" --base "$first" >"$T/shown"
	rows "$3" <"$T/shown"
	commands+=("go tool pprof -base ${first#"$root"/} \\
      ${last#"$root"/}")
}
commands=()
show "$leak" "4. What grew in leak" 5
line=$(grep -n '// LEAK' "$root/tests/fixtures/leak.cc" | cut -d: -f1)
echo "  The leak is in tests/fixtures/leak.cc, line $line:"
sed -n "${line}p" "$root/tests/fixtures/leak.cc" | sed 's/^[[:space:]]*/      /'
show "$grow" "5. What grew in python3" 5

step "The same files in Go's tool (it needs neither the programs nor profd):"
for command in "${commands[@]}"; do echo "  $command"; done
printf '\nThe files are in %s. Next: README.md.\n' "${out#"$root"/}"
