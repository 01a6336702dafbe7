#!/bin/bash
# Proves that the client changes nothing for CPython's own tests: each test has
# the same outcome bare and under the client with a daemon at work.
. "$(dirname "$0")/../lib.sh"

[ -e /usr/lib/python3.11/test/test_json ] || skip "libpython3.11-testsuite is not installed"
suites="test_json test_threading test_subprocess test_multiprocessing_fork"

# suite HOW [NAME=VALUE]: both at once, since they sleep for the most part.
suite()
{
	mkdir "$T/$1"
	(cd "$T/$1" && env PYTHONMALLOC=malloc "${@:2}" timeout 800 /usr/bin/python3 -m test \
		--junit-xml "$T/$1.xml" $suites >"$T/$1.log" 2>&1)
}

start_profd
bare=0 client_status=0
suite bare & bare_pid=$!
own_pids+=("$bare_pid")
suite client LD_PRELOAD="$client" & client_pid=$!
own_pids+=("$client_pid")
wait "$bare_pid" || bare=$?
wait "$client_pid" || client_status=$?
[ "$bare" = "$client_status" ] || { tail -20 "$T/client.log" >&2; fail "exit status $client_status, bare $bare"; }

python3 - "$T/bare.xml" "$T/client.xml" <<'END' || fail "the outcomes differ"
import collections, sys, xml.etree.ElementTree as tree
def outcomes(path):
    found = {}
    for case in tree.parse(path).iter('testcase'):
        bad = [c.tag for c in case if c.tag in ('failure', 'error', 'skipped')]
        found[case.get('name')] = bad[0] if bad else case.get('result', 'completed')
    return found
bare, client = map(outcomes, sys.argv[1:])
for name in sorted(set(bare) | set(client)):
    if bare.get(name) != client.get(name):
        print(f'{name}: bare {bare.get(name)}, client {client.get(name)}', file=sys.stderr)
print('figure: CPython tests:', dict(collections.Counter(client.values())), 'the same as bare')
sys.exit(bare != client or len(bare) < 300)
END
