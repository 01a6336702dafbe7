#!/bin/bash
# Proves the truth of block and mutex profiles: ten threads that wait for one another
# from 1 us to 1 s, in mutexes, read-write locks, C11's mutexes, condition variables,
# semaphores, barriers and joins, are shown with the time that they measured
# themselves, by function, within 10%, whether every wait is taken or only one of the
# short ones now and then; the time that a lock made others wait stands at the function
# that held and released it; and each function has the threads that it created.
. "$(dirname "$0")/../lib.sh"

functions=()
while read -r f; do functions+=("$f=^^$f\$"); done < <(
	sed -n 's/.*show("[a-z]*", "\([a-z0-9_]*\)".*/\1/p' "$root/tests/fixtures/locks.c")
of() { grep -o " $1=[0-9]*" "$2" | cut -d= -f2; }

# compare KIND FILE TYPE FIELD: by function, with what the program said
compare()
{
	local kind f count ns true shown all=0 of_all=0

	raw "$2" "$3" "${functions[@]}" >"$T/shown"
	while read -r kind f count ns; do
		[ "$kind" = "$1" ] || continue
		true=$count
		[ "$4" = count ] || true=$ns
		shown=$(of "$f" "$T/shown")
		is "abs($shown - $true) <= 0.1 * $true" || fail "$1, $f, $3: $shown are shown, $true are true"
		all=$((all + shown)) of_all=$((of_all + true))
	done <"$T/truth"
	[ "$of_all" -gt 0 ] || fail "$1: nothing was compared"
	figure "$1, $3: $all are shown, $of_all are true ($(python3 -c "print(f'{100 * $all / $of_all - 100:+.2f}')")%)"
}

for rate in 1 20000; do
	PROFD_BLOCK=$rate "$profctl" run --block "$T/block.pb.gz" --mutex "$T/mutex.pb.gz" \
		-- "$fixtures/locks" truth >"$T/truth" 2>"$T/stderr" || { cat "$T/stderr"; fail "status $?"; }
	valid "$T/block.pb.gz"
	valid "$T/mutex.pb.gz"
	figure "PROFD_BLOCK=$rate:"
	compare block "$T/block.pb.gz" delay ns
	compare mutex "$T/mutex.pb.gz" delay ns
	pprof -raw "$T/block.pb.gz" >"$T/raw"
	grep -q 'contentions/count delay/nanoseconds' "$T/raw" || fail "the types"
	[ "$rate" -gt 1 ] || {
		# what nobody else can end early: every wait is one
		raw "$T/block.pb.gz" contentions "${functions[@]}" >"$T/shown"
		for f in wait_cond wait_clock wait_cnd wait_sem; do
			true=$(awk -v f=$f '$2 == f { print $3 }' "$T/truth")
			[ "$(of $f "$T/shown")" = "$true" ] || fail "$f: $(of $f "$T/shown") waits of $true"
		done
	}
done

# A program that does not wait has a profile, too, with its types.
"$profctl" run --block "$T/empty.pb.gz" --mutex "$T/none.pb.gz" -- /bin/true 2>"$T/stderr" || fail "status $?"
for file in "$T/empty.pb.gz" "$T/none.pb.gz"; do
	pprof -raw "$file" >"$T/raw"
	grep -q 'contentions/count delay/nanoseconds' "$T/raw" || { cat "$T/stderr"; fail "$file: the types"; }
done
