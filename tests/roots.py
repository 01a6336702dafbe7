#!/usr/bin/env python3
"""Counts the stacks of a CPU profile that reach the frame in which their thread or
program began.

    roots.py FILE NAME [COMM-REGEX]

Only samples of threads and programs whose comm matches COMM-REGEX are looked at.
A root is known by its name, or, in a stripped program, by lying at its entry
point; in a stripped C library by lying in clone, clone3 or the start of a
thread. Samples that have kernel frames only (a process that has no memory yet,
or no more) have no stack to complete and are not counted.

Prints a `figure:` line, then, for the stacks that are cut, the reason with the
module of the innermost frame. The last line is for a shell to read:
"total=N reached=N elsewhere=N kernel_only=N".
"""
import collections
import re
import subprocess
import sys

import raw

ROOTS = re.compile(r'^(_start|__libc_start_(main|call_main)|main|start_thread|_*clone3?|'
                   r'runtime\.(goexit|rt0_go|mstart|mcall|morestack|systemstack_switch)(\.abi0)?|'
                   r'_rt0_\w+|_dl_start_user)$')
# The kernel copies one stack: of a handler on a stack of its own, and of what Go's
# runtime does on its scheduler's, the other one is not to be had.
OTHER = '[truncated: other stack]'
# What the kernel runs on behalf of a process without any stack of its own.
KERNEL = re.compile(r'^(entry_|ret_from_fork|asm_|do_exit|__x64_sys_|x64_sys_)')


def entry_of(path):
    try:
        text = subprocess.run(['readelf', '-hW', path], capture_output=True, text=True).stdout
        return int(re.search(r'Entry point address:\s+0x([0-9a-f]+)', text)[1], 16)
    except (OSError, TypeError):
        return None


def parse(path):
    text = subprocess.run(['go', 'tool', 'pprof', '-raw', '-symbolize=none', path], check=True,
                          capture_output=True, text=True).stdout
    _, samples, names = raw.parse(text)
    labels, section = [], ''
    for line in text.splitlines():
        if line in ('Samples:', 'Locations', 'Mappings'):
            section = line
        elif section == 'Samples:' and re.match(r'^\s*(?:-?\d+\s+)+-?\d+: ', line):
            labels.append({})
        elif section == 'Samples:' and labels:
            labels[-1].update(re.findall(r'(\w+):\[(.*?)\]', line))
    files = {}
    for line in text[text.rindex('Mappings'):].splitlines():
        match = re.match(r'^\d+: \S+ (/\S+)', line)
        if match:
            files[match[1].rsplit('/', 1)[-1]] = match[1]
    return samples, labels, names, files


def main():
    path, what = sys.argv[1:3]
    comm = re.compile(sys.argv[3] if len(sys.argv) > 3 else '')
    samples, labels, names, files = parse(path)
    entries = {}
    cut = collections.Counter()
    total = reached = elsewhere = kernel_only = frames = 0

    def is_root(name):
        if ROOTS.match(name):
            return True
        match = re.match(r'^(.*)\+0x([0-9a-f]+)$', name)
        if not match:
            return False
        file, at = match[1], int(match[2], 16)
        if file.startswith('libc.so'):
            return True
        if file not in entries:
            entries[file] = entry_of(files.get(file, ''))
        return entries[file] is not None and 0 <= at - entries[file] < 64

    for (values, ids), label in zip(samples, labels):
        if not comm.search(label.get('comm', '')) and not comm.search(label.get('thread', '')):
            continue
        stack = [n.split(' :')[0] for i in ids for n in names.get(i, ['?'])]
        if KERNEL.match(stack[-1]):
            kernel_only += values[0]
            continue
        total += values[0]
        frames += values[0] * len(stack)
        if is_root(stack[-1]):
            reached += values[0]
        elif stack[-1] == OTHER:
            elsewhere += values[0]
        else:
            leaf = stack[0].split('+')[0] if '+0x' in stack[0] else stack[0]
            root = stack[-1]
            cut[f'{root} in {leaf}' if root[0] == '[' else f'root {root}'] += values[0]
    share = 100 * reached / max(total, 1)
    print(f'figure: {what}: {total} stacks of {frames / max(total, 1):.0f} frames, '
          f'{share:.2f}% reach their root'
          + (f', {100 * elsewhere / total:.2f}% go on on another stack' if elsewhere else '')
          + (f'; cut: {cut.most_common(1)[0][0]}' if cut else ''))
    for reason, n in cut.most_common(8):
        print(f'    {n:5} {reason}')
    print(f'total={total} reached={reached} elsewhere={elsewhere} kernel_only={kernel_only}')


if __name__ == '__main__':
    main()
