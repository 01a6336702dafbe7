#!/bin/bash
# What the client costs real programs, and that they do the same with it: each runs
# bare and under the client, in turns, and what it prints and writes has to be
# the same to the byte. The ratio that counts is that of CPU time; a server's is
# for one request.
#
# The inputs are made here and are the same each time. Servers listen in the test's
# directory or, where root may make one, on the loopback of a network of their own.
if [ -z "${PROGRAMS_NETWORK:-}" ] && unshare -n true 2>/dev/null; then
	exec env PROGRAMS_NETWORK=1 unshare -n "$0" "$@"
fi
. "$(dirname "$0")/lib.sh"
[ -z "${PROGRAMS_NETWORK:-}" ] || ip link set lo up

rounds=${ROUNDS:-11}
goal="<= 1.02"
work=$T/work
inputs=$bench/programs
mkdir "$work"

# program NAME [OPTION of turns.py]... -- COMMAND...
program()
{
	local what=$1
	shift
	turns --dir "$work" "$@"
	row_of_cpu "$what" "$goal"
}

# server NAME LOAD COMMAND...: LOAD is a line for the shell.
server()
{
	local what=$1 load=$2
	shift 2
	turns --dir "$work" --load "$load" -- "$@"
	row_of_cpu "$what" "$goal" 1e6 us
}

# Debian's, whatever else there is.
python=/usr/bin/python3
[ -x "$python" ] || python=python3

start_profd
heading "Programs, CPU time (median of $rounds)"

program "python3, json" --both PYTHONMALLOC=malloc --both PYTHONHASHSEED=0 -- \
	"$python" "$inputs/json_work.py"
program "python3, recursion" --both PYTHONMALLOC=malloc --both PYTHONHASHSEED=0 -- \
	"$python" "$inputs/recursion.py"
program "sqlite3, 300,000 rows and two indexes" --produces rows.db -- \
	sqlite3 rows.db ".read $inputs/rows.sql"
python3 "$inputs/functions.py" 3000 >"$work/functions.c"
program "gcc -O1, 3,000 functions" --rounds "${ROUNDS:-7}" -- gcc -O1 -S -o - functions.c
git init -q --bare "$work/git"
python3 "$inputs/history.py" 1000 | git -C "$work/git" fast-import --quiet
program "git log -p, 1,000 commits" -- git -C git --no-pager log -p main
program "perl, hashes, expressions, sorting" --both PERL_HASH_SEED=0 -- perl "$inputs/words.pl"
program "node, JSON and arrays" -- node "$inputs/arrays.js"

server "redis-server, a request" "$inputs/load_redis.sh redis.sock" \
	redis-server --port 0 --unixsocket redis.sock --save '' --dir . --daemonize no \
	--logfile redis.log
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$inputs/nginx_conf.sh" "$work" "$port"
server "nginx, a request" "$inputs/load_nginx.sh $port" nginx -p "$work/" -c nginx.conf -e error.log
end_of_part
