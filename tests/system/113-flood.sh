#!/bin/bash
# Proves that one user cannot keep the daemon from the others: 10,000 connections a
# second, 1,000 that say nothing, requests without end whose answers nobody reads;
# connections and memory are capped by user, and another one is answered meanwhile.
. "$(dirname "$0")/../lib.sh"
need_root
for_everyone
cp "$BUILD/fixtures/flood" "$T/bin"
chmod a+rx "$T/bin/flood"
start_profd
uid=$((1000000 + $$)) # that nobody else has on this machine
as() { setpriv --reuid "$1" --regid "$1" --clear-groups "$T/bin/flood" "$PROFD_SOCKET" "${@:2}"; }
seconds=$((4 * ${FLOOD_SCALE:-1}))
engine=$(role_pid engine)
roles=("$profd_pid" "$(role_pid starter)" "$engine" "$(role_pid scribe)")
sockets() { find "/proc/$engine/fd" -lname "socket:*" | wc -l; }
# Of all of the daemon's processes: what one does not do another may do for it.
spent() { local pid; for pid in "${roles[@]}"; do cat "/proc/$pid/schedstat"; done | awk '{ s += $1 } END { printf "%.0f", s }'; }

has_waited() { is "$(counter peers_waited) > 0"; }

# What it takes to be answered here when there is no flood.
as "$((uid + 1))" ask 20 "$((seconds - 1))" >"$T/asked"
eval "$(cat "$T/asked")"
asked_alone=$asked median_alone=$median_us
figure "alone a user is answered in $((median_us / 1000)) ms, at most $((longest_us / 1000)), $asked times"

# under ROUND MODE N: another user asks meanwhile; $share of a core, $longest_us.
under()
{
	local before after began
	as "$uid" "${@:2}" "$seconds" >"$T/$1" &
	hostile=$!
	own_pids+=("$hostile")
	[ "$2" != open ] || wait_for 10 grep -q holding "$T/$1" || fail "not even refused"
	# what it may do at once after a rest is spent
	[ "$2" != talk ] || wait_for 10 has_waited || fail "it need not wait"
	before=$(spent) began=$(date +%s%N)
	as "$((uid + 1))" ask 20 "$((seconds - 1))" >"$T/asked"
	after=$(spent)
	share=$(python3 -c "print('%.1f' % (100 * ($after - $before) / ($(date +%s%N) - $began)))")
	[ "$2" != open ] || kept_open=$(sockets)
	wait "$hostile" || fail "$2: status $?"
	eval "$(cat "$T/asked")"
	figure "$1: $(tail -n 1 "$T/$1" | tr '\n' ' '); the daemon takes $share% of a core;" \
		"another user is answered in $((median_us / 1000)) ms, at most $((longest_us / 1000))"
	[ "$closed" = 0 ] && is "$asked > 0.3 * $asked_alone" || fail "another user was turned away: $(cat "$T/asked")"
	[ -n "${MEASURE_ONLY:-}" ] || is "$median_us < 250000 + 10 * $median_alone" || fail "another user waited"
	kill -0 "$profd_pid" || fail "the daemon died"
}

under "10,000 connections a second" connect 10000
is "$share < 30" || fail "$share% of a core" # the figure is for a machine at rest
refused=$(counter peers_refused_user)
is "$refused > 200" || fail "only $refused refused"

idle=$(sockets)
under "1,000 half-open connections" open 1000
is "$kept_open - $idle <= 64 + 8" || fail "$((kept_open - idle)) sockets for one user"
is "$share < 30" || fail "$share% of a core"

under "requests without end" talk 0
is "$share <= 10" || fail "$share% of a core"
resident=$(awk '/^VmRSS/ { print $2 }' "/proc/$engine/status")
figure "then: $(counter peers_waited) times a user had to wait, $(counter peers_slow) did not read;" \
	"resident $((resident / 1024)) MiB, $(sockets) sockets (before $idle)"
is "$resident < 131072" || fail "$resident KiB"
quiet() { is "$(sockets) <= $idle + 2"; }
wait_for 20 quiet || { fail "$(sockets) sockets are left over, not $idle"; }
stop_profd
