#!/bin/bash
# How right CPU profiles are: the figures of the tests that measure it, as rows. They
# are asserted there, with bounds that allow for chance; here they are shown.
. "$(dirname "$0")/lib.sh"

# figures TEST GOAL: runs the test and takes each of its figures for a row.
figures()
{
	local line status=0

	bash "$root"/tests/system/"$1"-*.sh >"$T/figures" 2>&1 || status=$?
	case $status in
	0) ;;
	77) row "$1: $(tail -1 "$T/figures")" "" "" skipped "$2"; return ;;
	*) tail -5 "$T/figures" >&2; fail "test $1 failed" ;;
	esac
	while read -r line; do
		row "$1: ${line%%: *}" "" "" "${line#*: }" "$2"
	done < <(sed -n 's/^figure: //p' "$T/figures")
}

heading "How right CPU profiles are"
figures 03 "within 3 points"
figures 73 "within 2% of rusage"
figures 80 ">= 99% reach their root"
figures 82 "within 2 points of perf record"
figures 86 ">= 98% with symbols"
start_profd
end_of_part
