#!/usr/bin/env python3
"""Runs a program bare and with the client, in turns, and compares.

    turns.py [OPTION]... -- COMMAND...

    --rounds N          of each (7)
    --with NAME=VALUE   in the environment of the second of the two; may be repeated
    --both NAME=VALUE   in that of both
    --dir DIR           where it runs
    --produces PATH     a file below DIR that it writes: removed before, compared after
    --figure            it prints the figure itself, so that output is not compared
    --load COMMAND      it is a server: COMMAND waits until it answers, loads it and
                        prints "UNITS SECONDS", then what is compared; at its end the
                        server is told to end (SIGTERM). Figures are then those of a unit.

Prints one line of JSON: for "cpu" (user and system time of the program and its
children) and "wall" (for --figure: what it printed) the two medians and the ratio,
in seconds, and "same": whether exit status, output and files were.

A ratio is the median of the ratios of the rounds: two runs that follow each other
share what else the machine is doing at that time, which two medians do not.
"""
import argparse
import hashlib
import json
import os
import shlex
import signal
import statistics
import subprocess
import sys
import tempfile
import time


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument('--rounds', type=int, default=7)
    parser.add_argument('--with', dest='second', action='append', default=[])
    parser.add_argument('--both', action='append', default=[])
    parser.add_argument('--dir', default='.')
    parser.add_argument('--produces', action='append', default=[])
    parser.add_argument('--figure', action='store_true')
    parser.add_argument('--load', type=shlex.split)
    parser.add_argument('command', nargs='+')
    return parser.parse_args()


def digest(how, output):
    """Of all that the program left: it has to be the same in every run."""
    h = hashlib.sha256(output)
    for path in how.produces:
        with open(os.path.join(how.dir, path), 'rb') as f:
            h.update(f.read())
    return h.hexdigest()


def load(how):
    """Returns (units, seconds, what is compared)."""
    done = subprocess.run(how.load, cwd=how.dir, stdout=subprocess.PIPE)
    if done.returncode != 0:
        sys.exit('turns.py: the load failed: ' + shlex.join(how.load))
    first, rest = done.stdout.split(b'\n', 1)
    units, seconds = first.split()
    return float(units), float(seconds), rest


def run(how, settings):
    """Returns (CPU seconds, wall seconds or the figure, what is compared)."""
    environment = dict(os.environ)
    environment.update(s.split('=', 1) for s in settings)
    for path in how.produces:
        if os.path.exists(os.path.join(how.dir, path)):
            os.unlink(os.path.join(how.dir, path))
    units, answers = 1, b''
    with tempfile.TemporaryFile() as out:
        start = time.monotonic()
        pid = subprocess.Popen(how.command, cwd=how.dir, env=environment,
                               stdin=subprocess.DEVNULL, stdout=out,
                               stderr=None if how.load else out).pid
        if how.load:
            try:
                units, wall, answers = load(how)
            finally:
                os.kill(pid, signal.SIGTERM)
        _, status, usage = os.wait4(pid, 0)
        if not how.load:
            wall = time.monotonic() - start
        out.seek(0)
        output = out.read()
    if how.figure:
        wall = float(output)
        output = b''
    cpu = (usage.ru_utime + usage.ru_stime) / units
    seen = digest(how, answers if how.load else output)
    return cpu, wall / units, (status, seen)


def summary(bare, second):
    return {'bare': statistics.median(bare), 'with': statistics.median(second),
            'ratio': statistics.median(b / a for a, b in zip(bare, second))}


def main():
    how = arguments()
    runs = ([], [])
    for _ in range(how.rounds):
        runs[0].append(run(how, how.both))
        runs[1].append(run(how, how.both + how.second))
    (cpu, wall, seen), (cpu_with, wall_with, seen_with) = (zip(*r) for r in runs)
    if os.waitstatus_to_exitcode(seen[0][0]) not in (0, -signal.SIGTERM if how.load else 0):
        sys.exit('turns.py: fails without the client, too: ' + shlex.join(how.command))
    print(json.dumps({'cpu': summary(cpu, cpu_with), 'wall': summary(wall, wall_with),
                      'same': len(set(seen + seen_with)) == 1}))


main()
