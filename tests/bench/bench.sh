#!/bin/bash
# `make bench`: what profd costs a program and the machine, in figures.
. "$(dirname "$0")/../lib.sh"

nproc=$(nproc)
pairs=$BUILD/bench/pairs
echo "a pair of malloc and free, ns (median of 7; $nproc CPUs)"
printf '  %-22s %8s %8s %8s\n' '' bare client rate=4K
start_profd
for how in "1 5 64" "1 5 4096" "$nproc 5 64"; do
	set -- $how
	printf '  %-22s %8s %8s %8s\n' "$1 thread(s), ~$3 bytes" "$("$pairs" $how)" \
		"$(LD_PRELOAD=$client "$pairs" $how)" "$(PROFD_RATE=4096 LD_PRELOAD=$client "$pairs" $how)"
done

median() { sort -n | sed -n 4p; }
echo "a replacement of a random slot of 4096, ns (median of 7, in turns)"
printf '  %-22s %8s %8s %8s\n' '' bare client ratio
for how in "1 2 small" "2 2 small" "8 1 small" "1 2 mixed" "2 2 mixed" "8 1 mixed"; do
	rm -f "$T/bare" "$T/client"
	for _ in 1 2 3 4 5 6 7; do
		"$BUILD/bench/replace" $how >>"$T/bare"
		LD_PRELOAD=$client "$BUILD/bench/replace" $how >>"$T/client"
	done
	bare=$(median <"$T/bare") with=$(median <"$T/client")
	printf '  %-22s %8s %8s %8.3f\n' "${how/ [0-9]/ thread(s),}" "$bare" "$with" \
		"$(python3 -c "print($with / $bare)")"
done

echo "from the start of a process to its end, us (median of 1,000, in turns)"
printf '  %-22s %8s %8s\n' '' bare client '/bin/true' $("$BUILD/bench/spawn" 1000 "$client" /bin/true) \
	'fork' "$("$BUILD/bench/spawn" 1000 fork)" "$(LD_PRELOAD=$client "$BUILD/bench/spawn" 1000 fork)"

# ticks PID: CPU time, in hundredths of a second.
ticks() { sed 's/.*) //' "/proc/$1/stat" | awk '{print $12 + $13}'; }
rss() { awk '/^VmRSS/ {print $2}' "/proc/$1/status"; }

echo "the daemon, 99 Hz, over 10 s, its symbolizing child not counted"
before=$(ticks "$profd_pid"); sleep 10; after=$(ticks "$profd_pid")
printf '  %-22s %7.2f %% of one CPU, %s KiB resident\n' 'machine idle' \
	"$(python3 -c "print(($after - $before) / 10)")" "$(rss "$profd_pid")"
"$fixtures/split" 12 >/dev/null &
own_pids+=($!)
sleep 1
before=$(ticks "$profd_pid"); sleep 10; after=$(ticks "$profd_pid")
printf '  %-22s %7.2f %% of one CPU, %s KiB resident\n' 'two busy threads' \
	"$(python3 -c "print(($after - $before) / 10)")" "$(rss "$profd_pid")"

echo "a snapshot, from asking to a file on disk, s"
target "$fixtures/leak" 60
wait_attached "$target_pid"
mkdir "$T/out"
for which in first second; do
	start=$(date +%s.%N)
	"$profctl" snapshot --pid "$target_pid" --output "$T/out" >/dev/null
	printf '  %-22s %8.3f\n' "$which of one process" \
		"$(python3 -c "import time; print(time.time() - $start)")"
done

echo "what the client adds to a program's memory, KiB resident"
sleep 60 & bare=$!
own_pids+=($bare)
LD_PRELOAD=$client sleep 60 & with=$!
own_pids+=($with)
sleep 1
printf '  %-22s %8s\n' 'a program that sleeps' "$(($(rss $with) - $(rss $bare)))"
stop_profd
