#!/usr/bin/env python3
"""Compares profd's names with those of binutils, elfutils and LLVM.

    symbols.py PROFCTL COUNT WORK-DIRECTORY [--debug-dir DIR] NAME=FILE...

Takes COUNT random addresses of the functions in each FILE, the same ones every time,
writes a profile with a location at each, has `profctl symbolize` name them, and asks
each tool that is installed for the same addresses. What is compared: the whole chain of
inlined calls, of each the function, the file and the line.

Two names are the same if they are aliases (the symbol table has them at one address), or
if one only says more about the same function: its class, parameters, the optimizer's
suffix. A file without a line (addr2line's "cp-demangle.o:?") is no place.

Prints, for each file and tool, how many addresses agree, and each class of disagreement
with its first example: which part differs, and which other tools give exactly profd's
answer. A disagreement that another tool decides for profd is that tool's own; one that
none does is profd's until it is explained. The last line is JSON:
{"NAME": {"TOOL": [agree, decided for profd, asked]}}.
"""
import collections
import gzip
import json
import os
import random
import re
import shutil
import subprocess
import sys

def run(argv, text=None):
    return subprocess.run(argv, input=text, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True, check=False, errors='replace').stdout


# ---- a profile, written by hand: the few fields of profile.proto that it takes
def varint(n):
    out = bytearray()
    while True:
        out.append(n & 0x7f | (0x80 if n > 0x7f else 0))
        n >>= 7
        if not n:
            return bytes(out)


def number(field, n):
    return varint(field << 3) + varint(n) if n else b''


def message(field, body):
    return varint(field << 3 | 2) + varint(len(body)) + body


def write_profile(path, file, build_id, segments, addresses):
    strings = ['', 'samples', 'count', file, build_id]
    out = message(1, number(1, 1) + number(2, 2))
    mappings = []
    for i, (offset, vaddr, size) in enumerate(segments, 1):
        skip = vaddr & 0xfff
        mappings.append((vaddr, vaddr + size, i))
        out += message(3, number(1, i) + number(2, vaddr - skip + BIAS) + number(3, vaddr + size + BIAS) +
                       number(4, offset - skip) + number(5, 3) + number(6, 4))
    for i, address in enumerate(addresses, 1):
        mapping = next(m for low, high, m in mappings if low <= address < high)
        out += message(4, number(1, i) + number(2, mapping) + number(3, address + BIAS))
        out += message(2, message(1, varint(i)) + message(2, varint(1)))
    for s in strings:
        out += message(6, s.encode())
    with gzip.open(path, 'wb', 1) as f:
        f.write(out)


BIAS = 0x7f0000000000


def fields(data):
    at = 0

    def take():
        nonlocal at
        n = shift = 0
        while True:
            byte = data[at]
            at += 1
            n |= (byte & 0x7f) << shift
            shift += 7
            if byte < 0x80:
                return n
    while at < len(data):
        key = take()
        if key & 7 == 0:
            yield key >> 3, take()
        elif key & 7 == 2:
            n = take()
            yield key >> 3, data[at:at + n]
            at += n
        else:
            raise ValueError(f'wire type {key & 7}')


def read_profile(path):
    """{address: [(system name, file, line), innermost first]}"""
    with gzip.open(path) as f:
        top = list(fields(f.read()))
    strings = [v.decode() for k, v in top if k == 6]
    functions = {}
    for k, v in top:
        if k == 5:
            d = dict(fields(v))
            functions[d[1]] = (strings[d.get(3, 0)], strings[d.get(4, 0)])
    found = {}
    for k, v in top:
        if k != 4:
            continue
        address, lines = 0, []
        for field, value in fields(v):
            if field == 3:
                address = value - BIAS
            elif field == 4:
                d = dict(fields(value))
                lines.append((*functions[d[1]], d.get(2, 0)))
        found[address] = lines
    return found


# ---- the files
def debug_file(file, build_id, debug_dirs):
    for d in debug_dirs:
        path = f'{d}/.build-id/{build_id[:2]}/{build_id[2:]}.debug'
        if os.path.exists(path):
            return path
    return file


