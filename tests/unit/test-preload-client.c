/*
 * libprofd.so in a live process: this program runs itself under LD_PRELOAD, in
 * the role that its argument names, takes the table over a socket as profd would,
 * and compares what it says with what the role did. At rate 1 all is exact.
 *
 * A role writes one byte when it has come to a point, and goes on when it reads one.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include <cmocka.h>

#include "profd/base.h"
#include "profd/heap_table.h"

#define DEADLINE_MS 20000
#define N_OBJECTS 1000

/* ---- roles */

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
	if (q || reallocarray(p, overflowing, 100) || calloc(overflowing, 100) || malloc(impossible))
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
	void *p[9] = { 0 };

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

/* The malloc of our own run in the handler would deadlock in the C library if it
 * interrupted the C library's; the samples are taken of a function of ours. */
static void role_signals(void)
{
	struct itimerval every = { { 0, 1000 }, { 0, 1000 } };
	struct sigaction action = { .sa_handler = allocate_and_jump, .sa_flags = SA_NODEFER };
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
	setitimer(ITIMER_PROF, &(struct itimerval){ 0 }, NULL);
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
	{ "live", role_live },	       { "realloc", role_realloc },
	{ "functions", role_functions }, { "fork", role_fork },
	{ "fork-storm", role_fork_storm }, { "trim", role_trim },
	{ "swap", role_swap },	       { "errno", role_errno },       { "descriptors", role_descriptors },
	{ "signals", role_signals },   { "last-thread", role_last_thread },
	{ "small-stack", role_small_stack }, { "alive", role_alive },
};

/* ---- the other end */

struct client {
	pid_t pid;
	int listener, in, out; /* in: what the role reads */
	const struct heap_header *table;
	int table_fd;
};

static char library[4096];
static char socket_path[64];

static int listen_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, path);
	unlink(path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 16), 0);
	return fd;
}

static void wait_readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
}

/* Takes an Attach message: request field 1, with version 1, and a descriptor. */
static const struct heap_header *take_table(int listener, int *ret_fd)
{
	static const uint8_t attach[] = { 0x0a, 2, 0x08, HEAP_TABLE_VERSION };
	uint8_t bytes[64];
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { bytes, sizeof(bytes) };
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct stat st;
	void *table;
	int peer;

	wait_readable(listener);
	peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(peer >= 0);
	assert_int_equal(recvmsg(peer, &message, MSG_CMSG_CLOEXEC), sizeof(attach));
	assert_memory_equal(bytes, attach, sizeof(attach));
	memcpy(ret_fd, CMSG_DATA(&control.header), sizeof(int));
	close(peer);
	assert_int_equal(fcntl(*ret_fd, F_GET_SEALS) & (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL),
			 F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	assert_int_equal(fstat(*ret_fd, &st), 0);
	table = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, *ret_fd, 0);
	assert_ptr_not_equal(table, MAP_FAILED);
	return table;
}

