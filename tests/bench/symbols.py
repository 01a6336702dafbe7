#!/usr/bin/env python3
"""Compares profd's names with those of binutils, elfutils and LLVM.

    symbols.py PROFCTL COUNT WORK-DIRECTORY [--debug-dir DIR] [--judged N] NAME=FILE[=TWIN]...

Takes COUNT random addresses of the functions in each FILE, the same ones every time,
writes a profile with a location at each, has `profctl symbolize` name them, and asks
each tool that is installed for the same addresses. What is compared: the whole chain of
inlined calls, of each the function, the file and the line.

Random addresses: each byte of the code of the functions that the symbol table gives a
size is as likely as any other, so that long functions are met more often, as they are by
a profiler, and instructions are met in their middle, as they are after return addresses
were moved back into the call. What lies between functions (padding, PLT) is not asked for.

Two names are the same if they are aliases (the symbol table has them at one address, as
it has functions that the compiler found to be identical and folded), if they read the
same (two kinds of constructor), or if they differ by the optimizer's suffix or the
linker's version alone (.cold, .part.0, @@GLIBC_2.3). Where one tool has the linker's name
and the other the source's bare one, which is all that DWARF has for it, its last part is
compared. A file without a line (addr2line's "cp-demangle.o:?") is no place. A path is
compared after "." and ".." have been taken out.

A disagreement is explained if the DWARF itself (referee.py) confirms profd and the tool's
answer is just what a known shortcoming of its makes of it (explained.py). Agreement is
agreed / (asked - explained); the raw figure is agreed / asked. Some addresses, spread
evenly, are put to the DWARF itself as to a fourth tool, whether the others agree or not.

A tool that finds no inlined calls at all in some program disagrees with profd in most of
it, whatever is right about its answer. So it is also counted where, calls aside, the
innermost file and line are the same, and where the function that was called is: the last
of the chain.

TWIN is the same code with its debug information in itself. It is what the tools, and the
DWARF itself, are asked instead of FILE: neither binutils nor elfutils' eu-addr2line reads
split units.

Prints, for each file and tool, the figures and each class, of disagreements with the
first example. The last line is JSON:
{"NAME": {"TOOL": [agree, explained, asked, places, functions]}}.
"""
import argparse
import collections
import gzip
import json
import os
import random
import re
import shutil
import subprocess
import sys

