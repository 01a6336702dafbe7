#!/bin/bash
# Proves that the CPU time in a profile is the CPU time that was used: two hogs
# for 20 s, at 99 and at 499 Hz, against what the kernel charged them: within 2%,
# or within what chance does.
#
# Chance. Every CPU's clock ticks n = 20 s x Hz times, and each tick is a sample
# if a hog is running. On a machine of their own they always are: nothing is left
# to chance but the beginning and the end, and 2% is what decides. On one that is
# shared, where they have a share p of it in slices shorter than a tick, a tick is
# a draw with probability p, and the number of samples deviates by
# sqrt(n x CPUs x p x (1 - p)). So the bound is 2%, or 5 such deviations if that is
# more: the chance of failing is below 6e-7 for each rate.
. "$(dirname "$0")/../lib.sh"
need_root

for hz in 99 499; do
	"$profctl" run -F $hz --cpu "$T/cpu.pb.gz" -- sh -c \
		"'$fixtures/events' turns 20 >'$T/one' & '$fixtures/events' turns 20 >'$T/two'; wait"
	valid "$T/cpu.pb.gz"
	eval "$(raw "$T/cpu.pb.gz" cpu hog='^(hog|busy)$' lost='^\[lost\]$')"
	used=$(awk '$1 == "cpu" { s += $2 } END { print s }' "$T/one" "$T/two")
	bound=$(python3 -c "
n = 20 * $hz * $(nproc)
p = min($used / (20 * $(nproc)), 1)
print(max(0.02 * $used, 5 * (n * p * (1 - p)) ** 0.5 / $hz))")
	figure "$(python3 -c "
print(f'$hz Hz: {$total / 1e9:.2f} s in the profile, {$hog / 1e9:.2f} s of it in the hogs, $used s '
      f'charged to them: {$total / 1e7 / $used - 100:+.2f}%, of {100 * $bound / $used:.1f}% allowed')")"
	is "abs($total / 1e9 - $used) <= $bound" || fail "$hz Hz: total CPU time"
	is "$hog >= 0.98 * $total" || fail "$hz Hz: time that is not the hogs'"
	is "$lost == 0" || fail "$hz Hz: samples were lost"
done
