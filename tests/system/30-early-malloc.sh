#!/bin/bash
# Proves that allocations before the program's main, before the C library is up, and
# before the client itself has been relocated neither recurse nor crash.
. "$(dirname "$0")/../fixtures/hazard-lib.sh"

export PROFD_RATE=1
as_bare "$fixtures/hazard-early"
library=$fixtures/hazard-early-library
LD_PRELOAD=$library "$fixtures/hazard-early" >"$T/bare"
for order in "$client $library" "$library $client"; do
	LD_PRELOAD=$order "$fixtures/hazard-early" >"$T/under" || fail "status $? with LD_PRELOAD=$order"
	diff "$T/bare" "$T/under" || fail "another answer with LD_PRELOAD=$order"
done
# Bound at the first call, and all at the start; and with a trace of the loader's.
LD_BIND_NOW=1 LD_PRELOAD="$client $library" "$fixtures/hazard-early" >"$T/under" ||
	fail "status $? with LD_BIND_NOW"
diff "$T/bare" "$T/under" || fail "another answer with LD_BIND_NOW"
figure "early allocations: 4 orders of loading, none crashed"
