#!/bin/bash
# Proves that where no preload is possible (set-uid, static, static-pie) the program
# runs as bare, that who asks for its heap is told what to do instead, and that
# `profctl list --all` says why.
. "$(dirname "$0")/../fixtures/hazard-lib.sh"

start_profd
cat >"$T/sleeper.c" <<'END'
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int main(void)
{
	free(malloc(100000));
	puts("ready");
	fflush(stdout);
	return sleep(900) != 0;
}
END
kinds=(static static-pie)
cc -O1 -static -o "$T/static" "$T/sleeper.c"
cc -O1 -static-pie -o "$T/static-pie" "$T/sleeper.c"
if [ "$(id -u)" = 0 ]; then
	cc -O1 -o "$T/setuid" "$T/sleeper.c"
	chmod 4755 "$T/setuid"
	kinds+=(setuid)
fi
for kind in "${kinds[@]}"; do
	[ $kind != setuid ] || target_prefix=(setpriv --reuid 65534 --regid 65534 --clear-groups)
	target "$T/$kind"
	wait_said ready
	status_is 1 "$profctl" snapshot --pid "$target_pid"
	one_line 'not attached.*--type cpu'
	"$profctl" list --all | grep -E "^ *$target_pid " >"$T/line"
	grep -Eq "$(case $kind in static*) echo 'statically linked' ;; *) echo setuid ;; esac).*CPU only" "$T/line" ||
		{ cat "$T/line"; fail "list --all does not say why"; }
	"$profctl" snapshot --pid "$target_pid" --type cpu --output "$T" >/dev/null 2>"$T/stderr" ||
		one_line 'cpu'
done
figure "as bare, and said so: ${kinds[*]}"
