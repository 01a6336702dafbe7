#!/bin/bash
# Proves that the cost of off-CPU time is bounded: beside a pair of processes that
# switches as fast as it can, more than 100,000 times a second, no more stacks are
# copied than the limit says, what is not kept is counted, and the daemon's own CPU
# time stays small. What it costs the pair is a figure.
. "$(dirname "$0")/../lib.sh"
need_root

start_profd
engine=$(role_pid engine)
ticks() { cat "/proc/$profd_pid/stat" "/proc/$engine/stat" | awk '{ n += $14 + $15 } END { print n }'; }
stacks() { counter offcpu_stacks; }
rounds=${ROUNDS:-5}
median() { printf '%s\n' "$@" | sort -n | sed -n "$((($# + 1) / 2))p"; }
longest=2 switches=0 with=() without=() cpu=() kept=()
for _ in $(seq "$rounds"); do
	without+=("$("$fixtures/ping-pong" 1)")
	"$profctl" snapshot --type offcpu --all --seconds 2s --output "$T" >"$T/path" &
	asking=$!
	own_pids+=("$asking")
	measuring() { ls -l "/proc/$engine/fd" | awk '/perf_event/ { n++ } END { exit n < 3 * '"$(nproc)"' }'; }
	wait_for 5 measuring || fail "nothing is measured"
	before=$(ticks) had=$(stacks)
	with+=("$("$fixtures/ping-pong" 1)")
	cpu+=("$(($(ticks) - before))")
	wait "$asking" || fail "snapshot: status $?"
	kept+=("$(($(stacks) - had))")
	valid "$(cat "$T/path")"
	longest=$(json_of "$profctl" --json top "$(cat "$T/path")" "max($longest, j['duration_ns'] / 1e9)")
	switches=$((switches + $(pprof -raw "$(cat "$T/path")" | sed -n 's/.*off-CPU: \([0-9]*\) switches.*/\1/p')))
done
hz=$(getconf CLK_TCK)
figure "switches a second: $(median "${without[@]}") without, $(median "${with[@]}") with: ratio $(python3 -c "print(f'{$(median "${without[@]}") / $(median "${with[@]}"):.2f}')")"
figure "the daemon meanwhile: $(python3 -c "print(f'{100 * $(median "${cpu[@]}") / $hz:.0f}')")% of one CPU"
figure "stacks kept in 2 s: $(median "${kept[@]}"); switches lost in all: $(counter offcpu_records_lost), stacks lost: $(counter offcpu_stacks_lost)"
is "$(median "${with[@]}") > 100000" || echo "(this machine switches slowly)"
# Nearly all of those without a stack were never copied: only what came before the
# rate was known found the rings full.
is "$(counter offcpu_stacks_lost) < 0.2 * $switches" ||
	fail "of $switches stacks $(counter offcpu_stacks_lost) were copied in vain"
for n in "${kept[@]}"; do
	is "0 < $n < 1.25 * $longest * 6000 + 250 * $(nproc)" || fail "$n stacks in at most $longest s"
done
[ "$(counter offcpu_records_malformed)" = 0 ] || fail "malformed records"
