#!/usr/bin/env python3
"""trace.py FILE: checks a trace against the format's documented fields, and the slices of
each thread against one another; then prints, tab by tab,

    thread PID TID RUNNING-NS WAITING-NS READY-NS SAMPLES EXITS PROCESS THREAD
    waiting REASON SYSCALL FUNCTION COUNT
    sample FUNCTION COUNT
    in FUNCTION COUNT              samples with it anywhere in their stack
    snapshot TYPE PID
    lost EVENTS STACKS
    seconds DURATION
"""
import collections
import gzip
import json
import sys


def need(condition, *what):
    if not condition:
        sys.exit('trace.py: ' + ' '.join(map(str, what)))


def unique(pairs):
    need(len({k for k, _ in pairs}) == len(pairs), 'a key twice in', pairs)
    return dict(pairs)


def number(text):
    """Of microseconds: nanoseconds, exactly."""
    whole, fraction = text.split('.')
    need(len(fraction) == 3, 'not to the nanosecond:', text)
    return int(whole) * 1000 + int(fraction)


trace = json.loads(gzip.open(sys.argv[1], 'rb').read().decode('utf-8'), parse_float=number,
                   object_pairs_hook=unique)
need(trace['displayTimeUnit'] in ('ns', 'ms'), 'displayTimeUnit')
frames, other = trace['stackFrames'], trace['otherData']
duration = int(other['duration_ns'])
need(int(other['start_unix_ns']) > 0 and duration > 0, 'when', other)


def stack_of(leaf):
    names = []
    while leaf is not None:
        need(leaf in frames, 'no stack frame', leaf)
        need(len(names) < 1000, 'stack frames in a circle')
        names.append(frames[leaf]['name'])
        leaf = frames[leaf].get('parent')
    return names


Lane = lambda: {'open': None, 'last': 0, 'sums': collections.Counter(), 'samples': 0, 'exits': 0}
lanes = collections.defaultdict(Lane)
names = {'process_name': {}, 'thread_name': {}}
waiting, samples, within, snapshots = (collections.Counter() for _ in range(4))
for e in trace['traceEvents']:
    need(e['ph'] in 'BEiM' and isinstance(e['pid'], int) and isinstance(e['tid'], int), e)
    key, args = (e['pid'], e['tid']), e.get('args', {})
    if e['ph'] == 'M':
        need(set(args) == {'labels' if e['name'] == 'process_labels' else 'name'}, e)
        if e['name'] in names:
            names[e['name']][key[0] if e['name'] == 'process_name' else key] = args['name']
        continue
    lane, ts = lanes[key], e['ts']
    need(0 <= ts <= duration, 'outside the trace:', e)
    need(ts >= lane['last'], 'back in time:', e)
    lane['last'] = ts
    if 'sf' in e:
        need(args.get('stack', stack_of(e['sf'])) == stack_of(e['sf']), 'two stacks:', e)
    if e['ph'] == 'B':
        need(lane['open'] is None, 'overlaps:', e)
        need(e['name'] in ('running', 'waiting', 'ready'), e)
        lane['open'] = (e['name'], ts)
        if e['name'] == 'waiting':
            waiting[tuple(args.get(k, '-') for k in ('reason', 'syscall', 'function'))] += 1
    elif e['ph'] == 'E':
        need(lane['open'] is not None, 'ends what did not begin:', e)
        name, since = lane['open']
        lane['sums'][name] += ts - since
        lane['open'] = None
    else:
        need(e['s'] in 'gpt', e)
        if e['cat'] == 'sample':
            lane['samples'] += 1
            samples[e['name']] += 1
            within.update(set(stack_of(e.get('sf'))))
        elif e['cat'] == 'snapshot':
            snapshots[e['name'], e['pid']] += 1
        lane['exits'] += e['name'] == 'exit'


def tell(*fields):
    print('\t'.join(ascii(f)[1:-1] if isinstance(f, str) else str(f) for f in fields))


for (pid, tid), lane in sorted(lanes.items()):
    need(lane['open'] is None, 'does not end: ', pid, tid)
    if pid == 0:
        continue
    need(pid in names['process_name'] and (pid, tid) in names['thread_name'], 'no name:', pid, tid)
    tell('thread', pid, tid, *(lane['sums'][k] for k in ('running', 'waiting', 'ready')),
         lane['samples'], lane['exits'], names['process_name'][pid], names['thread_name'][pid, tid])
for (reason, syscall, function), n in waiting.most_common():
    tell('waiting', reason, syscall, function, n)
for name, n in samples.most_common():
    tell('sample', name, n)
for name, n in within.most_common():
    tell('in', name, n)
for (name, pid), n in snapshots.items():
    tell('snapshot', name, pid)
tell('lost', other['events_lost'], other['stacks_lost'])
tell('seconds', duration / 1e9)
