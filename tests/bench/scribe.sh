#!/bin/bash
# What naming and writing a profile takes: first a program with 50 MB of debug
# information and 5,000 addresses in it, beside llvm-symbolizer on the same
# addresses, in turns; the same again, from the cache; a program with 500 MB; then
# 100,000 stacks of 30 frames, beside Go's own writer of the same profile. The
# programs are made once ($BUILD/bench/debug-*), which takes a few minutes.
. "$(dirname "$0")/lib.sh"

figures=$BUILD/bench/scribe-figures
LARGE_MB=500

# of_json FILE EXPRESSION: med() is the median; `first` leaves the first round out.
of_json()
{
	python3 -c 'import json, sys
from statistics import median as med
lines = [json.loads(l) for l in open(sys.argv[1])]
print(eval(sys.argv[2]))' "$@"
}

program()
{
	[ -e "$BUILD/bench/debug-$1" ] || echo "  making a program with $1 MB of debug information"
	"$bench/debug-program.py" "$1" "$BUILD/bench/debug-$1" || fail "no program of $1 MB"
}

# In turns: a new scribe each time, and a new llvm-symbolizer.
symbols()
{
	local i

	program 50
	: >"$T/ours" >"$T/llvm"
	for i in $(seq "$rounds"); do
		"$figures" symbols "$BUILD/bench/debug-50" 5000 5 "$T/list" >>"$T/ours" || fail "figures"
		[ -n "$llvm" ] || continue
		python3 - "$T/list" "$BUILD/bench/debug-50" "$llvm" >>"$T/llvm" <<-'END'
		import json, resource, subprocess, sys, time
		begin = time.monotonic()
		with open(sys.argv[1]) as addresses:
		    out = subprocess.run([sys.argv[3], '--inlines', '--obj=' + sys.argv[2]], stdin=addresses,
		                         stdout=subprocess.PIPE, check=True).stdout
		used = resource.getrusage(resource.RUSAGE_CHILDREN)
		print(json.dumps({'wall': (time.monotonic() - begin) * 1e3, 'bytes': len(out),
		                  'cpu': (used.ru_utime + used.ru_stime) * 1e3}))
		END
	done
	local ours theirs=- ratio=
	ours=$(of_json "$T/ours" "'%.0f' % med(l['wall_ms'][0] for l in lines)")
	if [ -n "$llvm" ]; then
		theirs=$(of_json "$T/llvm" "'%.0f' % med(l['wall'] for l in lines)")
		ratio=$(python3 -c "print('%.2f' % ($ours / $theirs))")
		ratio+=" (CPU $(python3 -c "print('%.2f' % ($(of_json "$T/ours" "med(l['cpu_ms'][0] for l in lines)") / $(of_json "$T/llvm" "med(l['cpu'] for l in lines)")))"))"
	fi
	row "5,000 addresses in 50 MB of DWARF, first (llvm-symbolizer)" "$theirs ms" "$ours ms" "$ratio" "<= 1"
	row "the same again, cached" "" "$(of_json "$T/ours" \
		"'%.1f' % med(w for l in lines for w in l['wall_ms'][1:])") ms" \
		"CPU $(of_json "$T/ours" "'%.1f' % med(w for l in lines for w in l['cpu_ms'][1:])") ms" "<= 20 ms"
}

large()
{
	local free_mb

	free_mb=$(df -m --output=avail "$BUILD" | tail -1)
	if ! [ -e "$BUILD/bench/debug-$LARGE_MB" ] && [ "$free_mb" -lt $((4 * LARGE_MB)) ]; then
		echo "  *** NOT MEASURED: $LARGE_MB MB of debug information: only $free_mb MB free ***"
		return
	fi
	program "$LARGE_MB"
	"$figures" symbols "$BUILD/bench/debug-$LARGE_MB" 5000 0 "$T/list" >"$T/large" || fail "figures"
	row "5,000 addresses in $LARGE_MB MB of DWARF: greatest resident size" "" \
		"$(of_json "$T/large" "'%.0f' % lines[0]['rss_mib']") MiB" \
		"$(of_json "$T/large" "'%.1f' % (lines[0]['wall_ms'][0] / 1e3)") s" "< 512 MiB"
	"$figures" symbols "$BUILD/bench/debug-$LARGE_MB" 100000 0 "$T/list" >"$T/large" || fail "figures"
	row "100,000 addresses in it: greatest resident size" "" \
		"$(of_json "$T/large" "'%.0f' % lines[0]['rss_mib']") MiB" \
		"$(of_json "$T/large" "'%.1f' % (lines[0]['wall_ms'][0] / 1e3)") s" "< 512 MiB"
}

# In turns: both write the same profile to the same disk, and have it synced.
writing()
{
	local i

	: >"$T/ours" >"$T/go"
	for i in $(seq "$rounds"); do
		"$figures" write "$BUILD/bench/debug-50" 100000 30 3 "$T/ours.pb.gz" >>"$T/ours" || fail "figures"
		"$BUILD/bench/gowriter" "$T/ours.pb.gz" "$T/go.pb.gz" 3 >>"$T/go" || fail "gowriter"
	done
	valid "$T/ours.pb.gz"
	row "100,000 stacks of 30 frames: frozen to published (Go's writer)" \
		"$(of_json "$T/go" "'%.0f' % med(w for l in lines for w in l['wall_ms'])") ms" \
		"$(of_json "$T/ours" "'%.0f' % med(w for l in lines for w in l['wall_ms'][1:])") ms" \
		"$(python3 -c "print('%.2f' % ($(of_json "$T/ours" "med(w for l in lines for w in l['wall_ms'][1:])") / $(of_json "$T/go" "med(w for l in lines for w in l['wall_ms'])")))") (CPU $(python3 -c "print('%.2f' % ($(of_json "$T/ours" "med(w for l in lines for w in l['cpu_ms'][1:])") / $(of_json "$T/go" "med(w for l in lines for w in l['cpu_ms'])")))"))" "<= 1"
	row "its size" "$(of_json "$T/go" "lines[-1]['bytes'] // 1000") kB" \
		"$(of_json "$T/ours" "lines[-1]['bytes'] // 1000") kB" \
		"freezing before: $(of_json "$T/ours" "'%.0f' % med(w for l in lines for w in l['freeze_ms'][1:])") ms" ""
}

llvm=$(command -v llvm-symbolizer || command -v llvm-symbolizer-{19,18,17,16,15,14} | head -1 || true)
[ -n "$llvm" ] || echo "  *** no llvm-symbolizer here: nothing to compare with ***"
heading "Naming and writing profiles (bare: the other tool; median of $rounds)"
symbols
large
writing
