#!/bin/bash
# Proves that a program whose CPU time is sampled by its own timers keeps its signals:
# its own profiling by SIGPROF, handlers of every real-time signal, all of them set to
# their default or ignored, all of them blocked and waited for; that a thread that
# sleeps is not interrupted.
. "$(dirname "$0")/../lib.sh"
unset PROFD_SOCKET
cd "$T"

# under MODE ARGS..: $line is what it said; the profile's total is its CPU time.
under()
{
	timeout -k 1 300 "${before[@]}" "$profctl" run --event timers -F 499 --cpu "$T/cpu.pb.gz" -- \
		"$fixtures/timers" "$@" >"$T/out" 2>"$T/err" || { cat "$T/err" >&2; fail "$*: status $?"; }
	line=$(cat "$T/out")
	eval "$(raw "$T/cpu.pb.gz" cpu burn='^burn$')"
	is "abs($total / 1e9 / ${line##* } - 1) <= 0.1" || fail "$*: $total ns in the profile: $line"
	is "$burn >= 0.85 * $total" || fail "$*: only $burn of $total ns are known to be burn()'s"
	figure "$*: $line; $total ns in the profile, $burn in burn()"
}

before=()
under own
grep -q "^wrong 0 " <<<"$line" || fail "its own signals are not what they were"
profiled=$(sed 's/.*profiled \([0-9]*\).*/\1/' <<<"$line")
is "$profiled >= 20" || fail "its own profiler was called $profiled times in a second"
under blocked
[ "${line% cpu*}" = "sigwait 1 blocked 1" ] || fail "blocked signals: $line"
under sleep
[ "${line% cpu*}" = "interrupted 0" ] || fail "a thread that slept was interrupted: $line"

# A program that is started with all signals blocked is sampled as any other.
before=(python3 -c 'import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
os.execv(sys.argv[1], sys.argv[1:])')
under burn 1 300

# And python3: its own profiling timer, all signals blocked, all set to their default.
"$profctl" run --event timers -F 499 --cpu "$T/cpu.pb.gz" -- /usr/bin/python3 -c '
import signal, time, os
n = 0
def count(*_):
    global n
    n += 1
signal.signal(signal.SIGPROF, count)
signal.setitimer(signal.ITIMER_PROF, 0.01, 0.01)
for i in range(10000000): pass
signal.setitimer(signal.ITIMER_PROF, 0)
assert n >= 5, n
old = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
assert signal.SIGUSR2 in signal.pthread_sigmask(signal.SIG_BLOCK, [])
os.kill(os.getpid(), signal.SIGUSR2)
assert signal.sigtimedwait(signal.valid_signals(), 10).si_signo == signal.SIGUSR2
for i in range(3000000): pass
assert signal.sigtimedwait(signal.valid_signals(), 0.05) is None
signal.pthread_sigmask(signal.SIG_SETMASK, old)
if os.fork() == 0:
    for s in signal.valid_signals():
        if s not in (signal.SIGKILL, signal.SIGSTOP): signal.signal(s, signal.SIG_DFL)
    for i in range(10000000): pass
    os._exit(7)
assert os.waitstatus_to_exitcode(os.wait()[1]) == 7
print("python ok")' >"$T/out" 2>"$T/err" || { cat "$T/err" >&2; fail "python3"; }
grep -q "python ok" "$T/out" || fail "python3"
