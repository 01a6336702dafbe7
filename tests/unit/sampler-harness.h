/*
 * For the tests of the sampler, on real perf events of this machine: what it hands
 * over, counted, and programs to be sampled, which wait until they are let go. Where
 * the kernel refuses events, the tests are skipped and say so.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "daemon/cpu/sampler-state.h"
#include "profd/base.h"

/* Some 0.2 s of user time, and two children. */
#define SPIN_PROGRAM "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; (exit 0); /bin/true"

static struct keeper *keeper;

static inline int setup(void **state)
{
	return keeper_new_local(&keeper);
}

static inline int teardown(void **state)
{
	keeper_free(keeper);
	return 0;
}

struct seen {
	pid_t pid; /* whose samples are looked at */
	uint64_t samples, of_pid, with_user, with_stack, with_kernel, kernel_only;
	uint64_t comms, execs, forks, exits, mmaps, executable_mmaps, identified_mmaps;
	uint64_t last_ns, backwards, lost, period;
	bool leader_exited;
	char comm[16];
};

static inline void note_time(struct seen *seen, uint64_t time_ns)
{
	seen->backwards += time_ns < seen->last_ns;
	seen->last_ns = time_ns;
}

static inline void on_sample(const struct sampler_sample *s, void *userdata)
{
	struct seen *seen = userdata;

	note_time(seen, s->time_ns);
	seen->samples++;
	if (s->pid != seen->pid)
		return;
	seen->of_pid++;
	seen->period += s->period;
	seen->with_user += s->has_user;
	seen->with_kernel += s->n_kernel_frames > 0;
	for (size_t i = 0; i < s->n_kernel_frames; i++)
		assert_true(s->kernel_frames[i] < PERF_CONTEXT_MAX && s->kernel_frames[i] >> 63);
	if (!s->has_user || s->stack_bytes == 0)
		return;
	seen->with_stack++;
	/* What lies on the stack lies above the stack pointer, and the
	 * instruction pointer is one of user space. */
	assert_true(s->regs[8] != 0 && s->regs[8] >> 47 == 0);
	assert_true(s->regs[7] != 0 && s->regs[7] >> 47 == 0);
}

static inline void on_comm(pid_t pid, pid_t tid, const char *comm, bool exec, uint64_t time_ns,
			   void *userdata)
{
	struct seen *seen = userdata;

	note_time(seen, time_ns);
	seen->comms++;
	seen->execs += exec;
	if (pid == seen->pid)
		snprintf(seen->comm, sizeof(seen->comm), "%s", comm);
}

static inline void on_fork(pid_t pid, pid_t parent, pid_t tid, uint64_t time_ns, void *userdata)
{
	struct seen *seen = userdata;

	note_time(seen, time_ns);
	seen->forks += parent == seen->pid && pid != parent && tid == pid;
}

static inline void on_exit_record(pid_t pid, pid_t tid, uint64_t time_ns, void *userdata)
{
	struct seen *seen = userdata;

	note_time(seen, time_ns);
	seen->exits++;
	seen->leader_exited |= pid == seen->pid && tid == pid;
}

static inline void on_mmap(const struct process_mmap *m, uint64_t time_ns, void *userdata)
{
	struct seen *seen = userdata;

	note_time(seen, time_ns);
	seen->mmaps++;
	assert_true(m->path && m->bytes > 0);
	if (!m->executable)
		return;
	seen->executable_mmaps++;
	seen->identified_mmaps += m->key.build_id || m->key.inode || m->path[0] == '[' ||
				  strcmp(m->path, "//anon") == 0;
}

static inline void on_lost(uint64_t n, uint64_t period, void *userdata)
{
	struct seen *seen = userdata;

	assert_true(n > 0 && period > 0);
	seen->lost += n;
}

static const struct sampler_handlers handlers = {
	.on_sample = on_sample,
	.on_comm = on_comm,
	.on_fork = on_fork,
	.on_exit = on_exit_record,
	.on_mmap = on_mmap,
	.on_lost = on_lost,
};

static inline void open_or_skip(const struct sampler_config *config, struct sampler **ret_s)
{
	char why[512] = "";
	int rc = sampler_new(keeper, config, ret_s, why, sizeof(why));

	if (rc == -EACCES || rc == -EPERM || rc == -ENOSYS) {
		print_message("SKIPPED: no perf events here: %s\n", why);
		skip();
	}
	if (rc < 0)
		fail_msg("%s", why);
}

/* A process that waits for a byte and then becomes a shell that runs @program. */
static inline pid_t start_program(const char *program, int *ret_go)
{
	int pipe_fds[2];
	pid_t pid;
	char byte;

	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (read(pipe_fds[0], &byte, 1) != 1)
			_exit(1);
		execl("/bin/sh", "sh", "-c", program, NULL);
		_exit(1);
	}
	close(pipe_fds[0]);
	*ret_go = pipe_fds[1];
	return pid;
}

static inline pid_t start_spinner(int *ret_go)
{
	return start_program(SPIN_PROGRAM, ret_go);
}

static inline void let_go(int go, pid_t pid)
{
	int status;

	assert_int_equal(write(go, "x", 1), 1);
	close(go);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}
