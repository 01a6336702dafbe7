#!/usr/bin/env python3
"""Kills processes of profd at moments of no kind, while it is asked for profiles.

    kill-roles.py PROFCTL SOCKET PID KILLS DIR [ROLE...]

One role after the other, KILLS times in all. After each the service has to be whole
again: it answers, somebody else has the role, and the target PID is attached. After
every fourth a heap profile of PID is put into DIR, as NNNN.pb.gz. Prints a line a kill:
the role, and how many milliseconds it took. Whoever starts a new daemon is somebody
else: the service manager, or the test.
"""
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time

profctl, path = sys.argv[1:3]
pid, kills, directory = int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
roles = sys.argv[6:] or ['keeper', 'starter', 'engine', 'scribe']
BACK_SECONDS = 60


def say(*arguments):
    """What profctl says as JSON; None: nothing."""
    try:
        done = subprocess.run([profctl, '--socket', path, '--json', *arguments],
                              capture_output=True, timeout=20)
        return json.loads(done.stdout) if done.returncode == 0 else None
    except (subprocess.TimeoutExpired, json.JSONDecodeError):
        return None


def processes():
    status = say('status')
    return status['processes'] if status else {}


def is_attached():
    listed = say('list')
    return bool(listed) and any(t['pid'] == pid and t['attached'] for t in listed['targets'])


def ask_for_ever():
    """Load: profiles without end, from whoever is there."""
    v, n = b'', pid
    while n > 127:
        v += bytes([n & 127 | 128])
        n >>= 7
    body = b'\x0a\x04heap\x10' + v + bytes([n])
    while True:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as c:
                c.settimeout(10)
                c.connect(path)
                c.send(b'\x12' + bytes([len(body)]) + body)
                c.recv(65536)
                time.sleep(0.01)
        except OSError:
            time.sleep(0.02)


def wait_whole(role=None, but=None):
    """Until there is a process of @role that is not @but."""
    end = time.monotonic() + BACK_SECONDS
    while time.monotonic() < end:
        now = processes()
        if now and (not role or now.get(role) not in (None, 0, but)) and is_attached():
            return now
    sys.exit(f'FAIL: not back {BACK_SECONDS} s after the death of the {role}')


def keep_profile(number):
    for _ in range(10):
        done = subprocess.run([profctl, '--socket', path, 'snapshot', '--pid', str(pid),
                               '--no-trim', '--output', directory],
                              capture_output=True, text=True)
        if done.returncode == 0:
            os.rename(done.stdout.strip(), f'{directory}/{number:04}.pb.gz')
            return
        wait_whole()
    sys.exit(f'FAIL: no snapshot: {done.stderr}')


def kill(role, number):
    victim = wait_whole(role)[role]
    time.sleep(random.random() * 0.4)
    try:
        os.kill(victim, signal.SIGKILL)
    except ProcessLookupError:
        return
    start = time.monotonic()
    wait_whole(role, victim)
    print(role, int((time.monotonic() - start) * 1000), flush=True)
    if number % 4 == 0:
        keep_profile(number)


threading.Thread(target=ask_for_ever, daemon=True).start()
for i in range(kills):
    kill(roles[i % len(roles)], i)
