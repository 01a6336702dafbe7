#!/bin/bash
# The daemon's memory over time on a machine that starts 1,000 programs a minute,
# every tenth of them of a build of its own that is deleted at once, with
# profiles of the whole machine written as the shipped configuration has it.
#
#	SECONDS_LONG=3600 tests/bench/slope.sh      300 unless said otherwise
#
# Prints a line every tenth of the time, and at the end what the second half added
# to the first. Anonymous memory: files that are mapped are everybody's.
. "$(dirname "$0")/../lib.sh"
need_root
long=${SECONDS_LONG:-300}

cat >"$T/programs.py" <<'END'
import os, re, subprocess, sys, time
directory, program, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
image = open(program, 'rb').read()
note = subprocess.run(['readelf', '-n', program], check=True, capture_output=True, text=True).stdout
build_id = bytes.fromhex(re.search(r'Build ID: (\w+)', note)[1])
began, i = time.monotonic(), 0
while time.monotonic() - began < seconds:
    path = program
    if i % 10 == 0:
        path = f'{directory}/build-{i}'
        with open(path, 'wb') as f:
            f.write(image.replace(build_id, (i + 1).to_bytes(20, 'big')))
        os.chmod(path, 0o755)
    os.waitpid(os.posix_spawn(path, [path, '10'], {}), 0)
    if path != program:
        os.unlink(path)
    i += 1
    time.sleep(max(0, began + i * 0.06 - time.monotonic()))
print(i)
END

anonymous() { awk '/^RssAnon/ { print $2 }' "/proc/$1/status"; }
start_profd --rotate 60s
python3 "$T/programs.py" "$T" "$fixtures/short-burn" "$long" >"$T/count" &
own_pids+=($!)
programs=$!

printf '%8s %12s %12s %9s %9s %10s\n' seconds 'daemon KiB' 'scribe KiB' modules 'freed' processes
samples=()
for step in $(seq 10); do
	sleep $((long / 10))
	scribe=$(role_pid scribe) engine=$(role_pid engine)
	samples+=("$(anonymous "$engine")")
	printf '%8d %12d %12d %9d %9d %10d\n' $((step * long / 10)) "${samples[-1]}" \
		"$(anonymous "$scribe")" "$(counter modules)" "$(counter modules_freed)" "$(counter processes)"
done
wait "$programs" || fail "the programs failed"
python3 - "$(cat "$T/count")" "${samples[@]}" <<'END'
import statistics, sys
count, daemon = int(sys.argv[1]), [int(n) for n in sys.argv[2:]]
first, second = statistics.median(daemon[:5]), statistics.median(daemon[5:])
print(f'{count} programs; the daemon, medians of the halves: {first:.0f} and {second:.0f} KiB '
      f'({second - first:+.0f}); most {max(daemon)} KiB')
END
