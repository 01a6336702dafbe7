#!/bin/bash
# Proves that what could not be named is named later, by `profctl symbolize`, without a
# daemon, without root, without the program: from the debug file alone, found by
# build-id, or from the program in another place. Never from another build of it, at the
# very path or in the debug directory. And that nothing is half written.
. "$(dirname "$0")/../lib.sh"
need_root
for_everyone
. "$root/tests/debug-lib.sh"
chmod 755 "$T" "$T/bin" "$T/debug" "$T/full"

build late
build other
"$profctl" run -F 499 --cpu "$T/bare.pb.gz" -- timeout 2 "$T/bin/late" || true
mkdir -m 777 "$T/work"
report() { go tool pprof -top -nodecount 1000000 -nodefraction 0 "$1" >"$T/top" 2>/dev/null; }
report "$T/bare.pb.gz"
nameless late
chmod 644 "$T/bare.pb.gz"

nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups env HOME="$T/work")
symbolize() { "${nobody[@]}" "$profctl" symbolize "$@" >"$T/said" 2>"$T/stderr" || { cat "$T/stderr"; fail "symbolize $*"; }; }

echo "- another build at the path, and another's debug file at the right one"
rm "$T/bin/late"
cp "$T/full/other" "$T/bin/late"
debug_of other "$(by_id "$T/debug" "$T/full/late")"
symbolize --debug-dir "$T/debug" -o "$T/work/wrong.pb.gz" "$T/bare.pb.gz"
report "$T/work/wrong.pb.gz"
nameless late
! grep -q er_other "$T/top" || fail "names of another build"
rm "$T/bin/late"

echo "- the debug file alone"
debug_of late "$(by_id "$T/debug" "$T/full/late")"
before=$(sha256sum <"$T/bare.pb.gz")
symbolize --debug-dir "$T/debug" -o "$T/work/debug.pb.gz" "$T/bare.pb.gz"
[ "$(sha256sum <"$T/bare.pb.gz")" = "$before" ] || fail "-o changed the file itself"
valid "$T/work/debug.pb.gz"
report "$T/work/debug.pb.gz"
named late
figure "$(cat "$T/said" | sed 's/.*: //')"

echo "- the program in another place, into the file itself"
mkdir -m 755 "$T/programs"
cp "$T/full/late" "$T/programs"
cp "$T/bare.pb.gz" "$T/work/own.pb.gz"
chown 65534 "$T/work/own.pb.gz"
symbolize --debug-dir "$T/programs" "$T/work/own.pb.gz"
valid "$T/work/own.pb.gz"
report "$T/work/own.pb.gz"
named late
# What has names keeps them.
symbolize "$T/work/own.pb.gz"
report "$T/work/own.pb.gz"
named late

echo "- errors"
status_is 1 "$profctl" symbolize "$T/none.pb.gz"
one_line 'none.pb.gz: No such file'
cp "$T/said" "$T/garbage"
status_is 1 "$profctl" symbolize "$T/garbage"
one_line 'garbage: not a profile'
cmp -s "$T/said" "$T/garbage" || fail "what is no profile was written to"
status_is 2 "$profctl" symbolize
status_is 2 "$profctl" symbolize --debug-dir "$T/nowhere" "$T/bare.pb.gz"
status_is 1 "$profctl" symbolize -o "$T/nowhere/out" "$T/bare.pb.gz"
one_line 'nowhere'
