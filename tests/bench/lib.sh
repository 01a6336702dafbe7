# What the parts of the benchmark share; source it first. A part measures one
# thing side by side with the same thing bare, in turns, and calls row() for each
# line of the table. No time is ever a failure; output that differs with the
# client is, at the end, after everything has been measured.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

bench=$root/tests/bench
rounds=${ROUNDS:-7}
differs=()

heading() { printf '\n%s\n  %-56s %12s %12s  %-24s %s\n' "$1" '' bare client 'ratio or figure' goal; }

# row WORK BARE CLIENT FIGURE GOAL: a line of the table. "" where there is none.
row()
{
	printf '  %-56s %12s %12s  %-24s %s\n' "$1" "$2" "$3" "$4" "$5"
	[ -z "${BENCH_ROWS:-}" ] || printf '| %s | %s | %s | %s | %s |\n' "$@" >>"$BENCH_ROWS"
}

# value EXPRESSION FORMAT JSON: EXPRESSION may use what is in JSON by name.
value() { python3 -c 'import json, sys; print(format(eval(sys.argv[1], json.loads(sys.argv[3])), sys.argv[2]))' "$@"; }

# turns [OPTION of turns.py]... -- COMMAND...: bare and under the client; the answer
# is in $turns. A client that the loader refuses makes the output differ.
turns()
{
	[ -r "$client" ] || fail "no client: $client"
	turns=$("$bench/turns.py" --rounds "$rounds" --with "LD_PRELOAD=$client" "$@") ||
		fail "not measured: $*"
}

# same WORK: says loudly if $turns holds a difference, and remembers it.
same()
{
	[ "$(value same '' "$turns")" = True ] && return
	echo "  *** $1: OUTPUT DIFFERS WITH THE CLIENT ***"
	differs+=("$1")
}

# row_of_figure WORK GOAL: what a program measured itself, by the clock, and beside
# the ratio the one of CPU time, which depends less on what else runs.
row_of_figure()
{
	same "$1"
	row "$1" "$(value "wall['bare']" .1f "$turns") ns" "$(value "wall['with']" .1f "$turns") ns" \
		"$(value "wall['ratio']" .3f "$turns") (CPU $(value "cpu['ratio']" .3f "$turns"))" "$2"
}

# row_of_cpu WORK GOAL [FACTOR UNIT]: CPU time, in ms if nothing else is said.
row_of_cpu()
{
	local factor=${3:-1e3} unit=${4:-ms}

	same "$1"
	row "$1" "$(value "cpu['bare'] * $factor" .2f "$turns") $unit" \
		"$(value "cpu['with'] * $factor" .2f "$turns") $unit" \
		"$(value "cpu['ratio']" .3f "$turns") (wall $(value "wall['ratio']" .3f "$turns"))" "$2"
}

# median_of FORMAT NUMBER...
median_of() { python3 -c 'import statistics, sys; print(format(statistics.median(map(float, sys.argv[2:])), sys.argv[1]))' "$@"; }

# The last line of every part.
end_of_part()
{
	stop_profd
	[ ${#differs[@]} = 0 ] || fail "output differs with the client:" "${differs[@]}"
}

rss_kib() { awk '/^VmRSS/ {print $2}' "/proc/$1/status"; }

# start_stacks [NAME=VALUE]... OBJECTS STACKS DEPTH: a heap of that shape, ready;
# its process is $stacks_pid. end_stacks ends it.
start_stacks()
{
	rm -f "$T/stacks.in"
	mkfifo "$T/stacks.in"
	env "${@:1:$#-3}" "$BUILD/bench/stacks" "${@: -3}" <"$T/stacks.in" >"$T/stacks.out" &
	stacks_pid=$!
	own_pids+=("$stacks_pid")
	exec 9>"$T/stacks.in"
	wait_for 20 grep -q ready "$T/stacks.out" || fail "stacks is not ready"
}

end_stacks()
{
	exec 9>&-
	wait "$stacks_pid"
}
