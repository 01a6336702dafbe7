# What tests of separate debug files share; source it after lib.sh. Programs are made in
# $T/bin, each spinning in spin::outer_NAME, where inner_NAME is inlined.
cp "$root/tests/fixtures/spin-inline.txt" "$T/spin.cc"
mkdir -p "$T/full" "$T/bin" "$T/debug"

# build NAME [FLAG...]: $T/full/NAME, and stripped $T/bin/NAME.
build()
{
	(cd "$T/full" && g++ -O2 -g -DINNER="inner_$1" -DOUTER="outer_$1" -o "$1" "$T/spin.cc" "${@:2}")
	cp "$T/full/$1" "$T/bin/$1"
	strip "$T/bin/$1"
}

build_id_of() { readelf -n "$1" 2>/dev/null | sed -n 's/.*Build ID: //p'; }

# by_id DIRECTORY FILE: where the debug file of FILE belongs.
by_id()
{
	local id

	id=$(build_id_of "$2")
	mkdir -p "$1/.build-id/${id:0:2}"
	echo "$1/.build-id/${id:0:2}/${id:2}.debug"
}

# debug_of NAME FILE: its debug information, there.
debug_of() { objcopy --only-keep-debug "$T/full/$1" "$2"; }

# link_to NAME FILE: says in the program that its debug file is FILE.
link_to() { objcopy --add-gnu-debuglink="$2" "$T/bin/$1"; }

# crafted_link NAME TEXT: the same with any text, and a checksum of nothing.
crafted_link()
{
	python3 -c 'import sys; t = sys.argv[1].encode() + b"\0"; sys.stdout.buffer.write(t + b"\0" * (-len(t) % 4 + 4))' \
		"$2" >"$T/link"
	objcopy --add-section .gnu_debuglink="$T/link" --set-section-flags .gnu_debuglink=readonly \
		"$T/bin/$1"
}

# spin NAME...: starts them.
spinners=()
spin()
{
	local name

	for name in "$@"; do
		"$T/bin/$name" &
		own_pids+=($!)
		spinners+=($!)
	done
}

# profile_spinners: a CPU profile of the time since the daemon began, in `files`, as soon
# as each of them has had half a second of CPU time, which is 50 samples.
have_spun()
{
	local pid

	for pid in "${spinners[@]}"; do
		[ "$(sed 's/.*) //' "/proc/$pid/stat" | awk '{ print $12 + $13 }')" -ge 50 ] || return 1
	done
}
profile_spinners()
{
	wait_for 200 have_spun || fail "the programs do not get the CPU"
	snapshot --type cpu
}

# named NAME...: in the report $T/top each has its function and the inlined call.
named()
{
	local name

	for name in "$@"; do
		grep -q " inner_$name (inline)" "$T/top" ||
			{ cat "$T/top"; fail "$name: no inlined call"; }
	done
}

# nameless NAME...: each ran, and has addresses alone.
nameless()
{
	local name

	for name in "$@"; do
		! grep -q "er_$name" "$T/top" || { cat "$T/top"; fail "$name: has names"; }
		grep -q " $name+0x" "$T/top" || { cat "$T/top"; fail "$name: did not run"; }
	done
}
