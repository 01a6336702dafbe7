# What system tests share; source it first. Gives every test a directory of its
# own ($T), a daemon of its own, and an end that leaves nothing behind: only
# processes that were started through here are ended, by their ids.
#
# Exit statuses are the runner's: 0 passed, 77 skipped, anything else failed.
# A figure that a test measured goes to standard output as "figure: ...".
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BUILD=$(cd "$root" && mkdir -p "${BUILD:-build}" && readlink -f "${BUILD:-build}")
profd=$BUILD/profd
profctl=$BUILD/profctl
client=$BUILD/libprofd.so
fixtures=$BUILD/fixtures
gocheck=$BUILD/gocheck
name=$(basename "$0" .sh)
export PPROF_TMPDIR PROFD_SOCKET LC_ALL=C
unset PROFD_RATE PROFD_DISABLE PROFD_CPU PROFD_BLOCK PROFD_MUTEX LD_PRELOAD

T=$(mktemp -d "${TMPDIR:-/tmp}/profd-$name.XXXXXX")
chmod 755 "$T"
PROFD_SOCKET=$T/run/profd.sock
PPROF_TMPDIR=$T/pprof
own_pids=()
at_exit=()

fail() { echo "FAIL: $*" >&2; exit 1; }
skip() { echo "$*"; exit 77; }
figure() { echo "figure: $*"; }
need_root() { [ "$(id -u)" = 0 ] || skip "needs root"; }

# Puts the programs where another user can reach them, too; the tree may lie in a
# home directory.
for_everyone()
{
	mkdir -p "$T/bin"
	cp "$profd" "$profctl" "$client" "$fixtures/leak" "$T/bin"
	chmod -R a+rX "$T/bin"
	profd=$T/bin/profd profctl=$T/bin/profctl client=$T/bin/libprofd.so fixtures=$T/bin
}

# Ends @1 and waits until it is gone.
end_process()
{
	kill "$1" 2>/dev/null || return 0
	for _ in $(seq 600); do
		[ -d "/proc/$1" ] && ! grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null || return 0
		sleep 0.05
	done
	kill -KILL "$1" 2>/dev/null || true
}

cleanup()
{
	local status=$? pid command

	set +e
	trap - EXIT
	for command in "${at_exit[@]}"; do eval "$command"; done
	for pid in "${own_pids[@]}"; do end_process "$pid"; done
	[ $status -ne 0 ] && [ $status -ne 77 ] && [ -s "$T/profd.log" ] &&
		{ echo "--- profd said:"; tail -20 "$T/profd.log"; } >&2
	[ -n "${KEEP:-}" ] && echo "kept: $T" || rm -rf --one-file-system "$T"
	exit $status
}
trap cleanup EXIT
trap 'exit 143' TERM INT

# wait_for SECONDS COMMAND...: until it succeeds. So long a machine of its own may take;
# one that others keep busy has a minute at least.
wait_for()
{
	local end=$((SECONDS + ($1 > 60 ? $1 : 60)))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.1
	done
}

# start_profd [OPTION...]: a daemon with its files in $T; its id is $profd_pid. Under root
# that is the keeper's; role_pid NAME has the others'.
start_profd()
{
	mkdir -p "$T/run" "$T/state"
	"$profd" --foreground --runtime-dir "$T/run" --state-dir "$T/state" --rotate 0 "$@" \
		>>"$T/profd.log" 2>&1 &
	profd_pid=$!
	own_pids+=("$profd_pid")
	wait_for 20 "$profctl" status || fail "profd did not start"
}

# role_pid keeper|starter|engine|scribe: its process, now. A daemon that is not root's is
# an engine alone.
role_pid() { json_of "$profctl" --json status "j['processes']['$1']"; }

# Ends the daemon as an administrator would. It has to exit with status 0.
stop_profd()
{
	local status=0

	kill "$profd_pid"
	wait "$profd_pid" || status=$?
	[ $status = 0 ] || fail "profd ended with status $status"
}

# target [NAME=VALUE...] COMMAND...: starts it under the client; $target_pid. What
# stands in target_prefix runs before the client comes in.
target_prefix=()
target()
{
	rm -f "$T/target.log" # what another one said is not this one's
	"${target_prefix[@]}" env LD_PRELOAD="$client" "$@" >"$T/target.log" 2>&1 &
	target_pid=$!
	own_pids+=("$target_pid")
}

# json_of COMMAND... EXPRESSION: the value of a Python expression over the
# command's JSON, which it calls j.
json_of()
{
	local expression=${*: -1}

	"${@:1:$#-1}" | python3 -c 'import json, sys; j = json.load(sys.stdin); print(eval(sys.argv[1]))' \
		"$expression"
}

counter() { json_of "$profctl" --json status "j['counters']['$1']"; }
inuse_of() { json_of "$profctl" --json list "[t['inuse_bytes'] for t in j['targets'] if t['pid'] == $1][0]"; }
is_attached() { json_of "$profctl" --json list "1 / sum(t['attached'] for t in j['targets'] if t['pid'] == $1)"; }
wait_attached() { wait_for 10 is_attached "$1" || fail "the client of $1 did not attach"; }

# snapshot OPTION...: the files' paths, in the array `files`.
snapshot()
{
	mapfile -t files < <("$profctl" snapshot "$@")
	[ ${#files[@]} -gt 0 ] || fail "no file from: snapshot $*"
}

# Puts every file to Go's pprof library.
valid()
{
	"$gocheck" "$@" >"$T/gocheck.log" 2>&1 || { cat "$T/gocheck.log" >&2; fail "gocheck: $*"; }
}

pprof() { go tool pprof "$@"; }
raw() { python3 "$root/tests/raw.py" "$@"; }

# is COMPARISON: of numbers, as Python reads it.
is() { python3 -c "import sys; sys.exit(not ($*))"; }

# status_is N COMMAND...: its exit status; output in $T/stdout, $T/stderr.
status_is()
{
	local wanted=$1 got=0

	shift
	"$@" >"$T/stdout" 2>"$T/stderr" || got=$?
	[ "$got" = "$wanted" ] || { cat "$T/stdout" "$T/stderr" >&2; fail "exit status $got, not $wanted: $*"; }
}

# one_line REGEX: standard error was that one line and nothing else.
one_line()
{
	[ "$(wc -l <"$T/stderr")" = 1 ] || { cat "$T/stderr" >&2; fail "not one line on standard error"; }
	grep -Eq -- "$1" "$T/stderr" || { cat "$T/stderr" >&2; fail "standard error does not match: $1"; }
}
