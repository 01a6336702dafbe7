#!/bin/bash
# Proves that the client's stack walker agrees with libunwind, frame by frame, on
# stacks of real programs: taken inside malloc, where the client takes them.
. "$(dirname "$0")/../lib.sh"

export ORACLE_OUT=$T/oracle
oracle=$fixtures/walker-oracle

# watched RATE COMMAND...
watched() { timeout 400 env PROFD_RATE="$1" LD_PRELOAD="$oracle" "${@:2}" >/dev/null || fail "failed: ${*:2}"; }

for i in $(seq 1500); do echo "int f$i(int *a, int n) { int s = $i; for (int i = 0; i < n; i++) s += a[i] * $i; return s; }"; done >"$T/many.c"
watched 2048 "$fixtures/walker-throws" 12000
PYTHONMALLOC=malloc watched 2048 /usr/bin/python3 -c 'import json
d = {str(i): list(range(20)) for i in range(2000)}
for i in range(10): json.loads(json.dumps(d, indent=1))'
watched 2048 gcc -O1 -c -o "$T/many.o" "$T/many.c"
programs="walker-throws python3 cc1"
if command -v node >/dev/null; then
	watched 4096 node -e 'for (let i = 0; i < 2000; i++) { Buffer.alloc(5000 + i); JSON.parse(JSON.stringify([...Array(500).keys()])) }'
	programs="$programs node"
fi
for program in $programs; do
	grep -q "^total $program " "$ORACLE_OUT" || fail "no stacks from $program"
done

python3 - "$ORACLE_OUT" <<'END' || { grep -v '^total' "$ORACLE_OUT" | head -80 >&2; fail "the walkers differ"; }
import collections, sys
sums = collections.Counter()
for line in open(sys.argv[1]):
    if line.startswith('total '):
        for field in line.split():
            if '=' in field:
                key, value = field.split('=')
                sums[key] += int(value)
print('figure: {stacks} stacks, {frames} frames: {agree} agree, {complete} complete, of which '
      '{complete_differ} differ; of the others {differ} differ, {short} are short'.format_map(
          collections.defaultdict(int, sums)))
sys.exit(sums['stacks'] < 100000 or sums['complete_differ'] > 0 or sums['agree'] < 0.999 * sums['stacks'])
END