static void start_limited(struct client *c, const char *role, const char *rate, int resource,
			  rlim_t limit)
{
	struct rlimit rlimit = { limit, limit };
	int in[2], out[2];

	c->listener = listen_at(socket_path);
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	c->pid = fork();
	if (c->pid == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		close_range(3, ~0U, 0);
		setenv("LD_PRELOAD", library, 1);
		setenv("PROFD_SOCKET", socket_path, 1);
		setenv("PROFD_RATE", rate, 1);
		if (resource >= 0)
			setrlimit(resource, &rlimit);
		execl("/proc/self/exe", "test-preload-client", "role", role, NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	c->in = in[1];
	c->out = out[0];
	c->table = NULL;
	c->table_fd = -1;
}

static void start(struct client *c, const char *role)
{
	start_limited(c, role, "1", -1, 0);
	c->table = take_table(c->listener, &c->table_fd);
}

static void await_point(struct client *c)
{
	char byte;

	wait_readable(c->out);
	assert_int_equal(read(c->out, &byte, 1), 1);
}

static void let_go(struct client *c)
{
	assert_int_equal(write(c->in, "", 1), 1);
}

static int finish(struct client *c)
{
	int status;

	for (int ms = 0; waitpid(c->pid, &status, WNOHANG) == 0; ms++) {
		if (ms == DEADLINE_MS) {
			kill(c->pid, SIGKILL);
			waitpid(c->pid, &status, 0);
			fail_msg("the role hung");
		}
		usleep(1000);
	}
	close(c->in);
	close(c->out);
	close(c->listener);
	return status;
}

struct sums {
	int64_t objects, bytes; /* in use */
	int64_t live_objects, live_bytes; /* by the live records */
};

static struct sums sum(const struct heap_header *t)
{
	const uint8_t *base = (const uint8_t *)t;
	const struct heap_bucket *b = (const void *)(base + t->regions[HEAP_REGION_BUCKETS].offset);
	const uint64_t *keys = (const void *)(base + t->regions[HEAP_REGION_KEYS].offset);
	const struct heap_live *live = (const void *)(base + t->regions[HEAP_REGION_LIVE].offset);
	struct sums s = { 0 };

	for (uint32_t i = 0; i < t->regions[HEAP_REGION_BUCKETS].used; i++) {
		s.objects += (int64_t)(b[i].alloc_objects - b[i].free_objects);
		s.bytes += (int64_t)(b[i].alloc_bytes - b[i].free_bytes);
	}
	for (uint32_t i = 0; i < t->regions[HEAP_REGION_KEYS].used; i++) {
		if (keys[i] == 0)
			continue;
		s.live_objects++;
		s.live_bytes += (int64_t)live[i].size;
	}
	assert_int_equal(s.objects % (1 << HEAP_OBJECT_SHIFT), 0);
	s.objects >>= HEAP_OBJECT_SHIFT;
	s.bytes >>= HEAP_BYTE_SHIFT;
	assert_int_equal(s.objects, s.live_objects);
	assert_int_equal(s.bytes, s.live_bytes);
	return s;
}

static void assert_grown(const struct client *c, const struct sums *since, int64_t objects_more,
			 int64_t bytes_more)
{
	struct sums now = sum(c->table);

	assert_int_equal(now.objects - since->objects, objects_more);
	assert_int_equal(now.bytes - since->bytes, bytes_more);
	for (int i = 0; i < HEAP_LOST_N; i++)
		assert_int_equal(c->table->lost[i], 0);
}

/* ---- tests */

static void test_live_bytes_are_exact(void **state)
{
	struct client c;
	struct sums before;

	start(&c, "live");
	assert_int_equal(c.table->magic, HEAP_TABLE_MAGIC);
	assert_int_equal(c.table->pid, c.pid);
	await_point(&c);
	assert_int_equal(c.table->state, HEAP_STATE_ACTIVE);
	before = sum(c.table);
	let_go(&c);
	await_point(&c);
	assert_grown(&c, &before, N_OBJECTS, N_OBJECTS * 100);
	let_go(&c);
	await_point(&c);
	assert_grown(&c, &before, 0, 0);
	let_go(&c);
	assert_int_equal(finish(&c), 0);
	assert_int_equal(c.table->state, HEAP_STATE_EXITED);
}

static void test_failed_reallocations_change_nothing(void **state)
{
	struct client c;
	struct sums before;

	start(&c, "realloc");
	await_point(&c);
	before = sum(c.table);
	let_go(&c);
	await_point(&c);
	assert_grown(&c, &before, 1, 1000);
	let_go(&c);
	await_point(&c);
	assert_grown(&c, &before, 1, 3000);
	let_go(&c);
	await_point(&c);
	assert_grown(&c, &before, 0, 0);
	let_go(&c);
	assert_int_equal(finish(&c), 0);
}

/* What the C library keeps for threads that have ended is live, too: a stack's
 * thread-local storage, some of it of known size. So objects are told apart by
 * size class, of which only these have 16. */
static int64_t live_of_class(const struct heap_header *t, uint64_t size_class)
{
	const uint8_t *base = (const uint8_t *)t;
	const struct heap_bucket *b = (const void *)(base + t->regions[HEAP_REGION_BUCKETS].offset);
	int64_t n = 0;

	for (uint32_t i = 0; i < t->regions[HEAP_REGION_BUCKETS].used; i++)
		if (b[i].size_class == size_class)
			n += (int64_t)(b[i].alloc_objects - b[i].free_objects);
	return n >> HEAP_OBJECT_SHIFT;
}

static void test_no_phantoms_when_threads_swap_objects(void **state)
{
	int64_t before;
	struct client c;

	start(&c, "swap");
	await_point(&c);
	before = live_of_class(c.table, 16);
	let_go(&c);
	await_point(&c);
	sum(c.table);
	assert_int_equal(live_of_class(c.table, 16) - before, 64);
	assert_true(c.table->samples > 400000);
	for (int i = 0; i < HEAP_LOST_N; i++)
		assert_int_equal(c.table->lost[i], 0);
	let_go(&c);
	assert_int_equal(finish(&c), 0);
}

static void test_every_function_is_counted(void **state)
{
	struct client c;
	struct sums before;

	start(&c, "functions");
	await_point(&c);
	before = sum(c.table);
	let_go(&c);
	await_point(&c);
	assert_grown(&c, &before, 9, 900);
	let_go(&c);
	await_point(&c);
	assert_grown(&c, &before, 0, 0);
	let_go(&c);
	assert_int_equal(finish(&c), 0);
}

static void test_stacks_reach_the_start(void **state)
{
	const struct heap_stack *stacks;
	unsigned broken = 0, n;
	struct client c;

	start(&c, "live");
	await_point(&c);
	let_go(&c);
	await_point(&c);
	stacks = (const void *)((const uint8_t *)c.table +
				c.table->regions[HEAP_REGION_STACKS].offset);
	n = c.table->regions[HEAP_REGION_STACKS].used;
	assert_true(n > 0);
	for (unsigned i = 0; i < n; i++) {
		assert_true(stacks[i].n_frames >= 2);
		broken += (stacks[i].flags & HEAP_STACK_BROKEN) != 0;
	}
	assert_int_equal(broken, 0);
	assert_true(c.table->regions[HEAP_REGION_MODULES].used >= 2);
	let_go(&c);
	await_point(&c);
	let_go(&c);
	assert_int_equal(finish(&c), 0);
}

static void test_fork_child_has_a_table_of_its_own(void **state)
{
	struct client parent, child;
	struct sums before, at_fork;

	start(&parent, "fork");
	await_point(&parent);
	before = sum(parent.table);
	let_go(&parent);
	await_point(&parent);
	at_fork = sum(parent.table);
	let_go(&parent);

	child = parent;
	child.table = take_table(parent.listener, &child.table_fd);
	assert_int_not_equal(child.table->pid, parent.pid);
	await_point(&child);
	assert_grown(&child, &before, N_OBJECTS / 2 + 1, N_OBJECTS / 2 * 100 + 7777);
	assert_grown(&parent, &at_fork, 0, 0);
	let_go(&child);
	await_point(&parent);
	assert_grown(&parent, &before, N_OBJECTS, N_OBJECTS * 100);
	let_go(&parent);
	assert_int_equal(finish(&parent), 0);
}

static void test_fork_among_threads_does_not_hang(void **state)
{
	struct client c;

	start_limited(&c, "fork-storm", "1000", -1, 0);
	assert_int_equal(finish(&c), 0);
}

/* Raises a request as profd does. Returns the result. */
static uint32_t request_trim(const struct client *c, uint64_t budget_bytes)
{
	struct heap_header *t = (struct heap_header *)c->table;
	uint32_t seq = t->request.seq + 1;

	t->request.verb = HEAP_VERB_TRIM;
	t->request.budget_bytes = budget_bytes;
	__atomic_store_n(&t->request.seq, seq, __ATOMIC_RELEASE);
	syscall(SYS_futex, &t->request.seq, FUTEX_WAKE, 1, NULL, NULL, 0);
	for (int ms = 0; __atomic_load_n(&t->reply.seq, __ATOMIC_ACQUIRE) != seq; ms++) {
		assert_true(ms < DEADLINE_MS);
		usleep(1000);
	}
	return t->reply.result;
}

static int64_t resident_bytes(pid_t pid)
{
	char path[64];
	long pages = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/statm", pid);
	f = fopen(path, "re");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%*d %ld", &pages), 1);
	fclose(f);
	return pages * sysconf(_SC_PAGESIZE);
}

static void test_trim_is_answered(void **state)
{
	struct client c;
	int64_t resident;

	start(&c, "trim");
	await_point(&c);
	assert_int_equal(request_trim(&c, 1000), HEAP_TRIM_OVER_BUDGET);
	assert_string_equal(c.table->reply.allocator, "glibc");
	assert_true(c.table->reply.before.free > 1000);
	resident = resident_bytes(c.pid);
	assert_int_equal(request_trim(&c, 1 << 30), HEAP_TRIM_DONE);
	assert_true(resident - resident_bytes(c.pid) > 5000000);
	assert_true(c.table->reply.before.in_use > 100000);
	assert_int_equal(c.table->reply.after.in_use, c.table->reply.before.in_use);
	assert_true(c.table->reply.duration_ns > 0);
	let_go(&c);
	assert_int_equal(finish(&c), 0);
}

static void run_role(const char *role, const char *rate, int resource, rlim_t limit)
{
	struct client c;

	start_limited(&c, role, rate, resource, limit);
	assert_int_equal(finish(&c), 0);
}

static void test_errno_is_kept(void **state)
{
	run_role("errno", "1", -1, 0);
	run_role("errno", "5000", -1, 0);
}

static void test_no_descriptor_is_left(void **state)
{
	run_role("descriptors", "1", -1, 0);
}

static void test_signals_leave_nothing_stuck(void **state)
{
	struct client c;
	struct sums before;

	start(&c, "signals");
	await_point(&c);
	before = sum(c.table);
	let_go(&c);
	await_point(&c);
	assert_grown(&c, &before, N_OBJECTS, N_OBJECTS * 100);
	let_go(&c);
	await_point(&c);
	let_go(&c);
	assert_int_equal(finish(&c), 0);
}

static void test_process_ends_with_its_last_thread(void **state)
{
	run_role("last-thread", "1", -1, 0);
}

static void test_little_stack_is_used(void **state)
{
	struct client c;
	unsigned depth = 0;

	start_limited(&c, "small-stack", "1", -1, 0);
	wait_readable(c.out);
	assert_int_equal(read(c.out, &depth, sizeof(depth)), sizeof(depth));
	print_message("malloc reached %u bytes into the stack\n", depth);
	assert_in_range(depth, 200, 1200);
	assert_int_equal(finish(&c), 0);
}

static void test_low_limits_do_no_harm(void **state)
{
	run_role("alive", "1", RLIMIT_FSIZE, 65536);
	run_role("alive", "1", RLIMIT_FSIZE, 8 << 20); /* room for the small table */
	run_role("alive", "1", RLIMIT_NOFILE, 4);
	run_role("alive", "nonsense", -1, 0);
}

static void test_bad_rate_is_noted(void **state)
{
	struct client c;

	start_limited(&c, "alive", "nonsense", -1, 0);
	c.table = take_table(c.listener, &c.table_fd);
	assert_int_equal(finish(&c), 0);
	assert_int_equal(c.table->rate_bytes, 524288);
	assert_int_equal(c.table->notes & HEAP_NOTE_RATE_INVALID, HEAP_NOTE_RATE_INVALID);
}

static int run_as(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(roles); i++) {
		if (strcmp(roles[i].name, name) != 0)
			continue;
		roles[i].run();
		return 0;
	}
	return 126;
}

/* build/tests/test-preload-client -> build/libprofd.so */
static bool find_library(void)
{
	ssize_t n = readlink("/proc/self/exe", library, sizeof(library) - 32);

	if (n < 0)
		return false;
	library[n] = '\0';
	for (int up = 0; up < 2; up++) {
		char *slash = strrchr(library, '/');

		if (!slash)
			return false;
		*slash = '\0';
	}
	strcat(library, "/libprofd.so");
	return access(library, R_OK) == 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_live_bytes_are_exact),
		cmocka_unit_test(test_failed_reallocations_change_nothing),
		cmocka_unit_test(test_no_phantoms_when_threads_swap_objects),
		cmocka_unit_test(test_every_function_is_counted),
		cmocka_unit_test(test_stacks_reach_the_start),
		cmocka_unit_test(test_fork_child_has_a_table_of_its_own),
		cmocka_unit_test(test_fork_among_threads_does_not_hang),
		cmocka_unit_test(test_trim_is_answered),
		cmocka_unit_test(test_errno_is_kept),
		cmocka_unit_test(test_no_descriptor_is_left),
		cmocka_unit_test(test_signals_leave_nothing_stuck),
		cmocka_unit_test(test_process_ends_with_its_last_thread),
		cmocka_unit_test(test_little_stack_is_used),
		cmocka_unit_test(test_low_limits_do_no_harm),
		cmocka_unit_test(test_bad_rate_is_noted),
	};
	int r;

	if (argc == 3 && strcmp(argv[1], "role") == 0)
		return run_as(argv[2]);
#ifdef __SANITIZE_ADDRESS__
	print_message("SKIPPED: the sanitizer has an allocator of its own\n");
	return 0;
#endif
	if (!find_library()) {
		print_message("SKIPPED: no libprofd.so at %s\n", library);
		return 0;
	}
	signal(SIGPIPE, SIG_IGN);
	snprintf(socket_path, sizeof(socket_path), "/tmp/profd-test-%d.sock", getpid());
	r = cmocka_run_group_tests_name("preload-client", tests, NULL, NULL);
	unlink(socket_path);
	return r;
}
