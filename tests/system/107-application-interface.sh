#!/bin/bash
# Proves include/profd.h: a C and a C++ program, linked with nothing of ours, write their
# own heap and CPU profiles to files and descriptors, from one thread and from many, and
# take snapshots; without the client, or without profd, each call says so, leaves no
# file behind, and the program runs alike. A descriptor that is closed under us is
# not written to when it has become another file's, and a child cannot end its
# parent's profile. A profd that hangs is waited for as long as is documented.
. "$(dirname "$0")/../lib.sh"

says() { grep -q "^$1: $2\$" "$3" || { cat "$3" >&2; fail "$1 is not: $2"; }; }
for kind in bare alone with with-cxx; do mkdir "$T/$kind"; done
! ldd "$fixtures/api-c" | grep profd >/dev/null || fail "it is linked with something of ours"

"$fixtures/api-c" "$T/bare" >"$T/said" || fail "bare: status $?"
for what in heap file snapshot threads start stop closed; do says "$what" 'Function not implemented' "$T/said"; done
[ ! -e "$T/bare/file" ] && [ ! -s "$T/bare/heap" ] && [ ! -s "$T/bare/cpu" ] || fail "bare: it wrote something"

LD_PRELOAD=$client "$fixtures/api-c" "$T/alone" >"$T/said" || fail "without profd: status $?"
for what in heap file snapshot threads start closed; do says "$what" 'No such file or directory' "$T/said"; done
[ ! -e "$T/alone/file" ] && [ ! -s "$T/alone/heap" ] || fail "without profd: it wrote something"

# A profd that hangs, whose queue of connections is full by the client's first one.
cat >"$T/hung.py" <<'END'
import signal, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.bind(sys.argv[1])
s.listen(0)
print('ready', flush=True)
signal.pause()
END
python3 "$T/hung.py" "$T/hung.sock" >"$T/hung" &
own_pids+=($!)
wait_for 20 test -s "$T/hung"
PROFD_SOCKET=$T/hung.sock LD_PRELOAD=$client timeout 90 python3 -c \
	'import ctypes, errno; print(errno.errorcode[-ctypes.CDLL(None).profd_client_heap(1, 0)])' \
	>"$T/hung.said" 2>&1 &
hung=$!
own_pids+=("$hung")

# A sample by chance, on a busy machine: 1,000 have a deviation of 3%.
start_profd --frequency 997
LD_PRELOAD=$client "$fixtures/api-c" "$T/with" >"$T/said" || fail "with profd: status $?"
for what in heap file snapshot threads start stop 'stopped by a child' 'and by its parent'; do says "$what" ok "$T/said"; done
says 'bad type' 'Invalid argument' "$T/said"
says 'bad descriptor' 'Bad file descriptor' "$T/said"
says 'not for writing' 'Bad file descriptor' "$T/said"
says 'stop before start' 'Invalid argument' "$T/said"
says 'start again' 'Device or resource busy' "$T/said"
says closed 'Bad file descriptor' "$T/said"
says 'of others' '0 bytes' "$T/said"
valid "$T/with/heap" "$T/with/file" "$T/with/cpu" "$T"/with/threads-* "$T/with/parent" "$T"/state/heap_api-c_*.pb.gz
for file in heap file threads-3; do
	eval "$(raw "$T/with/$file" inuse_space keep='^keep$')"
	is "abs($keep / 2**26 - 1) < 0.01" || fail "$file: keep has $keep bytes"
done
pprof -raw "$T/with/heap" | grep '^Comment: trim ' >/dev/null || fail "heap: no trim"
! pprof -raw "$T/with/file" | grep '^Comment: trim ' >/dev/null || fail "file: a trim that nobody wanted"
eval "$(raw "$T/with/cpu" cpu burn='^burn$')"
is "abs($burn / 1.5e9 - 1) < 0.15 and $burn > 0.9 * $total" || fail "cpu: $burn ns in burn, of $total"
figure "1.5 s of CPU time between start and stop: $((burn / 1000000)) ms in the function, of $((total / 1000000))"

LD_PRELOAD=$client "$fixtures/api-cxx" "$T/with-cxx" >"$T/said" || fail "C++: status $?"
says heap ok "$T/said"
says cpu ok "$T/said"
valid "$T/with-cxx/heap" "$T/with-cxx/cpu"
eval "$(raw "$T/with-cxx/cpu" cpu burn='^burn')"
is "abs($burn / 1e9 - 1) < 0.15" || fail "C++, cpu: $burn ns"
"$fixtures/api-cxx" "$T/bare" >"$T/said" || fail "C++, bare: status $?"
says cpu 'Function not implemented' "$T/said"

wait "$hung" || fail "a profd that hangs: status $?"
grep -qx ETIMEDOUT "$T/hung.said" || { cat "$T/hung.said" >&2; fail "a profd that hangs"; }
