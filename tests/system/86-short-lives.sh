#!/bin/bash
# Proves that programs which live for 10 ms are profiled with names: 2,000 of
# them, and then 400 that are each a copy at a path of its own, deleted as soon
# as it has ended. A process that has gone cannot be asked for its mappings, so
# these come from the records alone; and the copies are known for what they are
# by the build-id in the records, since nothing is left at their paths.
. "$(dirname "$0")/../lib.sh"
need_root
leaves() { python3 "$root/tests/leaves.py" "$@"; }
start_profd
# By a name of its own, for profd sees the whole machine.
mine=short$$
cp "$fixtures/short-burn" "$T/$mine"

# count COMM-REGEX: of the samples of the programs, those in user code, those
# where the innermost of it has its function's name, and all.
count()
{
	leaves "${files[0]}" | awk -F'\t' -v comm="$1" '
		$3 !~ comm { next }
		{ all += $1 }
		$6 != "-" { user += $1 }
		$7 ~ /^[A-Za-z_]/ && $7 !~ /\+0x/ { named += $1 }
		$7 == "burn_in_this" { burning += $1 }
		END { printf "all=%d user=%d named=%d burning=%d\n", all, user, named, burning }'
}

read -r ended used < <("$fixtures/spawner" 2000 "$T/$mine")
[ "$ended" = 2000 ] || fail "only $ended programs ended well"
snapshot --type cpu --comm "$mine" --output "$T"
valid "${files[0]}"
eval "$(count "^$mine\$")"
percent=$(python3 -c "print(f'{100 * $named / $user:.2f}')")
expected=$((used * 99 / 1000))
figure "2,000 programs of 10 ms: $percent% of $user samples in user code have a name," \
	"$burning of $all are in its function; $expected expected by CPU time"
is "$percent >= 98" || fail "$percent% named"
is "$burning >= 0.9 * $all" || fail "only $burning of $all samples are in burn_in_this"
is "0.75 * $expected <= $all <= 1.25 * $expected" || fail "$all samples, not about $expected"

rm "${files[0]}"
for i in $(seq 400); do
	cp "$fixtures/short-burn" "$T/copy$$-$i"
	"$T/copy$$-$i"
	rm "$T/copy$$-$i"
done
snapshot --type cpu --output "$T"
eval "$(count "^copy$$-[0-9]+\$")"
percent=$(python3 -c "print(f'{100 * $named / $user:.2f}')")
figure "400 copies, each deleted at once: $percent% of $user samples have a name"
is "$user >= 200" || fail "only $user samples"
is "$percent >= 98" || fail "$percent% named"
# A module has the path at which it was first met, here or by another process of the machine.
leaves "${files[0]}" | awk -F'\t' -v comm="^copy$$-[0-9]+\$" \
	'$3 ~ comm && $7 == "burn_in_this" { print $6 }' | sort -u >"$T/modules"
figure "$(wc -l <"$T/modules") modules of 400 copies"
is "1 <= $(wc -l <"$T/modules") <= 10" || { head "$T/modules"; fail "the copies are one build"; }
