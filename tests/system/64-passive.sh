#!/bin/bash
# Proves that of a process which has the client and no table `list --all` says why,
# as far as it can be seen from outside: PROFD_DISABLE, a limit on file size, a seccomp
# filter set before a fork; that programs which cannot have it are told apart; and that
# one linked with musl, which can, is not taken for them.
. "$(dirname "$0")/../fixtures/hazard-lib.sh"

need_root # to look into others' environment
start_profd
mkfifo "$T/go"
exec 9<>"$T/go"
reason_of() { json_of "$profctl" --json list --all "[t['reason'] for t in j['targets'] if t['pid'] == $1][0]"; }

# passive REGEX SHELL [NAME=VALUE]: runs hold after SHELL, under the client.
passive()
{
	target_prefix=(bash -c "$2"'; exec "$@" <'"$T/go 9<&-" -)
	target "${@:3}" "${program:-$fixtures/end}"
	wait_said ready
	wait_for 5 reason_of "$target_pid" || fail "$2: not listed"
	told "$1" "$target_pid"
	! is_attached "$target_pid" >/dev/null 2>&1 || fail "it is attached after all"
	kill "$target_pid"
	wait "$target_pid" 2>/dev/null || true
}
says() { reason_of "$2" >"$T/reason" && grep -Eq "^$1.*CPU only" "$T/reason"; }
told()
{
	# its exec may still be under way to the process table
	wait_for 5 says "$1" "$2" || { cat "$T/reason"; fail "it does not say: $1"; }
	"$profctl" list --all | grep -E "^ *$2 " | grep -F "$(cat "$T/reason")" >/dev/null || fail "not in the table"
	figure "$(cat "$T/reason")"
}

passive 'has the client, but no table: switched off by PROFD_DISABLE=1' : PROFD_DISABLE=1
passive 'has the client, but no table: its limit of 1048576 bytes of file size \(ulimit -f\)' 'ulimit -f 1024'

# A filter that refuses memfd_create: the parent has its table, its child has none.
cat >"$T/filtered.c" <<'END'
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_memfd_create, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {4, code};
	pid_t child;

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		return 1;
	child = fork();
	if (child == 0) {
		for (int i = 0; i < 1000; i++)
			((volatile char *)malloc(1000))[0] = 1;
		printf("ready %d\n", getpid());
		fflush(stdout);
		while (getchar() != EOF)
			;
		_exit(0);
	}
	return wait(&(int){0}) != child;
}
END
cc -O0 -o "$T/filtered" "$T/filtered.c"
target_prefix=(bash -c 'exec "$@" <'"$T/go 9<&-" -)
target "$T/filtered"
wait_said ready
child=$(sed -n 's/^ready //p' "$T/target.log")
told 'has the client, but no table: a filter of system calls \(seccomp\)' "$child"

# No client can be in these.
cc -O1 -static -o "$T/static" "$root/tests/fixtures/end.c"
program=$T/static passive 'statically linked: the client cannot be loaded into it' :
cc -O1 -static-pie -o "$T/static-pie" "$root/tests/fixtures/end.c"
program=$T/static-pie passive 'statically linked: the client cannot be loaded into it' :
if command -v musl-gcc >/dev/null; then
	musl-gcc -O1 -o "$T/musl" "$root/tests/fixtures/end.c"
	client= program=$T/musl passive 'started without the client \(LD_PRELOAD\)' :
	target_prefix=(bash -c 'exec "$@" <'"$T/go 9<&-" -)
	target "$T/musl"
	wait_attached "$target_pid"
fi
cp "$fixtures/end" "$T/setuid"
chmod 4755 "$T/setuid"
exec 9<&-
rm "$T/go"
mkfifo -m 666 "$T/go"
exec 9<>"$T/go"
target_prefix=(setpriv --reuid 65534 --regid 65534 --clear-groups bash -c 'exec "$@" <'"$T/go 9<&-" -)
target "$T/setuid"
wait_said ready
told 'setuid: the client is not loaded into such programs' "$target_pid"
exec 9<&-
