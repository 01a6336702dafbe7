#!/usr/bin/env python3
"""Fails the Nth call of each kind, for every N, while a snapshot is taken: by a scribe
that knows the modules already, and by one that has just been started for it.

    fail-calls.py SOCKET FAIL_FILE PID MOST PRELOAD COMMAND...

COMMAND is the daemon; it runs with PRELOAD, tests/fixtures/fail-calls.c. After each
failure the next snapshot has to work, keeper and engine are still the same processes,
and no process has more descriptors than before. MOST: as many N of each kind, spread
over all; 0: all of them, of a new scribe 600 of each kind, for it makes thousands and
is started for each.

What a scribe does before it waits for its first message is not counted: there it
compiles an expression, for which the C library (2.36) crashes if it lacks memory.

A new scribe reads files of programs by libdw and libelf, and these do crash where they
have no memory. That is what the scribe is a process of its own for: it is replaced,
and does not read that file again. For the next N to be the same as it was, the daemon
is then started again, too.
"""
import mmap
import os
import signal
import socket
import struct
import subprocess
import sys
import time

KINDS = ['malloc', 'open', 'write', 'fsync', 'ftruncate', 'linkat']
ROLES = {'engine': 1, 'scribe': 2, 'keeper': 3}
PARSERS = [b'libdw', b'libelf']
BENEATH = [b'fail-calls', b'libc.so', b'libgcc']
path, page_path = sys.argv[1:3]
pid, most, preload = int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
command = sys.argv[6:]
page = mmap.mmap(os.open(page_path, os.O_RDWR), 4096)


def varint(n):
    out = b''
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def packet(connection):
    data, fds, _, _ = socket.recv_fds(connection, 65536, 4)
    for fd in fds:
        os.close(fd)
    return data


def snapshot(send):
    """True: a file came. False: an error, or word that it is missing."""
    body = b'\x0a\x04heap\x10' + varint(pid) + b'\x40\x01' + (b'\x48\x01' if send else b'')
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as c:
        c.settimeout(30)
        c.connect(path)
        files = 0
        try:
            c.send(b'\x12' + varint(len(body)) + body)
        except BrokenPipeError:  # turned away
            return False
        while True:
            try:
                data = packet(c)
            except ConnectionResetError:
                return False
            if not data or data[0] >> 3 == 1:  # hung up, or an error
                return False
            files += data[0] >> 3 == 3
            if data[0] >> 3 == 2:
                return files == 1


def words(process, name):
    try:
        with open(f'/proc/{process}/{name}') as f:
            return f.read()
    except OSError:
        return ''


class Daemon:
    process = None

    def start(self):
        self.process = subprocess.Popen(command, env=dict(os.environ, LD_PRELOAD=preload,
                                                          FAIL_FILE=page_path))
        end = time.monotonic() + 30
        while not self.works():
            if time.monotonic() > end or self.process.poll() is not None:
                sys.exit('FAIL: the daemon does not start')
            time.sleep(0.02)
        for _ in range(3):
            assert snapshot(False) and snapshot(True)

    def works(self):
        try:
            return snapshot(False)
        except OSError:
            return False

    def stop(self):
        self.process.terminate()
        if self.process.wait() != 0:
            sys.exit(f'FAIL: the daemon ended with {self.process.returncode}')


daemon = Daemon()


def processes():
    """By role; the starter is the keeper's child and the engine's parent. Without a
    keeper the daemon is its engine."""
    found, todo = {}, [daemon.process.pid]
    while todo:
        process = todo.pop()
        line = words(process, 'cmdline')
        todo += map(int, words(process, f'task/{process}/children').split())
        role = 'scribe' if '--scribe' in line else 'engine' if '--engine' in line else (
            'keeper' if process == daemon.process.pid else 'starter')
        if line:
            found[role] = process
    if 'engine' not in found:
        found['engine'] = found.pop('keeper')
    return found


def descriptors(process):
    """Files of programs are opened and closed as the machine goes on; these are not."""
    found = []
    for fd in os.listdir(f'/proc/{process}/fd'):
        try:
            to = os.readlink(f'/proc/{process}/fd/{fd}')
        except OSError:
            continue
        if not to.startswith('/') or to.startswith(('/memfd:profd', state)):
            found.append(to)
    return found


state = os.path.join(os.path.dirname(os.path.dirname(path)), 'state')


