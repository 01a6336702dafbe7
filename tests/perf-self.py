#!/usr/bin/env python3
"""Compares the self shares of functions in two profiles of one process.

    perf-self.py PROFILE PERF-DATA PID PROGRAM

PROFILE is profd's, PERF-DATA what `perf record` wrote of the same process at the
same time. Addresses of both become (file, offset), and in PROGRAM the function by
its symbol table; other files, the kernel and generated code count as one each. Prints the
ten greatest shares, side by side, and "worst=POINTS n=SAMPLES perf_n=SAMPLES".

perf.data is read here, not by perf: its own reports do not come through on every
kernel. Format: linux/perf_event.h, and tools/perf/Documentation/perf.data-file-format.
"""
import bisect
import collections
import re
import struct
import subprocess
import sys

SAMPLE, MMAP2 = 9, 10
IP, TID, TIME = 1, 2, 4
IDENTIFIER = 1 << 16
KERNEL = 1 << 63


def symbols(path):
    """Code symbols by file offset: sorted starts, names."""
    text = subprocess.run(['readelf', '-lW', path], check=True, capture_output=True,
                          text=True).stdout
    loads = [[int(x, 16) for x in line.split()[1:6:1]] for line in text.splitlines()
             if line.strip().startswith('LOAD')]
    table = {}
    for line in subprocess.run(['nm', '-n', '--defined-only', path], check=True,
                               capture_output=True, text=True).stdout.splitlines():
        address, kind, name = line.split(' ', 2)
        if kind in 'tTwWiu':
            for offset, vaddr, _, size, _ in loads:
                if vaddr <= int(address, 16) < vaddr + size:
                    table.setdefault(int(address, 16) - vaddr + offset, name)
    starts = sorted(table)
    return starts, [table[s] for s in starts]


def namer(program):
    starts, names = symbols(program)

    def name(path, offset):
        if path == program:
            i = bisect.bisect_right(starts, offset) - 1
            return names[i] if i >= 0 else '?'
        whole = not path.startswith('/') or path.startswith('//')
        return path if whole else path.rsplit('/', 1)[-1]
    return name


def of_profile(path, pid, name):
    text = subprocess.run(['go', 'tool', 'pprof', '-raw', '-symbolize=none', path], check=True,
                          capture_output=True, text=True).stdout
    leaves, maps, section = {}, {}, ''
    samples, at, last = [], {}, None
    for line in text.splitlines():
        if line in ('Samples:', 'Locations', 'Mappings'):
            section = line
        elif section == 'Samples:':
            match = re.match(r'^\s*(\d+)\s+\d+: (\d+)', line)
            if match:
                last = [int(match[1]), int(match[2]), None]
                samples.append(last)
            elif last and re.search(r'\bpid:\[?(\d+)', line):
                last[2] = int(re.search(r'\bpid:\[?(\d+)', line)[1])
        elif section == 'Locations':
            match = re.match(r'^\s*(\d+): 0x([0-9a-f]+) (?:M=(\d+))?', line)
            if match:
                leaves[int(match[1])] = (int(match[2], 16), int(match[3] or 0))
        elif section == 'Mappings':
            match = re.match(r'^(\d+): 0x([0-9a-f]+)/0x([0-9a-f]+)/0x([0-9a-f]+) (\S+)', line)
            if match:
                maps[int(match[1])] = (int(match[2], 16), int(match[4], 16), match[5])
    shares = collections.Counter()
    for n, leaf, of in samples:
        if of != pid:
            continue
        address, mapping = leaves[leaf]
        start, offset, file = maps.get(mapping, (0, 0, '[unknown]'))
        kernel = file.startswith('[kernel')
        shares['[kernel]' if kernel else name(file, address - start + offset)] += n
    return shares


def of_perf(path, pid, name):
    data = open(path, 'rb').read()
    attr_offset = struct.unpack_from('<Q', data, 24)[0]
    offset, size = struct.unpack_from('<QQ', data, 40)
    kind = struct.unpack_from('<Q', data, attr_offset + 24)[0]
    assert kind & IP and kind & TID, 'perf recorded neither address nor task'
    maps, shares, at = [], collections.Counter(), offset
    while at < offset + size:
        record, misc, length = struct.unpack_from('<IHH', data, at)
        if record == MMAP2:
            of, _, start, bytes_, file_offset = struct.unpack_from('<IIQQQ', data, at + 8)
            protection = struct.unpack_from('<I', data, at + 64)[0]
            if of == pid and protection & 4:
                file = data[at + 72:at + length].split(b'\0')[0].decode(errors='replace')
                maps.append((start, start + bytes_, file_offset, file))
        elif record == SAMPLE:
            field = at + 8 + (8 if kind & IDENTIFIER else 0)
            ip, of = struct.unpack_from('<QI', data, field)
            if of == pid:
                if ip >= KERNEL:
                    shares['[kernel]'] += 1
                else:
                    for start, end, file_offset, file in reversed(maps):
                        if start <= ip < end:
                            shares[name(file, ip - start + file_offset)] += 1
                            break
                    else:
                        shares['[unknown]'] += 1
        at += length
    return shares


def main():
    profile, perf, pid, program = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    name = namer(program)
    ours, theirs = of_profile(profile, pid, name), of_perf(perf, pid, name)
    n, perf_n = sum(ours.values()), sum(theirs.values())
    worst = 0
    for function, count in theirs.most_common(10):
        a, b = 100 * ours[function] / max(n, 1), 100 * count / max(perf_n, 1)
        worst = max(worst, abs(a - b))
        print(f'    {a:6.2f}%  perf {b:6.2f}%  {function[:70]}')
    print(f'worst={worst:.2f} n={n} perf_n={perf_n}')


if __name__ == '__main__':
    main()
