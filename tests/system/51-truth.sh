#!/bin/bash
# Proves that a heap profile's four values are right: exact at rate 1, zero after
# everything was freed, and unbiased at rates of 16 KiB and 512 KiB for objects of
# 16 B to 10 MB, over SEEDS (100) runs with as many seeds: the mean error within 3
# standard errors of zero, the spread as theory has it within 10%.
#
# A right program misses 3 standard errors once in 370 times, and there are some
# sixteen independent means: a rate that misses is run once more with new seeds,
# and only a second miss counts. Chance of failing: below one in 1,000.
. "$(dirname "$0")/../lib.sh"
unset PROFD_SOCKET
seeds=${SEEDS:-100}

# series RATE DIR ARGS...: as many runs, each with its heap in DIR
series()
{
	local rate=$1 dir=$2 i
	shift 2
	rm -rf "$dir"
	mkdir "$dir"
	for i in $(seq "$seeds"); do
		"$profctl" run --rate "$rate" --heap "$dir/$i.pb.gz" -- "$fixtures/truth" "$@" 2>"$T/said" ||
			fail "run $i at rate $rate: status $?"
		[ -s "$dir/$i.pb.gz" ] || fail "run $i at rate $rate: no heap: $(cat "$T/said")"
	done
}

check()
{
	python3 - "$root/tests/raw.py" "$@" <<'END'
import importlib.machinery, importlib.util, math, subprocess, sys
loader = importlib.machinery.SourceFileLoader('raw', sys.argv[1])
raw = importlib.util.module_from_spec(importlib.util.spec_from_loader('raw', loader))
loader.exec_module(raw)
rate, live, files = int(sys.argv[2]), float(sys.argv[3]), sys.argv[4:]
SIZES = {'alloc_16': (40000, 16), 'alloc_1k': (2000, 1024), 'alloc_100k': (100, 102400),
         'alloc_10m': (4, 10485760)}
runs = []
for path in files:
    text = subprocess.run(['go', 'tool', 'pprof', '-raw', '-symbolize=none', path], check=True,
                          capture_output=True, text=True).stdout
    types, samples, names = raw.parse(text)
    sums = {name: [0] * 4 for name in SIZES}
    for values, ids in samples:
        for name in {n for i in ids for n in names.get(i, [])} & set(SIZES):
            sums[name] = [a + b for a, b in zip(sums[name], values)]
    runs.append(sums)
worst, z2, n_z, bad = 0, 0, 0, []
for name, (n, size) in SIZES.items():
    p = 1 - math.exp(-size / rate) if rate > 1 else 1
    for column, (count, unit) in enumerate([(n, 1), (n, size), (n * live, 1), (n * live, size)]):
        got = [run[name][column] for run in runs]
        sd = unit * math.sqrt(count * (1 - p) / p)
        error = sum(got) / len(got) - count * unit
        rounding = 1e-6 * count * unit + 1
        if abs(error) > 3 * sd / math.sqrt(len(got)) + rounding:
            bad.append(f'{name} value {column + 1}: mean error {error:.1f}, standard error '
                       f'{sd / math.sqrt(len(got)):.1f}')
        if sd > 10 * rounding and count * p > 1 and column % 2 == 0:
            worst = max(worst, abs(error) / sd * math.sqrt(len(got)))
            z2 += sum((g - count * unit) ** 2 for g in got) / sd ** 2
            n_z += len(got)
if n_z:
    spread = math.sqrt(z2 / n_z)
    print(f'figure: rate {rate}, {len(runs)} seeds: the worst mean is {worst:.2f} standard errors '
          f'off; spread {spread:.3f} of theory')
    if abs(spread - 1) > 0.1:
        bad.append(f'spread {spread:.3f} of theory')
for line in bad:
    print(line)
sys.exit(len(bad) > 0)
END
}

one=$seeds; seeds=1
series 1 "$T/exact"
check 1 0.5 "$T"/exact/*.pb.gz || fail "rate 1 is not exact"
series 1 "$T/zero" all
check 1 0 "$T"/zero/*.pb.gz || fail "not zero after everything was freed"
series 16384 "$T/zero" all
eval "$(raw "$T"/zero/1.pb.gz inuse_space mine='^alloc_')"
[ "$mine" = 0 ] || fail "$mine bytes in use after everything was freed"
figure "rate 1: all four values exact; everything freed: 0 bytes in use, at rate 16384 too"
seeds=$one
for rate in 16384 524288; do
	series $rate "$T/first"
	check $rate 0.5 "$T"/first/*.pb.gz && continue
	echo "once more, with new seeds"
	series $rate "$T/second"
	check $rate 0.5 "$T"/second/*.pb.gz || fail "rate $rate: biased, twice"
done
