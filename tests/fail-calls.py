#!/usr/bin/env python3
"""Fails the Nth call of each kind, for every N, while a snapshot is taken.

    fail-calls.py SOCKET FAIL_FILE PID DAEMON_PID [MOST]

The daemon runs with tests/fixtures/fail-calls.c preloaded. After each failure the
next snapshot has to work, the daemon is still the same process, and it has no
more descriptors than before. MOST: as many N of each kind, spread over all; 0: all
of them.
"""
import mmap
import os
import socket
import struct
import sys

KINDS = ['malloc', 'open', 'write', 'fsync', 'ftruncate', 'linkat']
ROLES = {'engine': 1, 'scribe': 2}
path, page_path, pid, daemon, most = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(
    sys.argv[5] if len(sys.argv) > 5 else 0)
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


def descriptors():
    """Files of programs are opened and closed as the machine goes on; these are not."""
    n = 0
    for fd in os.listdir(f'/proc/{daemon}/fd'):
        try:
            n += not os.readlink(f'/proc/{daemon}/fd/{fd}').startswith('/')
        except OSError:
            pass
    return n


def scribe():
    with open(f'/proc/{daemon}/task/{daemon}/children') as f:
        for child in f.read().split():
            with open(f'/proc/{child}/cmdline') as line:
                if '--scribe' in line.read():
                    return child
    return None


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


def check(what, base):
    if not os.path.exists(f'/proc/{daemon}'):
        sys.exit(f'FAIL: the daemon died: {what}')
    for _ in range(2):
        if snapshot(False):
            break
    else:
        sys.exit(f'FAIL: the next snapshots fail: {what}')
    if descriptors() > base + 1:
        sys.exit(f'FAIL: {descriptors()} descriptors, {base} before: {what}')


def calls_of(role, kind, send):
    fail(role, kind, 2**32 - 1, send)
    return struct.unpack_from('I', page, 12)[0]


def main():
    total = lost = restarts = 0
    for _ in range(3):
        assert snapshot(False) and snapshot(True)
    base = descriptors()
    for role in ROLES:
        for kind in KINDS:
            for send in (False, True):
                n = calls_of(role, kind, send)
                every = range(1, n + 1)
                if most and n > most:
                    every = {1 + i * (n - 1) // (most - 1) for i in range(most)}
                    if role == 'engine':  # the answer comes last
                        every |= set(range(n - most, n + 1))
                every = sorted(every)
                for at in every:
                    before = scribe()
                    failed, came = fail(role, kind, at, send)
                    total += failed
                    restarts += scribe() != before
                    if struct.unpack_from('I', page, 20)[0]:
                        sys.exit(f'FAIL: a crash: {kind} number {at} of {n} in the {role}')
                    lost += failed and not came
                    check(f'{kind} number {at} of {n} in the {role}', base)
    print(f'calls={total} lost={lost} restarts={restarts} descriptors={descriptors() - base}')


main()
