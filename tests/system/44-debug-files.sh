#!/bin/bash
# Proves that debug information is found wherever it may be, and taken only if it is the
# right one. Programs that spin in a function of their own, each with its debug
# information elsewhere: by build-id, by debuglink (beside, in .debug, below the debug
# directory), in a root of its own, shared by dwz, packed (.gnu_debugdata),
# compressed, split, in DWARF 4. And programs whose debug file must not be used: another
# build's at the right path, one with another checksum, a debuglink that leads to /etc/shadow,
# through a symbolic link, or to a file that somebody else owns: refused and counted.
. "$(dirname "$0")/../lib.sh"
need_root
. "$root/tests/debug-lib.sh"
no_id=-Wl,--build-id=none
mkdir -p "$T/bin/.debug" "$T/debug/.dwz/here" "$T/debug$T/bin" "$T/root/usr/lib/debug"

build byid
debug_of byid "$(by_id "$T/debug" "$T/full/byid")"
build beside $no_id
debug_of beside "$T/bin/beside.debug"
link_to beside "$T/bin/beside.debug"
build hidden $no_id
debug_of hidden "$T/bin/.debug/hidden.debug"
link_to hidden "$T/bin/.debug/hidden.debug"
build below
debug_of below "$T/debug$T/bin/below.debug"
link_to below "$T/debug$T/bin/below.debug"
# Types enough that some are worth sharing, and a name, which is a string in the shared file.
for name in shared_a shared_b; do
	build $name -include map -include string -fno-eliminate-unused-debug-types \
		-UINNER -DINNER=inner_shared_name
done
for name in shared_a shared_b; do debug_of $name "$T/full/$name.debug"; done
dwz -m "$T/debug/.dwz/here/shared.debug" -M "$T/debug/.dwz/here/shared.debug" \
	"$T/full/shared_a.debug" "$T/full/shared_b.debug" || fail "dwz"
for name in shared_a shared_b; do
	readelf -SW "$T/full/$name.debug" | grep gnu_debugaltlink >/dev/null || fail "dwz shared nothing"
	mv "$T/full/$name.debug" "$(by_id "$T/debug" "$T/full/$name")"
done
build packed
objcopy --compress-debug-sections=zlib-gabi "$T/full/packed" "$T/bin/packed"
build rooted -static
debug_of rooted "$(by_id "$T/root/usr/lib/debug" "$T/full/rooted")"
mv "$T/bin/rooted" "$T/root/rooted"
build four -gdwarf-4
cp "$T/full/four" "$T/bin/four"
inlined=(byid beside hidden below packed four)

# Names alone, and names with lines.
build mini
nm --defined-only -f posix "$T/full/mini" | awk '$2 ~ /[tT]/ {print $1}' >"$T/keep"
objcopy -S --remove-section .comment --keep-symbols="$T/keep" "$T/full/mini" "$T/mini"
xz "$T/mini"
objcopy --add-section .gnu_debugdata="$T/mini.xz" "$T/bin/mini"
build split -gsplit-dwarf -gdwarf-5
cp "$T/full/split" "$T/bin/split"
find "$T/full" -name '*.dwo' -delete

build wrong
debug_of byid "$(by_id "$T/debug" "$T/full/wrong")"
build checksum $no_id
debug_of checksum "$T/bin/checksum.debug"
link_to checksum "$T/bin/checksum.debug"
printf x >>"$T/bin/checksum.debug"
build shadow $no_id
crafted_link shadow ../../../../../../../../etc/shadow
build symlink $no_id
debug_of symlink "$T/full/symlink.debug"
link_to symlink "$T/full/symlink.debug"
ln -s "$T/full/symlink.debug" "$T/bin/symlink.debug"
build theirs $no_id
debug_of theirs "$T/bin/theirs.debug"
link_to theirs "$T/bin/theirs.debug"
chown 65534 "$T/bin/theirs.debug"
bad=(wrong checksum shadow symlink theirs)

start_profd --debug-dir "$T/debug"
spin "${inlined[@]}" shared_a shared_b mini split "${bad[@]}"
chroot "$T/root" /rooted &
own_pids+=($!)
spinners+=($!)
profile_spinners
valid "${files[@]}"
pprof -top -nodecount 1000000 -nodefraction 0 "${files[0]}" >"$T/top" 2>/dev/null
named "${inlined[@]}" rooted shared_name
for name in mini split shared_a shared_b; do
	grep -q " spin::outer_$name" "$T/top" || { cat "$T/top"; fail "$name: not named"; }
done
pprof -list outer_split "${files[0]}" 2>/dev/null | grep 'i < 1000' >/dev/null || fail "split: no lines"
nameless "${bad[@]}"
refused=$(counter debug_files_refused)
is "$refused >= ${#bad[@]}" || fail "$refused refused"
is "$(counter scribe_restarts) == 0" || fail "a scribe died"
figure "inlined calls out of 9 kinds of debug files; $refused of ${#bad[@]} wrong ones refused"
