#!/bin/bash
# Proves the CPU path's truth: functions that take 60, 30 and 10 per cent of a
# program's time, built without frame pointers, come out within 3 points in a
# 20 s profile; 99% of the stacks reach main or their thread's start.
. "$(dirname "$0")/../lib.sh"

# 499 Hz, and on a busy machine again until there are 6,000 samples: the deviation of one
# share is then below 0.7 points, also where each sample is one by chance.
sums=(0 0 0 0 0)
for run in 1 2 3 4 5 6; do
	"$profctl" run -F 499 --cpu "$T/cpu.pb.gz" -- "$fixtures/split" 20 >"$T/truth"
	cat "$T/truth"
	valid "$T/cpu.pb.gz"
	eval "$(raw "$T/cpu.pb.gz" samples a='^hot_sixty$' b='^hot_thirty$' c='^hot_ten$' \
		start='$$^(_start|_*clone3?|start_thread|libc\.so\.6\+0x[0-9a-f]+)$')"
	rm "$T/cpu.pb.gz"
	total=$((sums[0] + total)) a=$((sums[1] + a)) b=$((sums[2] + b)) c=$((sums[3] + c)) start=$((sums[4] + start))
	sums=("$total" "$a" "$b" "$c" "$start")
	[ "$total" -lt 6000 ] || break
done
# (a stripped libc has no name for the function that a thread starts in; a stack
# that was cut ends in a frame that says so)
figure "$(python3 -c "
t = $total
print(f'{t} samples: hot_sixty {100 * $a / t:.1f}%, hot_thirty {100 * $b / t:.1f}%, '
      f'hot_ten {100 * $c / t:.1f}%; {100 * $start / t:.2f}% of stacks reach main or the thread\'s start')")"
is "$total >= 1000" || fail "only $total samples in $run runs of 20 s"
is "abs(100 * $a / $total - 60) <= 3" || fail "hot_sixty"
is "abs(100 * $b / $total - 30) <= 3" || fail "hot_thirty"
is "abs(100 * $c / $total - 10) <= 3" || fail "hot_ten"
is "$start >= 0.99 * $total" || fail "stacks that do not reach their start"
