/*
 * The child is forked on first use and holds nothing but one end of a socket and
 * a piece of memory shared with us. A child that is given up gets SIGKILL; if it
 * sleeps where even that does not reach it, it stays, and while there are
 * PEEK_MOST of them nobody is read from. What all who are slow can cost us is one
 * wait of PEEK_MS in PEEK_REST_NS.
 */
#include "daemon/keeper/peek.h"

#include <elf.h>
#include <errno.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#include "profd/base.h"

#define PEEK_MS	     50
#define PEEK_TRIES   10
#define PEEK_MOST    8
#define STOP_LOOK_NS 10000
#define PAGE	     4096u

struct request {
	uint64_t address;
	uint32_t bytes;
	pid_t pid;
	bool stop; /* it is a thread, and is stopped; no address */
};

struct answer {
	int64_t got; /* bytes, or -errno */
	bool holds;  /* a thread may still be the child's, and only its end lets that go */
	struct peek_thread thread;
};

struct peek {
	int fd; /* -1: no child */
	pid_t child;
	uint8_t *shared;
	struct {
		pid_t child; /* given up; 0: it has ended */
		pid_t pid;   /* whom it read from */
	} slow[PEEK_MOST];
	unsigned next_slow;
	uint64_t rest_until_ns;
	uint64_t second_ns; /* since when stops are counted */
	unsigned stops;
};

int peek_new(struct peek **ret_peek)
{
	struct peek *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->fd = -1;
	p->shared =
		mmap(NULL, PEEK_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (p->shared == MAP_FAILED) {
		free(p);
		return -ENOMEM;
	}
	*ret_peek = p;
	return 0;
}

static void end_child(struct peek *p)
{
	if (p->fd < 0)
		return;
	profd_closep(&p->fd);
	p->fd = -1;
	kill(p->child, SIGKILL);
}

void peek_rest(struct peek *p)
{
	if (p->fd < 0)
		return;
	end_child(p);
	waitpid(p->child, NULL, 0);
}

/* Whether there is room for one more that has to be given up. */
static bool reap(struct peek *p)
{
	for (unsigned i = 0; i < PEEK_MOST; i++)
		if (p->slow[i].child > 0 && waitpid(p->slow[i].child, NULL, WNOHANG) != 0)
			p->slow[i].child = 0;
	return p->slow[p->next_slow].child == 0;
}

void peek_free(struct peek *p)
{
	if (!p)
		return;
	peek_rest(p);
	(void)reap(p);
	munmap(p->shared, PEEK_BYTES);
	free(p);
}

/* A piece a page: what can be read of a page is read whole or not at all. */
static ssize_t read_memory(const struct request *r, uint8_t *to)
{
	struct iovec local = {.iov_base = to, .iov_len = r->bytes};
	struct iovec remote[PEEK_BYTES / PAGE + 1];
	unsigned long n = 0;
	ssize_t got;

	for (uint64_t at = r->address, left = r->bytes; left > 0 && n < ARRAY_SIZE(remote); n++) {
		size_t piece = min((size_t)(PAGE - at % PAGE), (size_t)left);

		remote[n] = (struct iovec){.iov_base = (void *)(uintptr_t)at, .iov_len = piece};
		at += piece;
		left -= piece;
	}
	got = process_vm_readv(r->pid, &local, 1, remote, n, 0);
	return got < 0 ? -errno : got;
}

/* Waits until it has stopped. A signal that comes just then is not ours: *ret_signal. */
static int wait_stopped(pid_t tid, int *ret_signal)
{
	const struct timespec pause = {.tv_nsec = STOP_LOOK_NS};
	uint64_t until = clock_mono_ns() + PEEK_STOP_MS * NSEC_PER_MSEC;
	int status, r;

	while ((r = waitpid(tid, &status, __WALL | WNOHANG)) == 0) {
		if (clock_mono_ns() > until)
			return -EAGAIN;
		nanosleep(&pause, NULL);
	}
	if (r < 0 || !WIFSTOPPED(status))
		return -ESRCH;
	*ret_signal = status >> 16 == PTRACE_EVENT_STOP ? 0 : WSTOPSIG(status);
	return 0;
}

static ssize_t read_stopped(pid_t tid, struct user_regs_struct *ret_regs, uint8_t *to)
{
	struct iovec regs = {.iov_base = ret_regs, .iov_len = sizeof(*ret_regs)};
	struct request stack = {.pid = tid, .bytes = PEEK_BYTES};

	if (ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &regs) < 0)
		return -errno;
	if (regs.iov_len != sizeof(*ret_regs))
		return -ENOTSUP;
	stack.address = ret_regs->rsp;
	return read_memory(&stack, to);
}

