#!/bin/bash
# Proves that privileges are separated: of the daemon's processes only the keeper is root,
# with six capabilities at most and a list of system calls; the others have none and can
# gain none. An engine that has been taken over is refused what it may not have. Killing
# the engine, the symbolizer or the starter of engines leaves a service that profiles,
# or none at all; other users' programs and the kernel have names. What is
# not profd's own is not given away, and links are not followed.
. "$(dirname "$0")/../lib.sh"
need_root

# The user is one that this machine has no name for.
user=54321:54322
field() { awk -v f="$2:" '$1 == f {print $2}' "/proc/$1/status"; }

check_roles()
{
	local role pid cap

	for role in starter engine scribe; do
		pid=$(role_pid $role)
		[ "$(sed -n 's/^Uid:\s*//p' "/proc/$pid/status" | tr '\t' ' ')" = "54321 54321 54321 54321" ] ||
			fail "the $role's user: $(grep '^Uid' "/proc/$pid/status")"
		[ "$(sed -n 's/^Gid:\s*//p' "/proc/$pid/status" | tr '\t' ' ')" = "54322 54322 54322 54322" ] ||
			fail "the $role's group: $(grep '^Gid' "/proc/$pid/status")"
		[ -z "$(sed -n 's/^Groups:\s*//p' "/proc/$pid/status" | tr -d ' ')" ] || fail "the $role has groups"
		for cap in CapInh CapPrm CapEff CapBnd CapAmb; do
			[ "$(field "$pid" $cap)" = 0000000000000000 ] || fail "the $role: $cap $(field "$pid" $cap)"
		done
		[ "$(field "$pid" NoNewPrivs)" = 1 ] || fail "the $role may gain privileges"
		[ $role = starter ] || [ "$(field "$pid" Seccomp)" = 2 ] || fail "the $role has no list of system calls"
	done
	pid=$(role_pid keeper)
	[ "$pid" = "$profd_pid" ] || fail "the keeper is $pid, not $profd_pid"
	[ "$(field "$pid" Seccomp)" = 2 ] && [ "$(field "$pid" NoNewPrivs)" = 1 ] || fail "the keeper is not confined"
	# SYS_PTRACE DAC_READ_SEARCH SYSLOG IPC_LOCK PERFMON CHECKPOINT_RESTORE
	for cap in CapPrm CapEff CapBnd; do
		[ $((0x$(field "$pid" $cap) & ~((1 << 19) | (1 << 2) | (1 << 34) | (1 << 14) | (1 << 38) | (1 << 40)))) = 0 ] ||
			fail "the keeper: $cap $(field "$pid" $cap)"
	done
	figure "the keeper has $(field "$pid" CapEff), the others nothing"
}

# ---- directories that may not be given away
mkdir "$T/other" "$T/real"
echo mine >"$T/other/file"
ln -s "$T/real" "$T/link"
for refused in "$T/other holds_other_files" "$T/link is_a_link"; do
	read -r dir why <<<"$refused"
	status_is 1 "$profd" --user $user --runtime-dir "$T/run0" --state-dir "$dir"
	one_line "$dir: .*${why//_/.*}"
done
[ "$(stat -c %u "$T/other" "$T/other/file" "$T/real" | sort -u)" = 0 ] || fail "root's files were given away"
status_is 1 "$profd" --user 0:0 --state-dir "$T/real" --runtime-dir "$T/run0"
one_line 'this is root'
status_is 1 "$profd" --user no.such.user --state-dir "$T/real" --runtime-dir "$T/run0"
one_line 'no such user'

# Profiles of a daemon that was root itself are taken over.
mkdir "$T/state"
echo old >"$T/state/heap_old_1_20200101T000000.000Z.pb.gz"
start_profd --user $user
[ "$(stat -c %u:%g "$T/state" "$T/state/"*.gz "$T/run" "$T/run/profd.sock" | sort -u)" = $user ] ||
	{ ls -ln "$T/state" "$T/run"; fail "not the engine's"; }