from explained import Case, explain
from referee import Referee


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
        out += message(3, number(1, i) + number(2, vaddr - skip + BIAS) +
                       number(3, vaddr + size + BIAS) +
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


def code_sections(file):
    """Their numbers."""
    section = r'^ *\[ *(\d+)\] \S* +\w+ +\w+ \w+ \w+ \w+ +\w*X'
    return {m[1] for m in re.finditer(section, run(['readelf', '-SW', file]), re.M)}


def read_symbols(*files):
    """Of functions: [(address, size, name)]. And of what has no code for its address, but
    no type to say so either: {name: value}."""
    symbols, labels = [], {}
    for file in files:
        code = code_sections(file)
        for line in run(['readelf', '-sW', file]).splitlines():
            m = re.match(r'\s*\d+: (\w+)\s+(\w+) (?:FUNC|IFUNC|NOTYPE)\s+\w+\s+\w+\s+(\d+) (\S+)',
                         line)
            if m and m[3] in code:
                symbols.append((int(m[1], 16), int(m[2], 0), m[4].split('@')[0]))
            elif m:
                labels[m[4]] = int(m[1], 16)
    return symbols, labels


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


# ---- the tools: {address: chain}. All are given the file that has the debug information.
def place(text):
    file, _, line = text.partition(' (discriminator')[0].rpartition(':')
    return ('' if file == '??' else file), int(line) if line.isdigit() else 0


def ask_addr2line(symbols_of, addresses):
    text = run(['addr2line', '-afi', '-e', symbols_of], '\n'.join(map(hex, addresses)))
    answers, chain = {}, None
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith('0x') and ':' not in line:
            chain = answers.setdefault(int(line, 16), [])
        else:
            chain.append((line, *place(next(lines))))
    return answers


def ask_eu_addr2line(symbols_of, addresses):
    text = run(['eu-addr2line', '-afi', '-e', symbols_of], '\n'.join(map(hex, addresses)) + '\n')
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


def ask_llvm(symbols_of, addresses):
    text = run(['llvm-symbolizer', '--inlines', '--no-demangle', '--output-style=JSON',
                f'--obj={symbols_of}'],
               '\n'.join(map(hex, addresses)) + '\n')
    answers = {}
    for line in text.splitlines():
        d = json.loads(line)
        answers[int(d['Address'], 16)] = [(s['FunctionName'], s['FileName'], s['Line'])
                                          for s in d.get('Symbol', [])]
    return answers


TOOLS = {'addr2line': ask_addr2line, 'eu-addr2line': ask_eu_addr2line, 'llvm-symbolizer': ask_llvm}


# ---- comparing
class Readable(dict):
    """Names and how they read: all known ones at once, others (of the DWARF) when asked for."""

    def __init__(self, names):
        names = sorted(names)
        super().__init__(zip(names, run(['c++filt'], '\n'.join(names) + '\n').split('\n')))

    def __missing__(self, name):
        self[name] = run(['c++filt'], name + '\n').rstrip('\n')
        return self[name]


def bare(name):
    """Only the function's own name: tools that have no linkage name write the rest in
    ways of their own, or leave it out."""
    name = re.sub(r' \[clone.*', '', name)
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


def unclone(name):
    """Without the optimizer's suffixes, and the version that the linker appends."""
    name = name.split('@')[0] or name
    return re.sub(r'(\.(cold|part|isra|constprop|llvm|lto_priv|localalias)(\.\d+)*)+$', '', name)


def mangled(name):
    return name.startswith(('_Z', '_R'))


class Names:
    """@names: all that there are. @symbols: [(address, size, name)]."""

    def __init__(self, names, symbols):
        self.readable = Readable(names | {unclone(name) for name in names})
        self.starts = collections.defaultdict(set)
        self.sizes = collections.defaultdict(int)
        for at, size, symbol in symbols:
            for name in {symbol, unclone(symbol)}:
                self.starts[name].add(at)
                self.sizes[name, at] = max(size, self.sizes[name, at])

    def covers(self, name, address):
        return any(at <= address < at + self.sizes[name, at] for at in self.starts[name])

    def same(self, a, b):
        if a == b or self.starts[a] & self.starts[b]:
            return True
        a, b = unclone(a), unclone(b)
        if a == b or self.starts[a] & self.starts[b] or self.readable[a] == self.readable[b]:
            return True
        return mangled(a) != mangled(b) and bare(self.readable[a]) == bare(self.readable[b])


def same_file(a, b):
    return os.path.normpath(a or '??') == os.path.normpath(b or '??')


def same_place(a, b):
    return a[2] == b[2] and (a[2] == 0 or same_file(a[1], b[1]))


def same_chain(names, ours, theirs):
    return len(ours) == len(theirs) and all(
        same_place(a, b) and names.same(a[0], b[0]) for a, b in zip(ours, theirs))


def same_function(names, ours, theirs):
    return bool(ours and theirs) and names.same(ours[-1][0], theirs[-1][0])


def difference(names, ours, theirs):
    if len(ours) != len(theirs):
        return 'fewer calls' if len(theirs) < len(ours) else 'more calls'
    for a, b in zip(ours, theirs):
        if not same_place(a, b):
            if b[2] == 0:
                return 'no line'
            return 'other line' if same_file(a[1], b[1]) else 'other file'
    return 'other name'


def show(chain):
    return ' < '.join(f'{name[:60]} {os.path.normpath(file or "??")}:{line}'
                      for name, file, line in chain) or '(nothing)'


def confirmed(names, ours, facts):
    """Whether the DWARF says what profd does. Where it has no function the name is the
    symbol table's, and the place all that can be confirmed."""
    chain = facts.chain()
    if not chain:
        return len(ours) == 1 and same_place(ours[0], ('', *facts.place())) and \
            names.covers(ours[0][0], facts.pc)
    return len(ours) == len(chain) and all(
        same_place(a, b) and any(name and names.same(a[0], name) for name in b[0])
        for a, b in zip(ours, chain))


class Comparison:
    """Of one file: profd's answers and those of the tools."""

    def __init__(self, label, ours, answers, symbols, labels, referee):
        self.label, self.ours, self.answers, self.referee = label, ours, answers, referee
        self.facts = {}
        self.names = Names({frame[0] for table in (ours, *answers.values())
                            for chain in table.values() for frame in chain}, symbols)
        self.names.labels = labels

    def look(self, address):
        """What the DWARF says."""
        if address not in self.facts:
            self.facts[address] = self.referee.look(address)
        return self.facts[address]

    def judge(self, tool, address):
        """What kind of disagreement it is, and whether it is explained."""
        ours, theirs = self.ours[address], self.answers[tool].get(address, [])
        facts = self.look(address)
        if not confirmed(self.names, ours, facts):
            return difference(self.names, ours, theirs) + '; and the DWARF is not as profd', False
        rule = explain(tool, Case(ours, theirs, facts, self.referee, self.names, same_chain))
        if rule:
            return rule.__name__.replace('_', ' '), True
        return difference(self.names, ours, theirs) + '; the DWARF is as profd', False

    def compare(self, tool):
        classes = collections.defaultdict(list)
        explained = agree = places = functions = 0
        for address, ours in self.ours.items():
            theirs = self.answers[tool].get(address, [])
            places += bool(ours and theirs) and same_place(ours[0], theirs[0])
            functions += same_function(self.names, ours, theirs)
            if same_chain(self.names, ours, theirs):
                agree += 1
                continue
            kind, known = self.judge(tool, address)
            explained += known
            classes[known, kind].append(address)
        self.report(tool, agree, explained, len(self.ours))
        print(f'    {places} file and line, {functions} function that was called')
        for (known, kind), where in sorted(classes.items(), key=lambda c: -len(c[1])):
            print(f'    {len(where):5} {"explained: " if known else ""}{kind}; '
                  f'the first at {where[0]:#x}:')
            print(f'          profd: {show(self.ours[where[0]])}\n'
                  f'          {tool}: {show(self.answers[tool].get(where[0], []))}')
        return [agree, explained, len(self.ours), places, functions]

    def report(self, tool, agree, explained, asked):
        share = 100 * agree / max(1, asked - explained)
        print(f'{self.label}: {tool}: {share:.2f}% agree in every frame '
              f'({agree} of {asked} raw, {100 * agree / asked:.2f}%; {explained} explained)')

    def compare_dwarf(self, count):
        addresses = sorted(self.ours)[::max(1, len(self.ours) // count)][:count]
        wrong = [a for a in addresses if not confirmed(self.names, self.ours[a], self.look(a))]
        self.report('the DWARF itself', len(addresses) - len(wrong), 0, len(addresses))
        for a in wrong[:5]:
            print(f'          {a:#x}: profd: {show(self.ours[a])}\n'
                  f'          DWARF: {self.look(a).chain() or self.look(a).place()}')
        right = len(addresses) - len(wrong)
        return [right, 0, len(addresses), right, right]


def compare_file(label, file, twin, count, judged, how):
    build_id, segments = look_at(file)
    symbols_of = twin or debug_file(file, build_id, how.debug_dirs)
    symbols, labels = read_symbols(file, symbols_of)
    addresses = pick(symbols, segments, count)
    profile = f'{how.work}/symbols.pb.gz'
    write_profile(profile, os.path.realpath(file), build_id, segments, addresses)
    print(run([how.profctl, 'symbolize', *how.options, profile]).strip())
    ours = read_profile(profile)
    answers = {tool: ask(symbols_of, addresses)
               for tool, ask in TOOLS.items() if shutil.which(tool)}
    comparison = Comparison(label, ours, answers, symbols, labels, Referee(symbols_of))
    result = {tool: comparison.compare(tool) for tool in answers}
    result['the DWARF itself'] = comparison.compare_dwarf(judged)
    return result


def main():
    parser = argparse.ArgumentParser(description='names of profd beside those of other tools')
    parser.add_argument('profctl')
    parser.add_argument('count', type=int)
    parser.add_argument('work')
    parser.add_argument('--debug-dir', action='append', default=[])
    parser.add_argument('--judged', type=int, default=500)
    parser.add_argument('files', nargs='+')
    how = parser.parse_args()
    how.debug_dirs = how.debug_dir + ['/usr/lib/debug']
    how.options = [word for d in how.debug_dir for word in ('--debug-dir', d)]
    total = {}
    for named in how.files:
        label, file, twin = (named + '=').split('=')[:3]
        total[label] = compare_file(label, file, twin, how.count, how.judged, how)
    print(json.dumps(total))


if __name__ == '__main__':
    main()
