/*
 * What test-preload-client does when it runs itself under LD_PRELOAD: a role
 * allocates in some way, writes one byte when it has come to a point, and goes
 * on when it reads one.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "profd/base.h"

#define N_OBJECTS    1000
#define ROLE_SECONDS 120

static void *volatile objects[N_OBJECTS];

static void come_to_a_point(void)
{
	char byte = '.';

	if (write(1, &byte, 1) != 1 || read(0, &byte, 1) != 1)
		_exit(100);
}

static void role_live(void)
{
	come_to_a_point();
	for (int i = 0; i < N_OBJECTS; i++)
		objects[i] = malloc(100);
	come_to_a_point();
	for (int i = 0; i < N_OBJECTS; i++)
		free(objects[i]);
	come_to_a_point();
}

static void role_realloc(void)
{
	volatile size_t impossible = SIZE_MAX / 2 - 4096, overflowing = SIZE_MAX / 4;
	char *p, *q;

	come_to_a_point();
	p = malloc(1000);
	q = realloc(p, impossible);
	if (q || reallocarray(p, overflowing, 100) || calloc(overflowing, 100) ||
	    malloc(impossible))
		_exit(1);
	come_to_a_point();
	p = realloc(p, 3000);
	come_to_a_point();
	free(realloc(p, 0));
	come_to_a_point();
}

/* Each function that returns memory, 100 bytes of each. */
static void role_functions(void)
{
	void *p[9] = {0};

	come_to_a_point();
	p[0] = malloc(100);
	p[1] = calloc(4, 25);
	p[2] = realloc(NULL, 100);
	p[3] = reallocarray(NULL, 10, 10);
	p[4] = memalign(64, 100);
	p[5] = aligned_alloc(64, 100);
	p[6] = valloc(100);
	p[7] = pvalloc(100);
	if (posix_memalign(&p[8], 64, 100) != 0)
		_exit(1);
	come_to_a_point();
	for (int i = 0; i < 9; i++)
		free(p[i]);
	come_to_a_point();
}

static void role_fork(void)
{
	int status;
	pid_t pid;

	come_to_a_point();
	for (int i = 0; i < N_OBJECTS; i++)
		objects[i] = malloc(100);
	come_to_a_point();
	pid = fork();
	if (pid == 0) {
		for (int i = 0; i < N_OBJECTS / 2; i++)
			free(objects[i]);
		objects[0] = malloc(7777);
		come_to_a_point();
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid || status != 0)
		_exit(1);
	come_to_a_point();
}

static void *allocate_forever(void *stop)
{
	while (!__atomic_load_n((bool *)stop, __ATOMIC_RELAXED))
		free(malloc(50));
	return NULL;
}

/* Forks among allocating threads; each child allocates and ends. */
static void role_fork_storm(void)
{
	pthread_t threads[3];
	bool stop = false;

	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, allocate_forever, &stop);
	for (int i = 0; i < 200; i++) {
		int status;
		pid_t pid = fork();

		if (pid == 0) {
			for (int j = 0; j < 100; j++)
				free(malloc((size_t)j * 10));
			_exit(0);
		}
		if (waitpid(pid, &status, 0) != pid || status != 0)
			_exit(1);
	}
	stop = true;
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
}

/* Threads free one another's objects, and addresses are used again at once. */
static void *swap_objects(void *seed)
{
	uint64_t x = (uintptr_t)seed;

	for (int i = 0; i < 50000; i++) {
		void *mine;

		x = x * 6364136223846793005ULL + 1442695040888963407ULL;
		mine = malloc((x >> 40) % 200);
		if (x >> 61 == 0)
			mine = realloc(mine, 300);
		free(NULL);
		free(__atomic_exchange_n(&objects[(x >> 33) % 64], mine, __ATOMIC_ACQ_REL));
	}
	return NULL;
}

static void role_swap(void)
{
	pthread_t threads[8];

	come_to_a_point();
	for (uintptr_t i = 0; i < 8; i++)
		pthread_create(&threads[i], NULL, swap_objects, (void *)(i + 1));
	for (int i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < 64; i++) {
		free(objects[i]);
		objects[i] = malloc(10);
	}
	come_to_a_point();
}

