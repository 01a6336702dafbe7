#!/bin/bash
# Other heap profilers on the loop that `replace` measures profd with, each against
# the same program without it: jemalloc and tcmalloc against themselves with
# sampling off, heaptrack (which records every call; here to nowhere, so without its
# interpreter) against the C library. All sample each 512 KiB on average.
. "$(dirname "$0")/lib.sh"

lib=/usr/lib/x86_64-linux-gnu
jemalloc=$lib/libjemalloc.so.2
tcmalloc=$lib/libtcmalloc.so.4
heaptrack=/usr/lib/heaptrack/libheaptrack_preload.so

# peer NAME MILLIONS [OPTION of turns.py]...: two threads, small and mixed sizes.
peer()
{
	local peer=$1 millions=$2 sizes
	shift 2

	for sizes in "small 16..143 B" "mixed 16 B..80 KiB"; do
		turns=$("$bench/turns.py" --rounds "$rounds" --figure "$@" -- \
			"$BUILD/bench/replace" 2 "$millions" "${sizes%% *}") || fail "not measured: $peer"
		row_of_figure "$peer, replace, 2 threads, ${sizes#* }" ""
	done
}

start_profd
heading "Heap profilers on the same loop (20M a thread; heaptrack 1M; median of $rounds)"
peer profd 20 --with "LD_PRELOAD=$client"
missing=()
if ! [ -e "$jemalloc" ]; then
	missing+=(libjemalloc2)
elif MALLOC_CONF=prof:true LD_PRELOAD=$jemalloc /bin/true 2>&1 | grep Invalid >/dev/null; then
	missing+=("a libjemalloc2 that can profile")
else
	peer jemalloc 20 --both "LD_PRELOAD=$jemalloc" \
		--with "MALLOC_CONF=prof:true,lg_prof_sample:19"
fi
if [ -e "$tcmalloc" ]; then
	peer tcmalloc 20 --both "LD_PRELOAD=$tcmalloc" --with TCMALLOC_SAMPLE_PARAMETER=524288
else
	missing+=(libgoogle-perftools4)
fi
if [ -e "$heaptrack" ]; then
	peer heaptrack 1 --with "LD_PRELOAD=$heaptrack" --with DUMP_HEAPTRACK_OUTPUT=/dev/null
else
	missing+=(libheaptrack)
fi
[ ${#missing[@]} = 0 ] || printf '  *** not installed, not measured: %s ***\n' "${missing[@]}"
end_of_part
