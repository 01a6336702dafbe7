#!/bin/bash
# Proves that the files need nothing but themselves: every report of go tool pprof
# works on heap and CPU files after the profiled binary has been moved away, and
# none has a warning. `list` shows the source line, since the source is there.
. "$(dirname "$0")/../lib.sh"

mkdir "$T/bin" "$T/out"
cp "$fixtures/leak" "$fixtures/split" "$T/bin"
start_profd
target "$T/bin/leak" 900
wait_attached "$target_pid"
snapshot --pid "$target_pid" --every 2s --count 2 --output "$T/out"
heap=("${files[@]}")
end_process "$target_pid"
"$profctl" run --cpu "$T/cpu1.pb.gz" -- "$T/bin/split" 3 >"$T/split.log"
"$profctl" run --cpu "$T/cpu2.pb.gz" -- "$T/bin/split" 2 >"$T/split.log"
mv "$T/bin" "$T/moved"
valid "${heap[@]}" "$T/cpu1.pb.gz" "$T/cpu2.pb.gz"

# quiet REGEX OPTION... FILE: succeeds, says nothing on stderr, output has REGEX.
quiet()
{
	local regex=$1
	shift
	go tool pprof "$@" >"$T/out.txt" 2>"$T/err" || { cat "$T/err"; fail "pprof $*"; }
	[ ! -s "$T/err" ] || { cat "$T/err"; fail "pprof $*: not silent"; }
	grep -Eq -- "$regex" "$T/out.txt" || { head -20 "$T/out.txt"; fail "pprof $*: no $regex"; }
}

reports()
{
	local function=$1 source=$2 file=$3 base=$4

	quiet "$function" -top "$file"
	quiet "$function" -traces "$file"
	quiet "$function" -raw "$file"
	quiet "$function" -tree "$file"
	quiet "$function" -peek "$function" "$file"
	quiet "$source" -list "$function" "$file"
	quiet "$function" -top -base "$base" "$file"
}
reports open_session 'new Session; // LEAK' "${heap[1]}" "${heap[0]}"
reports hot_sixty 'HOT\(hot_sixty' "$T/cpu1.pb.gz" "$T/cpu2.pb.gz"

# Ids are 1..N in the order of their tables.
for file in "${heap[@]}" "$T"/cpu?.pb.gz; do
	go tool pprof -raw "$file" 2>/dev/null | awk '
		/^Locations/ { table = 1; next } /^Mappings/ { table = 2; next }
		table && match($0, /^ *[0-9]+:/) && $1 + 0 != ++last[table] { exit 1 }' ||
		fail "$file: ids are not sequential"
done
figure "7 reports on ${#heap[@]} heap and 2 CPU files without the binaries"