static void role_trim(void)
{
	for (int i = 0; i < 65; i++) /* the last is kept: free() cannot give the top back */
		objects[i] = memset(malloc(100000), 1, 100000);
	for (int i = 0; i < 64; i++)
		free(objects[i]);
	come_to_a_point();
}

static void role_errno(void)
{
	for (int i = 0; i < 100000; i++) {
		void *p;

		errno = 12345;
		p = malloc((size_t)i % 300);
		p = realloc(p, 500);
		free(p);
		if (errno != 12345)
			_exit(1);
	}
}

/* Nothing is open but what we were given. */
static void role_descriptors(void)
{
	for (int fd = 3; fd < 200; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			_exit(1);
}

static sigjmp_buf jump;
static volatile sig_atomic_t may_jump;

static void allocate_and_jump(int sig)
{
	static unsigned n;

	free(malloc(40));
	if (may_jump && ++n % 2)
		siglongjmp(jump, 1);
}

/* What is interrupted does not allocate: the C library's malloc must not be
 * entered twice by one thread, with or without us. */
static void role_signals(void)
{
	struct itimerval every = {{0, 1000}, {0, 1000}};
	struct sigaction action = {.sa_handler = allocate_and_jump, .sa_flags = SA_NODEFER};
	volatile int jumps = 0;

	sigaction(SIGPROF, &action, NULL);
	setitimer(ITIMER_PROF, &every, NULL);
	may_jump = 1;
	while (jumps < 100) {
		if (sigsetjmp(jump, 1))
			jumps++;
		for (volatile int i = 0; i < 1000000; i++)
			;
	}
	setitimer(ITIMER_PROF, &(struct itimerval){0}, NULL);
	role_live();
}

/* The thread that answers requests must not keep the process alive. */
static void *end_later(void *unused)
{
	usleep(50000);
	return NULL;
}

static void role_last_thread(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, end_later, NULL);
	pthread_exit(NULL);
}

/* How deep malloc reaches into a stack, the first time round. */
#define PAINT 0xa5
static ucontext_t main_context, coroutine;
static uint8_t *coroutine_bottom;

static void allocate_on_coroutine(void)
{
	coroutine_bottom = __builtin_frame_address(0);
	objects[0] = malloc(123);
}

static unsigned stack_depth(void)
{
	static uint8_t stack[16384];
	unsigned untouched = 0;

	objects[1] = malloc(1); /* the loader binds the call now */
	memset(stack, PAINT, sizeof(stack));
	getcontext(&coroutine);
	coroutine.uc_stack.ss_sp = stack;
	coroutine.uc_stack.ss_size = sizeof(stack);
	coroutine.uc_link = &main_context;
	makecontext(&coroutine, allocate_on_coroutine, 0);
	swapcontext(&main_context, &coroutine);
	while (stack[untouched] == PAINT)
		untouched++;
	return (unsigned)(coroutine_bottom - stack) - untouched;
}

static void role_small_stack(void)
{
	unsigned depth = stack_depth();

	if (write(1, &depth, sizeof(depth)) != sizeof(depth))
		_exit(1);
}

/* The kernel would refuse the table; the program must not notice. */
static void role_alive(void)
{
	for (int i = 0; i < 10000; i++)
		free(malloc((size_t)i));
}

static const struct {
	const char *name;
	void (*run)(void);
} roles[] = {
	{"live", role_live},
	{"realloc", role_realloc},
	{"functions", role_functions},
	{"fork", role_fork},
	{"fork-storm", role_fork_storm},
	{"trim", role_trim},
	{"swap", role_swap},
	{"errno", role_errno},
	{"descriptors", role_descriptors},
	{"signals", role_signals},
	{"last-thread", role_last_thread},
	{"small-stack", role_small_stack},
	{"alive", role_alive},
};

static int run_as(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(roles); i++) {
		if (strcmp(roles[i].name, name) != 0)
			continue;
		alarm(ROLE_SECONDS); /* no role outlives its test */
		roles[i].run();
		return 0;
	}
	return 126;
}