# ---- who has what, and that it is enough
for_everyone
setpriv --reuid=12345 --regid=12345 --clear-groups env LD_PRELOAD="$client" "$fixtures/leak" 900 >/dev/null &
target_pid=$!
own_pids+=("$target_pid")
wait_attached "$target_pid"
has_leaked() { [ "$(inuse_of "$target_pid")" -gt 8000000 ]; }
wait_for 30 has_leaked || fail "it does not leak"
dd if=/dev/zero of=/dev/null bs=64K &
reader=$!
own_pids+=("$reader")
# It fills a cache first, and leaks then.
leak_is_named()
{
	snapshot --pid "$target_pid" --type heap
	eval "$(raw "${files[0]}" inuse_space leak=open_session)"
	is "$leak > 0.1 * $total > 0"
}
profiles_well()
{
	wait_for 60 leak_is_named || fail "another user's program has no names"
	valid "${files[@]}"
	[ "$(stat -c '%u:%g %a' "${files[0]}")" = "$user 640" ] || fail "the file: $(stat -c '%u:%g %a' "${files[0]}")"
	snapshot --all --type cpu --seconds 1s
	eval "$(raw "${files[0]}" samples kernel='^(entry_SYSCALL|do_syscall|asm_|do_)')"
	is "$kernel > 0" || fail "kernel functions have no names"
}
profiles_well
check_roles

# ---- an engine that has been taken over
echo secret >"$T/secret"
chmod 600 "$T/secret"
[ "$(counter keeper_refused)" = 0 ] || fail "the engine asks for what it may not have"
engine=$(role_pid engine)
fd=$(tr '\0' '\n' <"/proc/$engine/cmdline" | sed -n '/^--engine$/{n;p}')
kill -STOP "$engine"
"$BUILD/fixtures/hostile-engine" "$engine" "$fd" "$T/secret" >"$T/wishes" 2>&1 || bad=$?
kill -CONT "$engine"
[ -z "${bad:-}" ] || { cat "$T/wishes"; fail "hostile-engine: status $bad"; }
figure "$(grep -vc ': granted$' "$T/wishes") wishes refused, $(counter keeper_refused) requests"
is "$(counter keeper_refused) > 1000" || fail "refusals are not counted"
profiles_well

# ---- death
back() { [ "$(role_pid "$1")" != "$2" ] && is_attached "$target_pid"; }
for role in engine scribe; do
	pid=$(role_pid $role)
	kill -KILL "$pid"
	wait_for 10 back $role "$pid" || fail "no new $role"
	profiles_well
	check_roles >/dev/null
done
[ "$(counter engine_restarts)" = 1 ] || fail "$(counter engine_restarts) engines restarted, not 1"
grep -q "the engine (pid $engine) was killed by SIGKILL" "$T/profd.log" || fail "nothing was said about it"
[ "$(role_pid keeper)" = "$profd_pid" ] || fail "another keeper"

# Where the keeper or the starter dies, nothing is left over, and a service manager acts.
# Not even what hangs is: nothing is started anew before all have gone.
for role in keeper starter; do
	mapfile -t all < <(for r in keeper starter engine scribe; do role_pid $r; done)
	kill -STOP "${all[@]:2}"
	[ $role = keeper ] && kill -KILL "${all[0]}" || kill -KILL "${all[1]}"
	status=0
	wait "$profd_pid" || status=$?
	[ $status != 0 ] || fail "that the $role was killed is called a success"
	gone() { for p in "${all[@]}"; do [ ! -d "/proc/$p" ] || return 1; done; }
	wait_for 10 gone || { ps -o pid,ppid,stat,comm -p "$(IFS=,; echo "${all[*]}")"; fail "left over after the $role's end"; }
	start_profd --user $user
	wait_attached "$target_pid"
done
profiles_well

# An engine that dies again and again is not started for ever.
starter=$(role_pid starter)
deaths=0 began=$(date +%s%N)
until [ ! -d "/proc/$starter" ] || [ $deaths = 100 ]; do
	engine=$(pgrep -P "$starter") || continue
	kill -KILL "$engine" 2>/dev/null && deaths=$((deaths + 1))
	gone() { [ ! -d "/proc/$engine" ]; }
	wait_for 10 gone || fail "it does not die"
done
figure "given up after $deaths deaths"
# Five within ten seconds are too many: slower than that a busy machine may be, too.
each_ms=$((($(date +%s%N) - began) / 1000000 / deaths))
is "5 <= $deaths <= 7 or 5 <= $deaths < 100 and $each_ms > 1400" || fail "given up after $deaths deaths"
status=0
wait "$profd_pid" || status=$?
[ $status = 1 ] || fail "status $status"
status_is 3 "$profctl" status

start_profd --user $user
stop_profd