def look_at(file):
    text = run(['readelf', '-lnW', file])
    segments = [(int(m[1], 16), int(m[2], 16), int(m[3], 16)) for m in
                re.finditer(r'LOAD +(0x\w+) (0x\w+) 0x\w+ (0x\w+) 0x\w+ R.E', text)]
    return re.search(r'Build ID: (\w+)', text)[1], segments


def read_symbols(*files):
    """Of functions: [(address, size, name)]."""
    symbols = []
    for line in run(['readelf', '-sW', *files]).splitlines():
        m = re.match(r'\s*\d+: (\w+)\s+(\w+) (?:FUNC|IFUNC|NOTYPE)\s+\w+\s+\w+\s+\d+ (\S+)', line)
        if m:
            symbols.append((int(m[1], 16), int(m[2], 0), m[3].split('@')[0]))
    return symbols


def pick(symbols, segments, count):
    """Random addresses, each byte of a function as likely as any other."""
    ranges = sorted({(at, size) for at, size, _ in symbols
                     if size > 0 and any(v <= at < v + n for _, v, n in segments)})
    generator = random.Random(20261121)
    addresses = set()
    sizes = [size for _, size in ranges]
    count = min(count, sum(sizes) // 2)
    while len(addresses) < count:
        start, size = generator.choices(ranges, sizes)[0]
        addresses.add(start + generator.randrange(size))
    return sorted(addresses)


# ---- the tools: {address: chain}
def place(text):
    file, _, line = text.partition(' (discriminator')[0].rpartition(':')
    return ('' if file == '??' else file), int(line) if line.isdigit() else 0


def ask_addr2line(file, symbols_of, addresses, debug_dirs):
    text = run(['addr2line', '-afi', '-e', symbols_of], '\n'.join(map(hex, addresses)))
    answers, chain = {}, None
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith('0x') and ':' not in line:
            chain = answers.setdefault(int(line, 16), [])
        else:
            chain.append((line, *place(next(lines))))
    return answers


def ask_eu_addr2line(file, symbols_of, addresses, debug_dirs):
    text = run(['eu-addr2line', '-afi', f'--debuginfo-path=:{":".join(debug_dirs)}', '-e', symbols_of],
               '\n'.join(map(hex, addresses)) + '\n')
    answers, chain = {}, None
    lines = iter(text.splitlines())
    for line in lines:
        if re.fullmatch(r'0x[0-9a-f]{16}', line):
            chain = answers.setdefault(int(line, 16), [])
            continue
        name = line.split(' inlined at ')[0]
        where = next(lines)
        where = re.sub(r'(:\d+):\d+$', r'\1', where)
        chain.append((name, *place(where)))
    return answers


def ask_llvm(file, symbols_of, addresses, debug_dirs):
    text = run(['llvm-symbolizer', '--inlines', '--no-demangle', '--output-style=JSON',
                f'--obj={file}', *(f'--debug-file-directory={d}' for d in debug_dirs[:1])],
               '\n'.join(map(hex, addresses)) + '\n')
    answers = {}
    for line in text.splitlines():
        d = json.loads(line)
        answers[int(d['Address'], 16)] = [(s['FunctionName'], s['FileName'], s['Line'])
                                          for s in d.get('Symbol', [])]
    return answers


TOOLS = {'addr2line': ask_addr2line, 'eu-addr2line': ask_eu_addr2line, 'llvm-symbolizer': ask_llvm}


# ---- comparing
def make_readable(names):
    names = sorted(names)
    return dict(zip(names, run(['c++filt'], '\n'.join(names) + '\n').split('\n')))


def bare(name):
    """Only the function's own name: tools that have no linkage name write the rest in
    ways of their own, or leave it out."""
    name = re.sub(r' \[clone.*', '', name)
    name = re.sub(r'(\.(cold|part|isra|constprop|llvm|lto_priv|localalias)(\.\d+)*)+$', '', name)
    name = re.sub(r'@.*', '', name)
    operator = re.search(r'\boperator\b.*', name)
    if operator:
        return re.sub(r'[\W]', '', operator[0].split('(')[0].split('<')[0]) or 'operator'
    depth, kept = 0, []
    for c in name:
        depth -= c in '>)}'
        if depth == 0 and c not in '<>(){}':
            kept.append(c)
        depth += c in '<({'
    return ''.join(kept).replace(' const', '').split('::')[-1].split(' ')[-1]


class Names:
    def __init__(self, names, symbols):
        self.readable = make_readable(names)
        self.starts = collections.defaultdict(set)
        for at, _, name in symbols:
            self.starts[name].add(at)

    def same(self, a, b):
        return a == b or bool(self.starts[a] & self.starts[b]) or self.readable[a] == self.readable[b] or \
            bare(self.readable[a]) == bare(self.readable[b])


def same_place(a, b):
    return a[2] == b[2] and (a[2] == 0 or same_file(a[1], b[1]))


def same_file(a, b):
    return os.path.normpath(a or '??') == os.path.normpath(b or '??')


def same_chain(names, ours, theirs):
    return len(ours) == len(theirs) and all(
        same_place(a, b) and names.same(a[0], b[0]) for a, b in zip(ours, theirs))


def classify(names, ours, theirs):
    if len(ours) != len(theirs):
        return 'chain cut' if len(theirs) < len(ours) else 'chain longer'
    for a, b in zip(ours, theirs):
        if not same_place(a, b):
            return 'no line' if b[2] == 0 else 'other line' if same_file(a[1], b[1]) else 'other file'
        if not names.same(a[0], b[0]):
            return 'outer name for an inlined one' if any(names.same(b[0], c[0]) for c in ours) else 'other name'
    return ''


def show(chain):
    return ' < '.join(f'{name[:60]} {os.path.normpath(file or "??")}:{line}' for name, file, line in chain) or '(nothing)'


def compare(label, ours, answers, symbols):
    tables = (ours, *answers.values())
    names = Names({frame[0] for table in tables for chain in table.values() for frame in chain}, symbols)
    result = {}
    for tool, theirs in answers.items():
        classes = collections.defaultdict(list)
        agree = explained = 0
        for address, chain in ours.items():
            other = theirs.get(address, [])
            if same_chain(names, chain, other):
                agree += 1
                continue
            kind = classify(names, chain, other)
            sides = [t for t, a in answers.items() if t != tool and same_chain(names, chain, a.get(address, []))]
            if sides:
                explained += 1
                kind += f' in {tool}; {" and ".join(sides)} as profd'
            else:
                kind += '; no tool as profd'
            classes[kind].append(address)
        result[tool] = [agree, explained, len(ours)]
        print(f'{label}: {tool}: {agree} of {len(ours)} agree in every frame ({100 * agree / len(ours):.2f}%), '
              f'{explained} more where another tool has profd\'s answer')
        for kind, where in sorted(classes.items(), key=lambda c: -len(c[1])):
            print(f'    {len(where):5} {kind}; the first at {where[0]:#x}:')
            print(f'          profd: {show(ours[where[0]])}\n          {tool}: {show(theirs.get(where[0], []))}')
    return result


def main():
    args = sys.argv[1:]
    profctl, count, work = args[0], int(args[1]), args[2]
    debug_dirs = ['/usr/lib/debug']
    args = args[3:]
    options = []
    while args and args[0] == '--debug-dir':
        debug_dirs.insert(0, args[1])
        options += args[:2]
        args = args[2:]
    total = {}
    for named in args:
        label, file = named.split('=', 1)
        build_id, segments = look_at(file)
        symbols_of = debug_file(file, build_id, debug_dirs)
        symbols = read_symbols(file, symbols_of)
        addresses = pick(symbols, segments, count)
        profile = f'{work}/symbols.pb.gz'
        write_profile(profile, os.path.realpath(file), build_id, segments, addresses)
        print(run([profctl, 'symbolize', *options, profile]).strip())
        ours = read_profile(profile)
        answers = {tool: ask(file, symbols_of, addresses, debug_dirs) for tool, ask in TOOLS.items()
                   if shutil.which(tool)}
        total[label] = compare(label, ours, answers, symbols)
    print(json.dumps(total))


if __name__ == '__main__':
    main()
