#!/bin/bash
# Proves that all names are in the file: with the programs moved away, `go tool pprof
# -top` marks the inlined callee, and -list annotates the right lines of C++ and Rust
# sources (both of Rust's manglings): of the inlined function those where the time goes,
# of the one around it that of the call. Go's functions have their names and lines,
# stripped too.
. "$(dirname "$0")/../lib.sh"
need_root
. "$root/tests/debug-lib.sh"

build cpp
cp "$T/full/cpp" "$T/bin/cpp"
cp "$root/tests/fixtures/spin-inline.rs.txt" "$T/spin.rs"
for scheme in legacy v0; do
	# One of the two is the compiler's own choice, and the other may be called unstable.
	RUSTC_BOOTSTRAP=1 rustc -O -g -Z unstable-options -C symbol-mangling-version=$scheme --crate-name "rust_$scheme" -o "$T/bin/rust_$scheme" \
		"$T/spin.rs" 2>"$T/rustc.log" || { cat "$T/rustc.log"; fail "rustc"; }
done
mkdir "$T/go"
cat >"$T/go/main.go" <<'GO'
package main

var sink uint32

//go:noinline
func hotInGo(x uint32) uint32 {
	for i := uint32(0); i < 1000; i++ {
		x = x*1664525 + i
	}
	return x
}

func main() {
	for {
		sink = hotInGo(sink)
	}
}
GO
(cd "$T/go" && export GO111MODULE=off GOCACHE="$BUILD/go-cache" && go build -o "$T/bin/go_prog" main.go &&
	sed s/hotInGo/strippedGo/ main.go >stripped.go &&
	go build -ldflags=-s -o "$T/bin/go_stripped" stripped.go)

start_profd
spin cpp rust_legacy rust_v0 go_prog go_stripped
profile_spinners
for pid in "${own_pids[@]:1}"; do end_process "$pid"; done
mv "$T/bin" "$T/moved"
mv "$T/full" "$T/moved/full"
valid "${files[@]}"

report() { go tool pprof "$@" "${files[0]}" 2>/dev/null; }
report -top -nodecount 1000000 -nodefraction 0 >"$T/top"
named cpp
grep -q ' spin::outer_cpp(unsigned int)$' "$T/top" || { cat "$T/top"; fail "C++ is not demangled"; }
grep -Eq ' <?rust_legacy::Mixer as rust_legacy::Mix>?::mix \(inline\)$' "$T/top" || { grep rust "$T/top"; fail "Rust, legacy"; }
grep -Eq ' <?rust_v0::Mixer as rust_v0::Mix>?::mix \(inline\)$' "$T/top" || { grep rust "$T/top"; fail "Rust, v0"; }
grep -Eq ' rust_v0::inside::turn(::<rust_v0::Mixer>)?$' "$T/top" || { grep rust "$T/top"; fail "Rust, v0: turn"; }
grep -q ' main.strippedGo$' "$T/top" || { cat "$T/top"; fail "Go, stripped"; }
grep -q ' main.hotInGo$' "$T/top" || { cat "$T/top"; fail "Go"; }

# hottest FUNCTION: the source line with the most samples.
hottest() { report -list "$1" | awk '!/flat, cum/ && $1 ~ /[0-9]m?s$/ && $1 + 0 > 0 {v = $1 ~ /ms/ ? $1 / 1000 : $1 + 0; if (v > most) {most = v; line = $0}} END {print line}'; }
hottest inner_cpp | grep -E 'i < 1000|1664525u' >/dev/null || { report -list inner_cpp; fail "C++: another line"; }
for scheme in legacy v0; do
	report -list "rust_$scheme.*mix" | grep -E '^ +\S+ +[0-9.]+m?s +[0-9]+: .*// HOT' >/dev/null ||
		{ report -list "rust_$scheme.*mix"; fail "Rust, $scheme: the hot line has no samples"; }
done
# costliest FUNCTION: the one with the most, what it calls included.
costliest() { report -list "$1" | awk '!/flat, cum/ && $2 ~ /[0-9]m?s$/ && $3 ~ /^[0-9]+:$/ {v = $2 ~ /ms/ ? $2 / 1000 : $2 + 0; if (v > most) {most = v; line = $0}} END {print line}'; }
costliest outer_cpp | grep 'return INNER(x)' >/dev/null || { report -list outer_cpp; fail "C++: another line calls"; }
for scheme in legacy v0; do
	costliest "rust_$scheme::inside::turn" | grep 'm.mix(x)' >/dev/null ||
		{ report -list "rust_$scheme::inside::turn"; fail "Rust, $scheme: another line calls"; }
done
hottest strippedGo | grep -E 'x\*1664525|i < 1000' >/dev/null || { report -list strippedGo; fail "Go, stripped: another line"; }
hottest hotInGo | grep -E 'x\*1664525|i < 1000' >/dev/null || { report -list hotInGo; fail "Go: another line"; }

# The linker's names are there too, for those who need them.
"$profctl" --json top "${files[0]}" >/dev/null
python3 - "${files[0]}" "$root/tests/bench" <<'PY' || fail "system names"
import gzip, sys
sys.path.insert(0, sys.argv[2])
import symbols
with gzip.open(sys.argv[1]) as f:
    top = list(symbols.fields(f.read()))
strings = [v.decode() for k, v in top if k == 6]
names = {strings[dict(symbols.fields(v)).get(2, 0)]: strings[dict(symbols.fields(v)).get(3, 0)]
         for k, v in top if k == 5}
sys.exit(not (names['spin::outer_cpp(unsigned int)'].startswith('_ZN4spin') and
              any(n.startswith('rust_v0') and s.startswith('_R') for n, s in names.items()) and
              any(n.startswith('rust_legacy') and s.startswith('_ZN') for n, s in names.items())))
PY
figure "C++, Rust (legacy and v0) and Go: names, inlined calls and lines without the binaries"
