#!/bin/bash
# Proves that the daemon's memory does not grow with the programs that come and go:
# 6,000 programs, each of a build and at a path of its own that is deleted as soon
# as it has ended, while profiles of the machine are written. What is kept of them
# is bounded by number, not by how many there were: files known and held open, and
# resident memory between the middle and the end, of the daemon and of its scribe.
. "$(dirname "$0")/../lib.sh"
need_root

# Distinct builds: the same program with another build-id. Each file is a new one.
cat >"$T/many.py" <<'END'
import os, re, subprocess, sys
directory, program, first, last = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
image = open(program, 'rb').read()
note = subprocess.run(['readelf', '-n', program], check=True, capture_output=True, text=True).stdout
build_id = bytes.fromhex(re.search(r'Build ID: (\w+)', note)[1])
assert image.count(build_id) == 1
for i in range(first, last):
    path = f'{directory}/build-{i}'
    with open(path, 'wb') as f:
        f.write(image.replace(build_id, i.to_bytes(20, 'big')))
    os.chmod(path, 0o755)
    pid = os.posix_spawn(path, [path, '3'], {})
    if os.waitpid(pid, 0)[1] != 0:
        sys.exit(f'{path} failed')
    os.unlink(path)
END

resident() { awk '/^RssAnon/ { print $2 }' "/proc/$1/status"; } # KiB, without mapped files
scribe() { role_pid scribe; }
# Samples and unwind information have bounds of their own, and what they hold
# depends on what else this machine does.
rest() { echo $(($(resident "$engine") - ($(counter windows_bytes) + $(counter unwind_bytes)) / 1024)); }
# Idle modules have a limit of 1,024; some are in use. Measured is after a sweep.
shrunk() { is "$(counter modules) <= 1024 + 500 and $(counter modules_open) <= 1024"; }
sweep() { wait_for 30 shrunk || fail "$(counter modules) modules, $(counter modules_open) open"; }
start_profd --rotate 2s
engine=$(role_pid engine)
most_modules=0
# What the scribe has parsed of other programs of this machine it keeps, too, within bounds:
# where they came in the midst of it, the second half is looked at again. A slope stays one.
middle_at=3
for step in 1 2 3 4 5 6 7 8 9 10 11 12; do
	python3 "$T/many.py" "$T" "$fixtures/short-burn" $(((step - 1) * 1000)) $((step * 1000)) || fail "programs"
	modules=$(counter modules)
	[ "$modules" -le $most_modules ] || most_modules=$modules
	echo "$((step * 1000)) programs: daemon $(resident "$engine") KiB ($(rest) without samples and" \
		"unwind information), scribe $(resident "$(scribe)") KiB, $modules modules," \
		"$(counter modules_open) open, $(counter processes) processes"
	if [ $step -ge 6 ] && [ $step = $((middle_at + 3)) ]; then
		[ $(($(resident "$(scribe)") - middle_scribe)) -gt 16384 ] && [ $step -lt 12 ] || break
		middle_at=$step
	fi
	[ $step != $middle_at ] || sweep
	[ $step != $middle_at ] || middle=$(rest) middle_scribe=$(resident "$(scribe)")
done
sweep
growth=$(($(rest) - middle))
growth_scribe=$(($(resident "$(scribe)") - middle_scribe))
figure "from $((middle_at * 1000)) to $((step * 1000)) builds the daemon grew by $growth KiB, the scribe by $growth_scribe KiB;" \
	"$(resident "$engine") and $(resident "$(scribe)") KiB in the end; at most $most_modules modules"
is "$(counter modules_freed) >= 4000" || fail "only $(counter modules_freed) modules were let go"
[ "$(counter modules_refused)" = 0 ] || fail "$(counter modules_refused) modules were refused"
is "$growth <= 2048" || fail "the daemon grows"
# The scribe keeps what it has parsed of other programs of this machine, too.
is "$growth_scribe <= 16384" || fail "the scribe grows"
forgot() { [ "$(ls "/proc/$(scribe)/fd" | wc -l)" -le 600 ]; }
wait_for 30 forgot || fail "the scribe holds $(ls "/proc/$(scribe)/fd" | wc -l) descriptors"
is "$(resident "$engine") <= 65536" || fail "the daemon has $(resident "$engine") KiB"
ls "$T/state" | grep . >/dev/null || fail "no profile was written meanwhile"
