#!/bin/bash
# Proves that files which end the symbolizer cost no profile, and one death each: a
# program's file is cut short under the symbolizer's hands, which dies of SIGBUS; the
# profile is written all the same and says what has no names; `status` names the file;
# a copy of it elsewhere, which is the same build, is not tried again. Then 100 programs
# run code out of damaged files: every profile is written, and is valid.
. "$(dirname "$0")/../lib.sh"
need_root

cat >"$T/code.c" <<'END'
unsigned spin_first(unsigned n)
{
	unsigned x = n;

	while (n--)
		x = x * 1664525 + 1013904223;
	return x;
}

unsigned spin_second(unsigned n)
{
	unsigned x = n;

	while (n--)
		x ^= x * 69069 + 1;
	return x;
}
END
gcc -shared -fPIC -O1 -g -Wl,--build-id -o "$T/code.so" "$T/code.c"
cp "$T/code.so" "$T/pristine.so"

# The functions' offsets in the file, the first byte behind .text, and its first.
eval "$(python3 - "$T/code.so" <<'END'
import subprocess, sys
so = sys.argv[1]
for line in subprocess.check_output(['readelf', '-SW', so], text=True).splitlines():
    fields = line.replace('[ ', '[').split()
    if len(fields) > 5 and fields[1] == '.text':
        address, offset, size = (int(f, 16) for f in fields[3:6])
print(f'text={offset} text_end={offset + size}')
for line in subprocess.check_output(['nm', so], text=True).splitlines():
    value, _, name = line.rpartition(' ')
    if name.startswith('spin_'):
        print(f'{name}={int(value.split()[0], 16) - address + offset}')
END
)"

run_code()
{
	"$fixtures/mapped-code" "$@" >"$T/ready" &
	code_pid=$!
	own_pids+=("$code_pid")
	wait_for 10 grep -q ready "$T/ready" || fail "mapped-code does not run"
}

cpu_profile()
{
	snapshot --all --type cpu --seconds 1
	valid "${files[@]}"
}

# of FUNCTION: its share in the last profile, in samples
samples_of()
{
	eval "$(raw "${files[0]}" samples it="$1")"
	echo "$it"
}

said() { pprof -comments "${files[0]}" 2>/dev/null | grep "$1"; }
quarantined() { json_of "$profctl" --json status "$1"; }

start_profd --frequency 499 # twenty programs share a second with all others
daemon=$profd_pid
run_code "$T/code.so" "$spin_first" "$spin_second"
cpu_profile
is "$(samples_of '^spin_first$') > 0" || fail "spin_first is not in the profile"
[ "$(counter scribe_restarts)" = 0 ] || fail "the symbolizer died of a whole file"

# It has the file mapped, and is asked about another place in it.
truncate -s $(((text_end + 4095) / 4096 * 4096)) "$T/code.so"
kill -USR1 "$code_pid"
cpu_profile
[ "$(counter scribe_restarts)" = 1 ] || fail "$(counter scribe_restarts) restarts, not 1"
said "not symbolized: .*/code.so (build-id .*): it killed the symbolizer by SIGBUS" ||
	fail "the profile does not say that code.so has no names"
"$profctl" status | grep "^quarantined: $T/code.so (build-id .*): killed the symbolizer by SIGBUS at 2" ||
	fail "status does not name the file"
[ "$(quarantined "j['quarantined'][0]['path']")" = "$T/code.so" ] || fail "status --json"
[ "$(quarantined "len(j['quarantined'])")" = 1 ] || fail "more than one file in quarantine"
is "$(samples_of '^code.so[+]0x') > 0" || fail "its samples are gone from the profile"
end_process "$code_pid"

run_code "$T/pristine.so" "$spin_first"
cpu_profile
[ "$(counter scribe_restarts)" = 1 ] || fail "the same build was tried again"
said "not symbolized" || fail "the profile does not say so"
end_process "$code_pid"
# Another user does not learn the names of others' files.
[ -z "$(setpriv --reuid=65534 --regid=65534 --clear-groups "$profctl" status | grep '^quarantined')" ] ||
	fail "status names the file to everybody"

python3 - "$T/pristine.so" "$T" "$text" "$text_end" <<'END'
import random, re, subprocess, sys
so, folder, text, text_end = *sys.argv[1:3], *map(int, sys.argv[3:])
whole = open(so, 'rb').read()
notes = subprocess.check_output(['readelf', '-n', so], text=True)
build_id = bytes.fromhex(re.search('Build ID: ([0-9a-f]+)', notes)[1])
random.seed(14)
for i in range(100):
    # Each a build of its own, or all would be the one that is in quarantine.
    damaged = bytearray(whole.replace(build_id, bytes([i]) + build_id[1:]))
    for _ in range(random.randint(1, 60)):
        at = random.choice([random.randrange(4096), random.randrange(len(whole)),
                            random.randrange(text_end, len(whole)), len(whole) - 1 - random.randrange(2000)])
        if not text <= at < text_end:
            damaged[at] = random.choice([0, 1, 0x7f, 0x80, 0xff, random.randrange(256)])
    open(f'{folder}/damaged-{i}', 'wb').write(damaged)
END
n_found=0
for round in 0 1 2 3 4; do
	pids=()
	for i in $(seq $((round * 20)) $((round * 20 + 19))); do
		run_code "$T/damaged-$i" "$spin_first"
		pids+=("$code_pid")
	done
	cpu_profile
	n_found=$((n_found + $(pprof -raw "${files[0]}" 2>/dev/null | grep -c '/damaged-[0-9]' || true)))
	kill "${pids[@]}"
	wait "${pids[@]}" || true
done
kill -0 "$daemon" || fail "the daemon has gone"
[ "$(counter snapshots_failed)" = 0 ] || fail "$(counter snapshots_failed) profiles failed"
is "$n_found >= 50" || fail "only $n_found of the damaged files are in the profiles"
figure "$n_found damaged files in 5 profiles, $(counter scribe_restarts) symbolizers died in all," \
	"$(counter scribe_quarantined) files in quarantine, $(counter snapshots_written) profiles, 0 failed"
stop_profd
