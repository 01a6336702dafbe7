#!/bin/bash
# Proves that a full disk costs the profiles of that time, which is said and counted,
# and nothing else: whole files stay whole, nothing half written is left, and as soon as
# there is room profiles are written again. Also that no name that a program gives
# itself, and no symbolic link in the directory, leads a file elsewhere.
if [ "$(id -u)" = 0 ] && [ -z "${FULL_INSIDE:-}" ]; then
	FULL_INSIDE=1 exec "$(dirname "$0")/../own-mounts" bash "$0"
fi
. "$(dirname "$0")/../lib.sh"
need_root
mkdir -p "$T/state" "$T/out"
mount -t tmpfs -o size=1m,mode=750 state "$T/state"
at_exit+=("umount '$T/state'")
start_profd
target PROFD_RATE=4096 "$fixtures/leak" 900
wait_attached "$target_pid"
snapshot --pid "$target_pid" --no-trim
whole=${files[0]}

echo "- full"
cat /dev/zero >"$T/state/filler" 2>/dev/null || true
lost=0
for _ in 1 2 3; do
	status_is 1 "$profctl" snapshot --pid "$target_pid" --no-trim
	one_line 'No space left'
	lost=$((lost + 1))
done
is "$(counter snapshots_failed) >= $lost" || fail "not counted"
[ "$(ls -A "$T/state" | sort | tr '\n' ' ')" = "$(printf '%s\n' filler "$(basename "$whole")" | sort | tr '\n' ' ')" ] ||
	{ ls -la "$T/state"; fail "something is left over"; }
valid "$whole"
used=$(df --output=used "$T/state" | tail -1)

echo "- room again"
rm "$T/state/filler"
snapshot --pid "$target_pid" --no-trim
valid "${files[0]}"
[ "$(find "/proc/$profd_pid/fd" -lname "$T/state/*deleted*" | wc -l)" = 0 ] || fail "a file is held open"
figure "a full disk of 1 MiB: $lost profiles lost and counted, written again as soon as there was room"

echo "- names"
cat >"$T/named.py" <<'END'
import ctypes, os, sys, time
ctypes.CDLL(None).prctl(15, bytes.fromhex(sys.argv[1]), 0, 0, 0)
pid = os.fork()  # which attaches anew, by its name
if pid:
    print('named', pid, flush=True)
    os.waitpid(pid, 0)
keep = [bytes(1000) for _ in range(10000)]
time.sleep(280)
END
named() { grep -q named "$T/target.log"; }
for comm in ../../../etc/x $'a\nb' .. / '' $'\xc3\xa4\xf0\x9f' '-rf *'; do
	target PROFD_RATE=4096 /usr/bin/env python3 "$T/named.py" "$(printf '%s' "$comm" | od -An -tx1 | tr -d ' \n')"
	wait_for 20 named || fail "the program did not start"
	parent=$target_pid
	read -r _ target_pid <"$T/target.log"
	own_pids+=("$target_pid")
	wait_attached "$target_pid"
	before=$(find "$T" -xdev -name '*.pb.gz' | wc -l)
	"$profctl" --json snapshot --pid "$target_pid" --no-trim --output "$T/out" >"$T/said" || fail "no snapshot of $target_pid"
	[ "$(find "$T" -xdev -name '*.pb.gz' | wc -l)" = $((before + 1)) ] || fail "the file of '$comm' is elsewhere"
	ls "$T/out" | grep -E "^heap_[A-Za-z0-9_-][A-Za-z0-9._-]*_${target_pid}_[0-9T.]+Z\.pb\.gz$" >/dev/null || { ls "$T/out"; fail "the name of '$comm'"; }
	end_process "$target_pid"
	end_process "$parent"
done

echo "- links"
echo precious >"$T/precious"
# Under every name of the seconds to come.
python3 - "$T/state" "$T/precious" "$(basename "$whole" | sed 's/_[0-9T.]*Z.pb.gz//')" <<'END'
import os, sys, time
now = int(time.time())
for ms in range(-1000, 4000):
    t = now * 1000 + ms
    stamp = time.strftime('%Y%m%dT%H%M%S', time.gmtime(t // 1000)) + '.%03dZ' % (t % 1000)
    try:
        os.symlink(sys.argv[2], f'{sys.argv[1]}/{sys.argv[3]}_{stamp}.pb.gz')
    except OSError:
        break
END
pid=$(basename "$whole" | sed 's/.*_\([0-9]*\)_[0-9T.]*Z.pb.gz/\1/')
"$profctl" snapshot --pid "$pid" --no-trim >"$T/linked" 2>&1 || true
[ "$(cat "$T/precious")" = precious ] || fail "written through a link"
find "$T/state" -type l -delete
snapshot --pid "$pid" --no-trim
valid "${files[0]}"
stop_profd