/* Seized, not attached: no signal is sent, and nothing is seen of it but the pause. */
static void stop_thread(pid_t tid, struct answer *a, uint8_t *to)
{
	uint64_t since = clock_mono_ns();
	int signal_number = 0;

	if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) < 0) {
		a->got = -errno;
		return;
	}
	a->got = ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) < 0 ? -errno
							       : wait_stopped(tid, &signal_number);
	if (a->got < 0) {
		a->holds = true;
		return;
	}
	a->got = read_stopped(tid, &a->thread.regs, to);
	ptrace(PTRACE_DETACH, tid, NULL, (void *)(intptr_t)signal_number);
	a->thread.stopped_ns = clock_mono_ns() - since;
}

static _Noreturn void serve(struct peek *p, int fd, pid_t parent)
{
	struct request request;
	struct answer answer = {0};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_TIMERSLACK, 1); /* a thread that is stopped waits for us */
	if (getppid() != parent || dup2(fd, 3) < 0)
		_exit(1);
	syscall(SYS_close_range, 4, ~0u, 0);
	while (!answer.holds && read(3, &request, sizeof(request)) == sizeof(request)) {
		memset(&answer, 0, sizeof(answer));
		if (request.stop)
			stop_thread(request.pid, &answer, p->shared);
		else
			answer.got = read_memory(&request, p->shared);
		if (write(3, &answer, sizeof(answer)) != sizeof(answer))
			break;
	}
	_exit(0);
}

static int start_child(struct peek *p)
{
	pid_t parent = getpid();
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	p->child = fork();
	if (p->child == 0)
		serve(p, fds[1], parent);
	close(fds[1]);
	if (p->child < 0) {
		close(fds[0]);
		return -errno;
	}
	p->fd = fds[0];
	return 0;
}

/* On a busy machine it may not have had its turn yet. */
static bool is_runnable(pid_t pid)
{
	char path[32], state = '?';
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	if (fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
		state = '?';
	fclose(f);
	return state == 'R';
}

/* 0, or -errno: the child is of no use any more. */
static int ask(struct peek *p, const struct request *request, struct answer *ret)
{
	struct pollfd wait = {.fd = p->fd, .events = POLLIN};
	int r = 0;

	if (send(p->fd, request, sizeof(*request), MSG_NOSIGNAL) != sizeof(*request))
		return -EPIPE;
	for (int tries = 0; r == 0 && tries < PEEK_TRIES; tries++) {
		r = poll(&wait, 1, PEEK_MS);
		if (r == 0 && !is_runnable(p->child))
			break;
	}
	if (r == 0) /* it may have answered since, and waits for the next one */
		r = poll(&wait, 1, 0);
	if (r <= 0)
		return r < 0 ? -errno : -ETIMEDOUT;
	return read(p->fd, ret, sizeof(*ret)) == sizeof(*ret) ? 0 : -EPIPE;
}

static int carry(struct peek *p, const struct request *request, struct answer *ret)
{
	int r = 0;

	for (unsigned i = 0; i < PEEK_MOST; i++)
		if (p->slow[i].pid == request->pid)
			return -EBUSY;
	if (clock_mono_ns() < p->rest_until_ns || !reap(p))
		return -EBUSY;
	if (p->fd < 0)
		r = start_child(p);
	if (r < 0)
		return r;
	r = ask(p, request, ret);
	if (r < 0) {
		end_child(p);
		p->slow[p->next_slow].pid = request->pid;
		p->slow[p->next_slow].child = p->child;
		p->next_slow = (p->next_slow + 1) % PEEK_MOST;
		p->rest_until_ns = clock_mono_ns() + PEEK_REST_NS;
	}
	return r;
}

ssize_t peek_read(struct peek *p, pid_t pid, uint64_t address, size_t bytes,
		  const uint8_t **ret_bytes)
{
	struct request request = {
		.pid = pid, .address = address, .bytes = (uint32_t)min(bytes, (size_t)PEEK_BYTES)};
	struct answer answer;
	int r = carry(p, &request, &answer);

	if (r < 0)
		return r;
	if (answer.got > 0)
		*ret_bytes = p->shared;
	return (ssize_t)answer.got;
}

/* Whoever asks may not stop the machine's threads at will. */
static bool may_stop(struct peek *p)
{
	uint64_t now = clock_mono_ns();

	if (now - p->second_ns > NSEC_PER_SEC) {
		p->second_ns = now;
		p->stops = 0;
	}
	return p->stops++ < PEEK_STOPS;
}

ssize_t peek_stop(struct peek *p, pid_t tid, struct peek_thread *ret_thread,
		  const uint8_t **ret_bytes)
{
	struct request request = {.pid = tid, .stop = true};
	struct answer answer;
	int r = may_stop(p) ? carry(p, &request, &answer) : -EBUSY;

	if (r < 0)
		return r;
	if (answer.holds)
		peek_rest(p);
	if (answer.got < 0)
		return (ssize_t)answer.got;
	*ret_thread = answer.thread;
	*ret_bytes = p->shared;
	return (ssize_t)answer.got;
}
