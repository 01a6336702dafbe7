#!/usr/bin/env python3
"""Sums over the samples of a pprof file, as `go tool pprof -raw` shows them.

    raw.py FILE TYPE [NAME=REGEX]...

Prints TYPE's total, then for each NAME the part of it in stacks that have a
frame whose function matches REGEX; a REGEX that begins with ^^ looks at the
innermost frame only, one that begins with $$ at the outermost. Output:
"total=N n=SAMPLES NAME=N NAME=N ..".
"""
import re
import subprocess
import sys

LINE = re.compile(r'^(?:\s*(\d+): 0x[0-9a-f]+ (?:M=\d+ )?|\s+)(.*?)(?: \S*:\d+(?::\d+)? s=-?\d+)?$')


def parse(text):
    """Returns (sample types, [(values, location ids)], {id: [names, innermost first]})."""
    types, samples, names = [], [], {}
    section, current = '', None
    for line in text.splitlines():
        if line in ('Samples:', 'Locations', 'Mappings'):
            section = line
            continue
        if section == 'Samples:':
            if not types:
                types = [t.split('[')[0].split('/')[0] for t in line.split()]
                continue
            match = re.match(r'^\s*((?:-?\d+\s+)*-?\d+): ([\d ]*)$', line)
            if match:
                samples.append(([int(v) for v in match[1].split()],
                                [int(i) for i in match[2].split()]))
        elif section == 'Locations':
            match = LINE.match(line)
            if match and match[1]:
                current = int(match[1])
                names[current] = []
            if match and match[2].strip():
                names[current].append(match[2].strip())
    return types, samples, names


def main():
    path, wanted = sys.argv[1:3]
    filters = [f.split('=', 1) for f in sys.argv[3:]]
    text = subprocess.run(['go', 'tool', 'pprof', '-raw', '-symbolize=none', path],
                          check=True, capture_output=True, text=True).stdout
    types, samples, names = parse(text)
    index = types.index(wanted)
    sums = dict.fromkeys((name for name, _ in filters), 0)
    for values, ids in samples:
        stack = [n for i in ids for n in names.get(i, [])]
        for name, regex in filters:
            frames = {'^^': stack[:1], '$$': stack[-1:]}.get(regex[:2], stack)
            if any(re.search(regex.removeprefix('^^').removeprefix('$$'), f) for f in frames):
                sums[name] += values[index]
    total = sum(values[index] for values, _ in samples)
    print(' '.join([f'total={total}', f'n={len(samples)}'] + [f'{k}={v}' for k, v in sums.items()]))


if __name__ == '__main__':
    main()
