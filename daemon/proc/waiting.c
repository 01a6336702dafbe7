/*
 * Four small files of /proc/PID/task/TID:
 *
 *     stat     state and flags, after the last ')'
 *     stack    "[<0>] futex_wait_queue+0x68/0xa0", a line a function
 *     wchan    the first of these alone, without offset; "0": none
 *     syscall  number, six arguments, stack pointer, pc; number -1: only the last
 *              two; "running"
 *
 * The thread may go on at any moment between two of them. What does not fit
 * together then is a wait's that has just ended, and its record tells.
 */
#include "daemon/proc/waiting.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/proc/pids.h"
#include "profd/base.h"

#define KERNEL_THREAD 0x00200000 /* PF_KTHREAD */
#define FILE_BYTES    4096

struct thread {
	struct keeper *keeper;
	pid_t pid, tid;
};

static int read_file(const struct thread *t, enum keeper_thread_file file, char ret[FILE_BYTES])
{
	ssize_t n = keeper_read_thread(t->keeper, t->pid, t->tid, file, ret, FILE_BYTES - 1);

	if (n < 0)
		return (int)n;
	ret[n] = '\0';
	return 0;
}

int waiting_parse_stat(const char *stat, char *ret_state)
{
	const char *at = strrchr(stat, ')');
	unsigned flags;
	char state;

	if (!at || sscanf(at + 1, " %c %*d %*d %*d %*d %*d %u", &state, &flags) != 2)
		return -EBADMSG;
	if (flags & KERNEL_THREAD || strchr("ZXx", state))
		return -ESRCH;
	*ret_state = state;
	return strchr("SDTtI", state) ? 0 : -EAGAIN;
}

static int add_function(struct waiting *w, const char *name, size_t n)
{
	if (w->n_functions == WAITING_FUNCTIONS || n == 0)
		return 0;
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)name[i]) && !strchr("_.$", name[i]))
			return -EBADMSG;
	snprintf(w->functions[w->n_functions++], WAITING_FUNCTION_BYTES, "%.*s", (int)n, name);
	return 0;
}

int waiting_parse_stack(const char *stack, struct waiting *w)
{
	for (const char *line = stack; *line;) {
		size_t length = strcspn(line, "\n");
		const char *at = strstr(line, "] ");
		int r;

		if (!at || at >= line + length)
			return -EBADMSG;
		at += 2;
		r = add_function(w, at, strcspn(at, "+/\n "));
		if (r < 0)
			return r;
		line += length + (line[length] == '\n');
	}
	return 0;
}

/* The last two of its words. */
int waiting_parse_syscall(const char *syscall, struct waiting *w)
{
	unsigned long long sp, pc;
	const char *pc_at, *sp_at;
	int end = 0;

	if (strncmp(syscall, "running", 7) == 0)
		return -EAGAIN;
	pc_at = strrchr(syscall, ' ');
	sp_at = pc_at ? memrchr(syscall, ' ', (size_t)(pc_at - syscall)) : NULL;
	if (!sp_at || sscanf(sp_at, " 0x%llx 0x%llx %n", &sp, &pc, &end) != 2 || sp_at[end])
		return -EBADMSG;
	w->syscall = strtol(syscall, NULL, 10);
	w->user_sp = sp;
	w->user_pc = pc;
	return 0;
}

static int look(const struct thread *t, struct waiting *w)
{
	char text[FILE_BYTES];
	int r = read_file(t, KEEPER_THREAD_STAT, text);

	if (r < 0)
		return -ENOENT;
	r = waiting_parse_stat(text, &w->state);
	if (r < 0)
		return r;
	if (read_file(t, KEEPER_THREAD_SYSCALL, text) == 0 &&
	    waiting_parse_syscall(text, w) == -EAGAIN) {
		w->state = 'R';
		return -EAGAIN;
	}
	if (read_file(t, KEEPER_THREAD_STACK, text) == 0)
		(void)waiting_parse_stack(text, w);
	if (w->n_functions == 0 && read_file(t, KEEPER_THREAD_WCHAN, text) == 0 &&
	    strcmp(text, "0") != 0)
		(void)add_function(w, text, strlen(text));
	return 0;
}

int waiting_look(struct keeper *keeper, pid_t pid, pid_t tid, struct waiting *ret_waiting)
{
	const struct thread t = {.keeper = keeper, .pid = pid, .tid = tid};
	struct waiting w = {.syscall = -1};
	int r = look(&t, &w);

	if (r == 0 || r == -EAGAIN)
		*ret_waiting = w;
	return r;
}

/* ---- all of them */

struct scan {
	struct keeper *keeper;
	pid_t pid; /* the process being looked at */
	size_t left;
	int beyond;
	void (*each)(pid_t pid, pid_t tid, void *userdata);
	void *userdata;
};

static bool scan_thread(pid_t tid, void *userdata)
{
	struct scan *s = userdata;
	const struct thread t = {.keeper = s->keeper, .pid = s->pid, .tid = tid};
	char text[FILE_BYTES], state;

	if (s->left == 0) {
		s->beyond++;
		return true;
	}
	if (read_file(&t, KEEPER_THREAD_STAT, text) < 0 || waiting_parse_stat(text, &state) < 0)
		return true;
	s->left--;
	s->each(s->pid, tid, s->userdata);
	return true;
}

static void scan_process(pid_t pid, void *userdata)
{
	struct scan *s = userdata;

	s->pid = pid;
	(void)process_each_thread(s->keeper, pid, scan_thread, s);
}

int waiting_scan(struct keeper *keeper, size_t most,
		 void (*each)(pid_t pid, pid_t tid, void *userdata), void *userdata)
{
	struct scan s = {.keeper = keeper, .left = most, .each = each, .userdata = userdata};
	int r = process_each_pid(keeper, scan_process, &s);

	return r < 0 ? r : s.beyond;
}
