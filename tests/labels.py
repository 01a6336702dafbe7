#!/usr/bin/env python3
"""Sums of a pprof file by the labels that the program gave, from `go tool pprof -raw`.

    labels.py FILE TYPE

Prints a line for each set of labels: "k=v k=v: SUM", keys sorted, "none" for no labels.
"""
import re
import subprocess
import sys

OURS = {'pid', 'tid', 'comm', 'thread', 'unit', 'bytes', 'state', 'wchan'}


def main():
    path, wanted = sys.argv[1:3]
    text = subprocess.run(['go', 'tool', 'pprof', '-raw', '-symbolize=none', path],
                          check=True, capture_output=True, text=True).stdout
    lines = text.split('Samples:\n')[1].split('Locations\n')[0].splitlines()
    index = [t.split('[')[0].split('/')[0] for t in lines[0].split()].index(wanted)
    samples = []
    for line in lines[1:]:
        match = re.match(r'^\s*((?:-?\d+\s+)*-?\d+): [\d ]*$', line)
        if match:
            samples.append((int(match[1].split()[index]), {}))
        else:
            samples[-1][1].update(re.findall(r'(\S+):\[(.*?)\](?= |$)', line))
    sums = {}
    for value, labels in samples:
        own = ' '.join(f'{k}={v}' for k, v in sorted(labels.items()) if k not in OURS) or 'none'
        sums[own] = sums.get(own, 0) + value
    for own, value in sorted(sums.items()):
        print(f'{own}: {value}')


if __name__ == '__main__':
    main()
