#!/bin/bash
# Proves the heap's truth on a known live set: a program reads a directory of a
# million files into memory, sorts and walks it. Profiles at the first and at the
# last visit show the same live bytes, in the function that read the names, within
# three standard deviations of what the program asked for (a right program misses
# that once in 370 runs; one that did is run once more, and has to hit).
#
# DIRWALK_FILES: fewer files, for a try by hand.

# The files live in a tmpfs that only this test's mount namespace has.
if [ "$(id -u)" = 0 ] && [ -z "${DIRWALK_INSIDE:-}" ]; then
	DIRWALK_INSIDE=1 exec "$(dirname "$0")/../own-mounts" bash "$0"
fi
. "$(dirname "$0")/../lib.sh"
n=${DIRWALK_FILES:-1000000}
mkdir "$T/files" "$T/out"
if [ -n "${DIRWALK_INSIDE:-}" ]; then
	mount -t tmpfs -o "nr_inodes=$((n + 1000)),mode=755" files "$T/files"
	at_exit+=("umount '$T/files'")
fi
"$fixtures/dirwalk" --create "$n" "$T/files"

start_profd
# The command must not be profiled itself: LD_PRELOAD is inherited.
cat >"$T/ask" <<END
#!/bin/sh
unset LD_PRELOAD
exec "$profctl" snapshot --pid "\$DIRWALK_PID" --output "$T/out" >>"$T/files.list"
END
chmod +x "$T/ask"
walk()
{
	: >"$T/files.list"
	PROFD_RATE=524288 LD_PRELOAD=$client "$fixtures/dirwalk" "$T/files" "$T/ask" >"$T/truth" ||
		fail "dirwalk: $(cat "$T/truth")"
	mapfile -t files <"$T/files.list"
	[ ${#files[@]} = 2 ] || fail "two visits gave ${#files[@]} files"
	valid "${files[@]}"

	read -r _ truth _ objects _ sigma <"$T/truth"
	[ "$objects" = $((n + 1)) ] || fail "$objects objects, not $((n + 1))"
	eval "$(raw "${files[0]}" inuse_space names=read_names | sed 's/\([a-z]*\)=/first_\1=/g')"
	eval "$(raw "${files[1]}" inuse_space names=read_names | sed 's/\([a-z]*\)=/last_\1=/g')"
	figure "$(python3 -c "
f, l, fn, t, s = $first_total, $last_total, $first_names, $truth, $sigma
print(f'live at the first visit {f:,} bytes, at the last {l:,}; {100 * fn / f:.1f}% in read_names; '
      f'asked for {t:,}: {(fn - t) / s:+.2f} standard deviations')")"
	[ "$first_total" = "$last_total" ] || fail "live bytes differ: $first_total, $last_total"
	[ "$first_names" = "$last_names" ] || fail "read_names differs: $first_names, $last_names"
	is "$first_names >= 0.95 * $first_total" || fail "less than 95% in read_names"
	is "abs($first_names - $truth) <= 3 * $sigma"
}
walk || { echo "once more"; walk; } || fail "more than 3 standard deviations off, twice"
