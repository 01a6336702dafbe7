#!/bin/bash
# Proves that C++ programs on other allocators are counted exactly, each object once
# whatever form of new made it, and trimmed by their allocator's own purge; and that
# what new throws is thrown.
. "$(dirname "$0")/../fixtures/hazard-lib.sh"

start_profd
missing=
# line NAME: the rest of the file's comment that begins so.
line() { pprof -comments "${files[0]}" | sed -n "s/^ *$1 //p"; }

# exact WHAT ALLOCATOR COMMAND...: the steps, and what profd says at each.
exact()
{
	local what=$1 allocator=$2 made status=0

	shift 2
	rm -f "$T/go"
	mkfifo "$T/go"
	exec 9<>"$T/go"
	target_prefix=(bash -c 'exec "$@" <'"$T/go" -)
	target PROFD_RATE=1 "$@"
	wait_attached "$target_pid"
	wait_said ready
	echo >&9
	wait_said live
	heap_of "$target_pid" inuse_space made='^make_objects\('
	[ "$made" = 1560000 ] || fail "$what: $made bytes of 1560000 in use"
	heap_of "$target_pid" inuse_objects made='^make_objects\('
	[ "$made" = 8000 ] || fail "$what: $made objects of 8000 in use"
	echo >&9
	wait_said freed
	heap_of "$target_pid" inuse_space made='^make_(objects|ballast)'
	[ "$made" = 0 ] || fail "$what: $made bytes in use after the last delete"
	snapshot --pid "$target_pid" --output "$T"
	figure "$what: trim $(line trim)"
	# mimalloc's free memory is its threads', and no other thread can give it back.
	[ "$allocator" = mimalloc ] ||
		is "$(line trim | sed 's/.*rss \([0-9.]*\)->\([0-9.]*\) MB.*/\1 - \2/') > 25" ||
		fail "$what: the trim gave back less than 25 MB: $(line trim)"
	line reckoning: | grep "allocator $allocator counts" >/dev/null || fail "$what is not known as $allocator"
	printf '\n\n' >&9
	wait "$target_pid" || status=$?
	[ "$allocator" = mimalloc ] || said thrown || fail "$what: nothing was thrown"
	# As bare: mimalloc's library, which is in C, cannot throw and aborts.
	[ "$status" = "$([ "$allocator" = mimalloc ] && echo 134 || echo 0)" ] ||
		fail "$what: status $status"
	exec 9>&-
}

exact glibc glibc "$fixtures/client-operators"
# A program in C, whose C++ library only the plugin sees.
g++ -O2 -g -shared -fPIC -Dmain=plugin_main -o "$T/plugin.so" "$root/tests/fixtures/client-operators.cc"
cat >"$T/host.c" <<-'END'
	#include <dlfcn.h>
	int main(int argc, char **argv)
	{
		int (*run)(void) = (int (*)(void))dlsym(dlopen(argv[1], RTLD_NOW), "_Z11plugin_mainv");
		return run();
	}
END
gcc -o "$T/host" "$T/host.c"
exact plugin glibc "$T/host" "$T/plugin.so"

for library in libjemalloc.so.2 libtcmalloc_minimal.so.4 libmimalloc.so.2; do
	path=$(/sbin/ldconfig -p | awk -v name=$library '$1 == name { print $NF; exit }')
	[ -n "$path" ] || { missing="$missing $library"; continue; }
	g++ -O2 -g -o "$T/$library.linked" "$root/tests/fixtures/client-operators.cc" \
		-Wl,--no-as-needed "$path"
	allocator=${library%%[_.]*}
	exact "$library linked" "${allocator#lib}" "$T/$library.linked"
	exact "$library preloaded" "${allocator#lib}" "LD_PRELOAD=$client $path" "$fixtures/client-operators"
done
# Operators of nobody's allocator, in a library that knows no C++ library.
LD_PRELOAD="$client $fixtures/operators-library" "$fixtures/operators-of-others" >"$T/others" ||
	fail "operator delete of others: status $?: $(cat "$T/others")"
[ -z "$missing" ] || skip "only a part was tested, as there is no$missing"