class Base:
    """Who there is, and how many descriptors they have, while nothing is under way."""

    def __init__(self):
        self.take()

    def take(self):
        self.processes = processes()
        self.n = {role: len(descriptors(process)) for role, process in self.processes.items()}

    def restarted(self):
        """Whether another scribe is there than was; it is taken to begin as this one did."""
        now, before = processes().get('scribe'), self.processes.get('scribe')
        self.processes['scribe'] = now
        return now != before

    def more(self):
        return {role: len(descriptors(process)) - self.n[role]
                for role, process in self.processes.items() if process}

    def settled(self):
        """Whoever has answered may still be about to close something."""
        more, end = self.more(), time.monotonic() + 10
        while max(more.values()) > 0 and time.monotonic() < end:
            time.sleep(0.002)
            more = self.more()
        return more

    def check(self, what):
        for role, process in processes().items():
            if role != 'scribe' and self.processes[role] != process:
                sys.exit(f'FAIL: the {role} died: {what}')
        if processes().keys() | {'scribe'} != self.processes.keys() | {'scribe'}:
            sys.exit(f'FAIL: somebody died: {what}')
        # the first may be the one that finds its scribe gone
        if not snapshot(False) and not snapshot(False):
            sys.exit(f'FAIL: the next snapshots fail: {what}')
        restarted = self.restarted()
        more = self.settled()
        if max(more.values()) > 0:
            worst = max(more, key=more.get)
            sys.exit(f'FAIL: so many descriptors more: {more}: {what}\n'
                     f'the {worst} has {sorted(descriptors(self.processes[worst]))}')
        return restarted


def fail(role, kind, at, send):
    """Returns whether so many calls were made, and a file came."""
    struct.pack_into('6I', page, 0, ROLES[role], KINDS.index(kind), 0, 0, 0, 0)
    struct.pack_into('I', page, 8, at)
    try:
        came = snapshot(send)
    except TimeoutError:
        sys.exit(f'FAIL: no answer: {kind} number {at} in the {role}')
    struct.pack_into('I', page, 8, 0)
    return struct.unpack_from('I', page, 16)[0] == 1, came


def end_scribe():
    scribe = processes().get('scribe')
    if scribe:
        os.kill(scribe, signal.SIGKILL)
        while 'scribe' in processes():
            time.sleep(0.002)


def calls_of(role, kind, send):
    fail(role, kind, 2**32 - 1, send)
    return struct.unpack_from('I', page, 12)[0]


def chosen(n, role, new):
    """Which N of so many."""
    few = most or (600 if new else n)
    if n <= few:
        return range(1, n + 1)
    some = {1 + i * (n - 1) // (few - 1) for i in range(few)}
    if role == 'engine':  # the answer comes last
        some |= set(range(n - few, n + 1))
    return sorted(some)


class Counts:
    lost = restarts = parsers = 0
    failed_in = dict.fromkeys((*ROLES, 'new scribe'), 0)


def crashed(new, what):
    """Whether the scribe did, in a library that reads files."""
    if not struct.unpack_from('I', page, 20)[0]:
        return False
    files = page[64:1088].split(b'\0')[0].split()
    # the innermost that is neither the handler itself nor a function it gave its memory to
    culprit = next((f for f in files if not any(name in f for name in BENEATH)), b'?')
    if not new or not any(name in culprit for name in PARSERS):
        sys.exit(f'FAIL: a crash in {b" of ".join(files).decode()}: {what}')
    print(f'crashed in {culprit.decode()}: {what}', file=sys.stderr, flush=True)
    Counts.parsers += 1
    return True


def fail_every(role, kind, send, new, base):
    """@new: with a scribe that has just begun."""
    if new:
        end_scribe()
    n, who = calls_of(role, kind, send), 'new scribe' if new else role
    print(f'{n} calls of {kind} in the {who}', file=sys.stderr, flush=True)
    for at in chosen(n, role, new):
        what = f'{kind} number {at} of {n} in the {who}'
        if new:
            end_scribe()
        failed, came = fail(role, kind, at, send)
        died = crashed(new, what)
        Counts.failed_in[who] += failed
        Counts.lost += failed and not came
        ended = base.check(what)
        Counts.restarts += ended and not new
        if died or (new and ended and failed):
            daemon.stop()
            daemon.start()
            base.take()


def main():
    daemon.start()
    base = Base()
    for kind in KINDS:
        for role in ROLES:
            for send in (False, True):
                if role in base.processes:
                    fail_every(role, kind, send, False, base)
        fail_every('scribe', kind, False, True, base)
    more = max(0, *base.settled().values())
    daemon.stop()
    print(f'calls={sum(Counts.failed_in.values())} lost={Counts.lost} '
          f'restarts={Counts.restarts} parsers={Counts.parsers} descriptors={more} '
          'in="' + ', '.join(f'{n} in the {who}' for who, n in Counts.failed_in.items()) + '"')


try:
    main()
finally:
    if daemon.process and daemon.process.poll() is None:
        daemon.process.terminate()
        daemon.process.wait()
