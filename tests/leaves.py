#!/usr/bin/env python3
"""Where each sample of a CPU profile stood, one line a sample, tab-separated:

    leaves.py FILE    ->    COUNT PID COMM THREAD UNIT PATH FUNCTION

PATH and FUNCTION are of the innermost frame that is not the kernel's; both are
"-" in a sample that has none. What a sample has no label of is "-", too. A
function without a name has the makeshift that the profile gives it.
"""
import re
import subprocess
import sys

LOCATION = re.compile(r'^\s*(\d+): 0x[0-9a-f]+ (?:M=(\d+) )?(.*)$')
FUNCTION = re.compile(r'^(.*?)(?: \S*:\d+(?::\d+)? s=-?\d+)?$')
MAPPING = re.compile(r'^(\d+): 0x\S+ (\S+) ')
SAMPLE = re.compile(r'^\s*(\d+)(?:\s+-?\d+)*: ([\d ]*)$')
LABEL = re.compile(r'(\w+):\[([^\]]*)\]')


def main():
    text = subprocess.run(['go', 'tool', 'pprof', '-raw', '-symbolize=none', sys.argv[1]],
                          check=True, capture_output=True, text=True).stdout
    samples, places, paths, section = [], {}, {}, ''
    for line in text.splitlines():
        if line in ('Samples:', 'Locations', 'Mappings'):
            section = line
        elif section == 'Samples:' and SAMPLE.match(line):
            match = SAMPLE.match(line)
            samples.append((int(match[1]), match[2].split(), {}))
        elif section == 'Samples:' and samples:
            samples[-1][2].update(LABEL.findall(line))
        elif section == 'Locations' and LOCATION.match(line):
            match = LOCATION.match(line)
            places[match[1]] = match[2], FUNCTION.match(match[3])[1]
        elif section == 'Mappings' and MAPPING.match(line):
            match = MAPPING.match(line)
            paths[match[1]] = match[2]
    for count, ids, labels in samples:
        leaf = '-', '-'
        for mapping, function in (places[i] for i in ids):
            path = paths.get(mapping, '[none]')
            if not path.startswith('[kernel'):
                leaf = path, function or '?'
                break
        print(count, *(labels.get(name, '-') for name in ('pid', 'comm', 'thread', 'unit')), *leaf,
              sep='\t')


if __name__ == '__main__':
    main()
