#!/bin/bash
# Proves that no file of a target makes the daemon wait: in place of a deleted
# executable there is a FIFO, or a device, while it runs and when it has ended; and
# an executable that a process of user space serves (FUSE) and stops serving. Each
# time the daemon goes on sampling another process, and answers at once. What it
# does not open has no names, and that is all.
. "$(dirname "$0")/../lib.sh"
need_root
leaves() { python3 "$root/tests/leaves.py" "$@"; }

# A daemon that hangs in an open() does not answer: the longest answer counts.
longest=0
answer()
{
	local start=$(date +%s%N) ms

	timeout 60 "$profctl" status >/dev/null || fail "no answer in 60 s while $1"
	ms=$((($(date +%s%N) - start) / 1000000))
	[ $ms -le $longest ] || longest=$ms
}
# All of its pages that it needs are in memory then.
has_burned() { [ "$(sed 's/.*) //' "/proc/$1/stat" | cut -d' ' -f12)" -ge 10 ]; }
ticks() { sed 's/.*) //' "/proc/$1/stat" | awk '{ print $12 + $13 }'; }
# As many samples as 60 ticks are, of each, whoever else there is.
sampled() { [ $(($(ticks "$pid") - its_before)) -ge 60 ] && [ $(($(ticks "$other") - others_before)) -ge 60 ]; }

# beside WHAT PROGRAM: runs PROGRAM for a while, beside one that nothing is wrong
# with, has WHAT done to its file first, and looks at the profile of both.
beside()
{
	local pid other

	"$fixtures/short-burn" 100000 &
	other=$!
	own_pids+=("$other")
	"$2" 100000 &
	pid=$!
	own_pids+=("$pid")
	wait_for 20 has_burned "$pid" || fail "$2 does not run"
	$1 "$2"
	its_before=$(ticks "$pid") others_before=$(ticks "$other") before=$(counter cpu_samples)
	for _ in 1 2 3 4 5 6; do answer "$1"; done
	wait_for 200 sampled || fail "they have no CPU time while $1"
	is "$(counter cpu_samples) > $before" || fail "no samples while $1"
	timeout 200 "$profctl" snapshot --type cpu --output "$T" >"$T/file" || fail "no profile while $1"
	kill -KILL "$pid" "$other"
	wait "$pid" "$other" 2>/dev/null || true
	leaves "$(cat "$T/file")" >"$T/leaves"
	rm "$(cat "$T/file")"
	eval "$(awk -F'\t' -v pid="$pid" -v other="$other" '
		$2 == pid { its += $1 }
		$2 == pid && $7 ~ /^burn_in_/ { named += $1 }
		$2 == other && $7 == "burn_in_this" { others += $1 }
		END { printf "its=%d named=%d others=%d\n", its, named, others }' "$T/leaves")"
	figure "$1: $named of $its samples named, $others of the process beside it"
	is "$its >= 10 and $others >= 10" || fail "$its and $others samples while $1"
}
fifo() { rm "$1"; mkfifo "$1"; }
device() { rm "$1"; mknod "$1" c 4 64; } # a serial line: opening it may wait for a carrier

start_profd
cp "$fixtures/short-burn" "$T/one"
cp "$fixtures/short-burn" "$T/two"
beside fifo "$T/one"
beside device "$T/two"
# Programs that have ended already, so that only the path is left to look at.
for place in fifo device; do
	for i in $(seq 30); do
		cp "$fixtures/short-other" "$T/brief"
		"$T/brief"
		$place "$T/brief"
		rm "$T/brief"
	done
	answer "brief $place"
done
figure "longest answer: $longest ms"

# Without a build-id, by which it might be known from elsewhere.
mkdir "$T/fuse"
objcopy --remove-section .note.gnu.build-id "$fixtures/short-other" "$T/image"
"$fixtures/fuse-program" "$T/image" "$T/fuse" >"$T/fuse.out" 2>&1 &
server=$!
own_pids+=("$server")
# Its end lets go of whoever waits for it; then the mount can be taken away.
at_exit+=("kill -KILL $server; umount -l '$T/fuse'")
served() { grep -q mounted "$T/fuse.out" || ! kill -0 "$server"; }
wait_for 10 served || true
grep -q mounted "$T/fuse.out" || skip "FIFO and device passed, FUSE not tried: $(cat "$T/fuse.out")"
silence() { kill -USR1 "$server"; }
beside silence "$T/fuse/program"
[ "$named" = 0 ] || fail "a file that FUSE serves was opened"
timeout 2 stat "$T/fuse/program" >/dev/null 2>&1 && fail "the file system still answers: nothing is proven"
figure "longest answer: $longest ms"
exit 0
