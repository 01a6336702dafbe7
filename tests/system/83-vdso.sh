#!/bin/bash
# Proves that time spent in the vdso, which no file on disk holds, has its function's
# name in a module called [vdso], below whoever called it.
. "$(dirname "$0")/../lib.sh"
need_root
clock=$(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)
case "$clock" in
tsc | kvm-clock | hyperv_clocksource_tsc_page) ;;
*) skip "the clock here is $clock, which the vdso cannot read" ;;
esac

start_profd
"$fixtures/vdso" 900 &
pid=$!
own_pids+=("$pid")
has_run() { [ "$(sed 's/.*) //' "/proc/$pid/stat" | awk '{ print $12 + $13 }')" -ge 200 ]; }
wait_for 200 has_run || fail "it does not get the CPU"
snapshot --type cpu --pid "$pid" --output "$T"
valid "${files[0]}"
eval "$(raw "${files[0]}" samples vdso='^^^(__vdso_clock_gettime|clock_gettime)$' caller='^ask_the_time$')"
figure "$vdso of $total samples are innermost in the vdso's clock_gettime, $caller below its caller"
pprof -raw "${files[0]}" >"$T/raw"
grep -E '^[0-9]+: .*\[vdso\]' "$T/raw" >"$T/mappings" || { cat "$T/raw"; fail "no module [vdso]"; }
# The names are those of locations in that module.
module=$(sed -n 's/^\([0-9]*\): .*/\1/p;q' "$T/mappings")
grep -E "^ +[0-9]+: 0x[0-9a-f]+ M=$module (__vdso_)?clock_gettime( |$)" "$T/raw" >/dev/null ||
	{ cat "$T/raw"; fail "no function of [vdso] has the name"; }
is "$vdso >= 0.3 * $total > 0" || { pprof -traces "${files[0]}"; fail "time in the vdso is not named"; }
is "$caller >= 0.9 * $total" || { pprof -traces "${files[0]}"; fail "nobody called it"; }
