/*
 * The keeper's end of the socket: one length of a message is right; what an engine has
 * no business with is refused, whatever the kernel would say; what it lives on is not.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <cmocka.h>

#include "daemon/keeper/keeper.h"
#include "daemon/keeper/permit.h"
#include "daemon/keeper/serve.h"
#include "daemon/keeper/wire.h"
#include "profd/base.h"

#define NOBODY	 5000000 /* above the kernel's largest pid_max */
#define STRANGER 4999999

static struct keeper *keeper, *remote;
static struct serve *serve;
static char dir[40], path[64];

static int setup(void **state)
{
	strcpy(dir, "/tmp/test-serve-XXXXXX");
	if (!mkdtemp(dir) || keeper_new_local(&keeper) < 0 || serve_new(keeper, &serve) < 0)
		return -1;
	snprintf(path, sizeof(path), "%s/file", dir);
	serve_start_engine(serve, getpid());
	serve_describe(serve, 7, "nothing is lost\n");
	return 0;
}

static int teardown(void **state)
{
	serve_free(serve);
	keeper_free(keeper);
	unlink(path);
	return rmdir(dir);
}

/* The answer's result; a descriptor that came with it is counted as 1. */
static int ask_with(const void *request, size_t bytes, int fd)
{
	const struct wire_answer *answer;
	const void *p;
	int got;
	size_t n = serve_answer(serve, request, bytes, fd, &p, &got);

	answer = p;
	assert_int_equal(n, sizeof(*answer) + answer->bytes);
	assert_true(answer->result == 0 || (got < 0 && answer->bytes == 0));
	if (got < 0)
		return answer->result;
	assert_int_equal(fcntl(got, F_GETFD), FD_CLOEXEC);
	close(got);
	return 1;
}

static int ask(const void *request, size_t bytes)
{
	return ask_with(request, bytes, -1);
}

static struct perf_event_attr clock_event(void)
{
	return (struct perf_event_attr){
		.size = sizeof(struct perf_event_attr),
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = 1000000,
		.sample_type = PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_STACK_USER,
		.sample_stack_user = 1024,
		.disabled = 1,
		.use_clockid = 1,
		.clockid = CLOCK_MONOTONIC,
	};
}

/* ---- lengths */

static void test_one_length_is_right(void **state)
{
	static const struct {
		enum wire_verb verb;
		size_t bytes;
		int32_t pid;
	} verbs[] = {
		{WIRE_EVENT, sizeof(struct wire_event), 1},
		{WIRE_OPEN, sizeof(struct wire_file), 1},
		{WIRE_READ, sizeof(struct wire_file), 1},
		{WIRE_THREAD, sizeof(struct wire_thread), 1},
		{WIRE_MACHINE, sizeof(struct wire_file), 0},
		{WIRE_TRACEPOINT, sizeof(struct wire_tracepoint), 0},
		{WIRE_STACK, sizeof(struct wire_stack), 1},
		{WIRE_STOP, sizeof(struct wire_stop), 1},
		{WIRE_REST, sizeof(struct wire_head), 0},
		{WIRE_MAPPED, sizeof(struct wire_mapped), 1},
		{WIRE_PROGRAM, sizeof(struct wire_head), 1},
		{WIRE_PERF_MAP, sizeof(struct wire_perf_map), 1},
		{WIRE_DEBUG, sizeof(struct wire_debug), 1},
		{WIRE_TABLE, sizeof(struct wire_mapped), 1},
		{WIRE_DESCRIBE, sizeof(struct wire_head), 0},
	};
	static uint8_t message[2 * WIRE_REQUEST_BYTES];
	struct wire_head *head = (struct wire_head *)message;

	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		*head = (struct wire_head){verbs[i].verb, verbs[i].pid};
		assert_int_not_equal(ask(message, verbs[i].bytes), -EBADMSG);
		for (size_t n = 0; n < verbs[i].bytes + 300; n++)
			if (n != verbs[i].bytes)
				assert_int_equal(ask(message, n), -EBADMSG);
		assert_int_equal(ask(message, WIRE_REQUEST_BYTES), -EBADMSG);
		assert_int_equal(ask(message, WIRE_REQUEST_BYTES + 1), -EBADMSG);
		assert_int_equal(ask(message, sizeof(message)), -EBADMSG);
		/* nor does any of them take a descriptor */
		assert_int_equal(ask_with(message, verbs[i].bytes, 0), -EBADMSG);
	}
	for (uint32_t verb = WIRE_STOP + 1; verb < 100; verb++) {
		*head = (struct wire_head){verb, 1};
		assert_int_equal(ask(message, sizeof(*head)), -EBADMSG);
	}
	*head = (struct wire_head){0, 1};
	assert_int_equal(ask(message, sizeof(*head)), -EBADMSG);
	*head = (struct wire_head){UINT32_MAX, 1};
	assert_int_equal(ask(message, sizeof(*head)), -EBADMSG);
}

/* A length that a string is said to have is that of what follows. */
static void test_strings_are_as_long_as_they_say(void **state)
{
	struct {
		struct wire_mapped m;
		char path[20];
	} mapped = {.m = {.head = {WIRE_MAPPED, 1}, .path_bytes = 9}, .path = "/bin/true"};
	struct {
		struct wire_debug m;
		char strings[20];
	} debug = {.m = {.head = {WIRE_DEBUG, 1},
			 .place = KEEPER_DEBUG_BESIDE,
			 .path_bytes = 4,
			 .name_bytes = 4},
		   .strings = "/a/bname"};
	size_t n = sizeof(mapped.m), d = sizeof(debug.m);

	assert_int_not_equal(ask(&mapped, n + 9), -EBADMSG);
	assert_int_equal(ask(&mapped, n + 8), -EBADMSG);
	assert_int_equal(ask(&mapped, n + 10), -EBADMSG);
	mapped.path[4] = '\0';
	assert_int_equal(ask(&mapped, n + 9), -EBADMSG);
	for (uint32_t bytes = PROFD_MAX_PATH; bytes; bytes <<= 1) {
		mapped.m.path_bytes = bytes;
		assert_int_equal(ask(&mapped, n + 9), -EBADMSG);
	}

	assert_int_equal(ask(&debug, d + 8), -ENOENT);
	debug.m.path_bytes = UINT32_MAX - 3; /* the sum would do */
	debug.m.name_bytes = 12;
	assert_int_equal(ask(&debug, d + 8), -EBADMSG);
	debug.m.path_bytes = 5;
	debug.m.name_bytes = 4;
	assert_int_equal(ask(&debug, d + 8), -EBADMSG);
	debug.m.path_bytes = debug.m.name_bytes = 4;
	debug.m.build_id_bytes = WIRE_BUILD_ID_BYTES + 1;
	assert_int_equal(ask(&debug, d + 8), -EBADMSG);
	debug.m.build_id_bytes = 0;
	for (debug.m.place = 0; debug.m.place <= KEEPER_DEBUG_SPLIT; debug.m.place++)
		assert_int_not_equal(ask(&debug, d + 8), -EBADMSG);
	assert_int_equal(ask(&debug, d + 8), -EBADMSG);
}

/* ---- processes */

static void test_processes_that_are_none(void **state)
{
	static const int32_t pids[] = {0, -1, INT32_MIN, NOBODY, INT32_MAX};

	for (size_t i = 0; i < ARRAY_SIZE(pids); i++) {
		struct wire_file file = {.head = {WIRE_OPEN, pids[i]}, .file = KEEPER_MAPS};
		struct wire_thread thread = {.head = {WIRE_THREAD, pids[i]}, .tid = 1};
		struct wire_stack stack = {.head = {WIRE_STACK, pids[i]}, .tid = 1};
		struct wire_stop stop = {.head = {WIRE_STOP, pids[i]}, .tid = 1};
		struct wire_mapped mapped = {.head = {WIRE_MAPPED, pids[i]}};
		struct wire_mapped table = {.head = {WIRE_TABLE, pids[i]}};
		struct wire_head program = {WIRE_PROGRAM, pids[i]};
		struct wire_perf_map map = {.head = {WIRE_PERF_MAP, pids[i]}, .inner_pid = 1};

		assert_true(ask(&file, sizeof(file)) < 0);
		file = (struct wire_file){.head = {WIRE_READ, pids[i]}, .file = KEEPER_STAT};
		assert_true(ask(&file, sizeof(file)) < 0);
		assert_true(ask(&thread, sizeof(thread)) < 0);
		assert_true(ask(&stack, sizeof(stack)) < 0);
		assert_true(ask(&stop, sizeof(stop)) < 0);
		assert_true(ask(&mapped, sizeof(mapped)) < 0);
		assert_true(ask(&table, sizeof(table)) < 0);
		assert_true(ask(&program, sizeof(program)) < 0);
		assert_true(ask(&map, sizeof(map)) < 0);
	}
}

static void test_each_file_in_its_way(void **state)
{
	static const bool is_read[] = {
		[KEEPER_STAT] = true,	[KEEPER_STATM] = true,	[KEEPER_STATUS] = true,
		[KEEPER_CGROUP] = true, [KEEPER_LIMITS] = true, [KEEPER_ENVIRON] = true,
		[KEEPER_TASK] = false,
	};

	for (uint32_t i = 0; i < 200; i++) {
		struct wire_file m = {.head = {WIRE_OPEN, getpid()}, .file = i};
		bool exists = i < ARRAY_SIZE(is_read);

		assert_int_equal(ask(&m, sizeof(m)), exists && (!is_read[i] || i == KEEPER_STATUS) ? 1
									       : -EPERM);
		m.head.verb = WIRE_READ;
		assert_int_equal(ask(&m, sizeof(m)), exists && is_read[i] ? 0 : -EPERM);
		m.zero = 1;
		assert_int_equal(ask(&m, sizeof(m)), -EBADMSG);
		m = (struct wire_file){.head = {WIRE_MACHINE, 0}, .file = i};
		if (i <= KEEPER_KALLSYMS) /* a kernel may have no modules */
			assert_int_equal(ask(&m, sizeof(m)), 1);
		else if (i > KEEPER_MODULES)
			assert_int_equal(ask(&m, sizeof(m)), -EINVAL);
	}
}

/* ---- events */

static int ask_event(const struct perf_event_attr *attr, pid_t pid, int cpu)
{
	struct wire_event m = {.head = {WIRE_EVENT, pid}, .cpu = cpu, .attr = *attr};

	return ask(&m, sizeof(m));
}

static void test_events_of_the_machine(void **state)
{
	struct perf_event_attr good = clock_event(), a = good;

	if (geteuid() == 0)
		assert_int_equal(ask_event(&a, -1, 0), 1);
	assert_int_equal(permit_event(&a, -1, 0, getpid()), 0);
	a.type = PERF_TYPE_TRACEPOINT;
	assert_int_equal(permit_event(&a, -1, 0, getpid()), 0);
	/* which process, which CPU */
	a = good;
	assert_int_equal(ask_event(&a, -1, -1), -EPERM);
	assert_int_equal(ask_event(&a, 1, 0), -EPERM);
	assert_int_equal(ask_event(&a, 0, 0), -EPERM); /* the keeper itself */
	assert_int_equal(ask_event(&a, getpid(), -1), -EPERM);
	a.sample_type = 0;
	assert_int_equal(ask_event(&a, getpid(), -1), 1);
	assert_int_equal(ask_event(&a, getppid(), -1), -EPERM);
}

static void test_events_of_other_kinds(void **state)
{
	static const uint32_t types[] = {PERF_TYPE_BREAKPOINT, 50, 1000, UINT32_MAX};
	struct perf_event_attr a;
	unsigned probe;
	FILE *f = fopen("/sys/bus/event_source/devices/kprobe/type", "re");

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		a = clock_event();
		a.type = types[i];
		assert_int_equal(ask_event(&a, -1, 0), -EPERM);
	}
	if (f && fscanf(f, "%u", &probe) == 1) {
		a = clock_event();
		a.type = probe;
		assert_int_equal(ask_event(&a, -1, 0), -EPERM);
	}
	if (f)
		fclose(f);
}

/* Every bit of an attribute that is not known to be harmless. */
static void test_events_with_more(void **state)
{
#define REFUSED(change)                                                                            \
	do {                                                                                       \
		struct perf_event_attr a = clock_event();                                          \
		a.change;                                                                          \
		assert_int_equal(ask_event(&a, -1, 0), -EPERM);                                    \
	} while (0)
	REFUSED(size = sizeof(a) - 8);
	REFUSED(size = 0);
	REFUSED(sample_type |= PERF_SAMPLE_RAW);
	REFUSED(sample_type |= PERF_SAMPLE_ADDR);
	REFUSED(sample_type |= PERF_SAMPLE_PHYS_ADDR);
	REFUSED(sample_type |= PERF_SAMPLE_REGS_INTR);
	REFUSED(sample_type |= PERF_SAMPLE_AUX);
	REFUSED(read_format |= PERF_FORMAT_GROUP);
	REFUSED(inherit = 1);
	REFUSED(exclusive = 1);
	REFUSED(enable_on_exec = 1);
	REFUSED(mmap_data = 1);
	REFUSED(write_backward = 1);
	REFUSED(namespaces = 1);
	REFUSED(ksymbol = 1);
	REFUSED(bpf_event = 1);
	REFUSED(aux_output = 1);
	REFUSED(cgroup = 1);
	REFUSED(text_poke = 1);
	REFUSED(inherit_thread = 1);
	REFUSED(remove_on_exec = 1);
	REFUSED(sigtrap = 1);
	REFUSED(bp_type = 1);
	REFUSED(config1 = 1); /* a software event has none: of others it is an address */
	REFUSED(config2 = 1);
	REFUSED(branch_sample_type = 1);
	REFUSED(sample_regs_intr = 1);
	REFUSED(aux_watermark = 1);
	REFUSED(aux_sample_size = 1);
	REFUSED(sig_data = 1);
	REFUSED(clockid = CLOCK_REALTIME);
#undef REFUSED
}

static void test_lends_rings_of_events(void **state)
{
	_cleanup_close_ int memfd = memfd_create("event6", MFD_CLOEXEC); /* a name as long */
	struct perf_event_attr a = clock_event();
	_cleanup_close_ int event = keeper_open_event(keeper, &a, getpid(), -1, 0);
	struct wire_lend m = {.head = {WIRE_LEND, 0}, .bytes = 65536};

	if (event < 0) {
		print_message("SKIPPED: no perf events here\n");
		skip();
	}
	assert_int_equal(ftruncate(memfd, 1 << 20), 0);
	assert_int_equal(ask(&m, sizeof(m)), -EBADMSG);
	assert_int_equal(ask_with(&m, sizeof(m), memfd), -EPERM);
	assert_int_equal(ask_with(&m, sizeof(m), event), 0);
	assert_int_equal(ask_with(&m, sizeof(m) - 1, event), -EBADMSG);
	m.bytes = 65536 + 4096;
	assert_int_equal(ask_with(&m, sizeof(m), event), -EPERM);
	m.bytes = 0;
	assert_int_equal(ask_with(&m, sizeof(m), event), -EPERM);
	m.bytes = 2 * PERMIT_RING_BYTES;
	assert_int_equal(ask_with(&m, sizeof(m), event), -EPERM);
}

/* ---- files by path */

static int ask_mapped(const char *name)
{
	struct {
		struct wire_mapped m;
		char path[200];
	} m = {.m = {.head = {WIRE_MAPPED, getpid()}, .path_bytes = (uint32_t)strlen(name)}};

	memcpy(m.path, name, strlen(name));
	return ask(&m, sizeof(m.m) + strlen(name));
}

static int ask_debug(const char *file, const char *name)
{
	struct {
		struct wire_debug m;
		char strings[200];
	} m = {.m = {.head = {WIRE_DEBUG, getpid()},
		     .place = KEEPER_DEBUG_BESIDE,
		     .path_bytes = (uint32_t)strlen(file),
		     .name_bytes = (uint32_t)strlen(name)}};

	memcpy(m.strings, file, strlen(file));
	memcpy(m.strings + strlen(file), name, strlen(name));
	return ask(&m, sizeof(m.m) + strlen(file) + strlen(name));
}

static void test_files_that_hold_no_code(void **state)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	assert_int_equal(write(fd, "secret", 6), 6);
	assert_int_equal(ask_mapped("/bin/true"), 1);
	assert_int_equal(ask_mapped("/etc/passwd"), -ENOEXEC);
	assert_int_equal(ask_mapped(path), -ENOEXEC);
	assert_int_equal(ask_mapped("/dev/zero"), -EINVAL);
	assert_int_equal(ask_mapped("/proc/self/exe"), -ELOOP);
	assert_int_equal(ask_mapped("/tmp"), -EINVAL);
	assert_int_equal(ask_debug(path, "file"), -ENOEXEC);
	assert_int_equal(ask_debug("/etc/x", "passwd"), -ENOEXEC);
	assert_int_equal(ask_debug(path, "../file"), -EINVAL);
	unlink(path);
	assert_int_equal(mkfifo(path, 0666), 0);
	assert_int_equal(ask_mapped(path), -EINVAL);
	assert_int_equal(ask_debug(path, "file"), -EINVAL);
}

static void test_tracepoints_by_name(void **state)
{
	struct wire_tracepoint m = {.head = {WIRE_TRACEPOINT, 0}, .name = "sched_switch"};

	strcpy(m.system, "..");
	assert_int_equal(ask(&m, sizeof(m)), -EINVAL);
	strcpy(m.system, "sched/..");
	assert_int_equal(ask(&m, sizeof(m)), -EINVAL);
	memset(m.system, 'a', sizeof(m.system)); /* no end */
	assert_int_equal(ask(&m, sizeof(m)), -EBADMSG);
}

static void test_perf_maps_of_their_owners(void **state)
{
	struct wire_perf_map m = {.head = {WIRE_PERF_MAP, getpid()},
				  .inner_pid = getpid(),
				  .uid = getuid(),
				  .max_bytes = 1000};

	assert_int_equal(ask(&m, sizeof(m)), -ENOENT);
	m.uid = STRANGER;
	assert_int_equal(ask(&m, sizeof(m)), -EPERM);
	m.uid = getuid();
	m.inner_pid = 1;
	assert_int_equal(ask(&m, sizeof(m)), -EPERM);
	m.inner_pid = getpid();
	m.max_bytes = PROFD_MAX_PERF_MAP_BYTES + 1;
	assert_int_equal(ask(&m, sizeof(m)), -EPERM);
}

/* ---- stacks */

static void test_stacks_from_their_pointer_on(void **state)
{
	pid_t pid = fork();
	struct wire_stack m = {.head = {WIRE_STACK, pid}, .tid = pid};
	unsigned long long sp = 0;
	char text[256], *at;
	ssize_t n;
	int r;

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	do { /* until it waits */
		n = keeper_read_thread(keeper, pid, pid, KEEPER_THREAD_SYSCALL, text,
				       sizeof(text) - 1);
		text[max(n, (ssize_t)0)] = '\0';
		at = strrchr(text, ' ');
		if (at) {
			*at = '\0';
			at = strrchr(text, ' ');
		}
	} while (!at || sscanf(at, " 0x%llx", &sp) != 1 || sp == 0);
	m.sp = sp;
	r = ask(&m, sizeof(m));
	for (int i = -8; i <= 8; i++) {
		m.sp = sp + (uint64_t)(int64_t)i * 8;
		if (i != 0)
			assert_int_equal(ask(&m, sizeof(m)), -EAGAIN);
	}
	m.sp = 0;
	assert_int_equal(ask(&m, sizeof(m)), -EAGAIN);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(r, 0);
}

/* ---- both ends */

static struct keeper_description describe(void)
{
	struct wire_head m = {WIRE_DESCRIBE, 0};
	struct keeper_description d;
	const void *answer;
	int fd;

	assert_int_equal(serve_answer(serve, &m, sizeof(m), -1, &answer, &fd),
			 sizeof(struct wire_answer) + sizeof(d));
	memcpy(&d, (const uint8_t *)answer + sizeof(struct wire_answer), sizeof(d));
	return d;
}

static void test_counts_what_it_refuses(void **state)
{
	struct keeper_description d = describe();

	assert_int_equal(d.keeper, getpid());
	assert_int_equal(d.starter, 7);
	assert_int_equal(d.engines, 1);
	assert_int_equal(d.refused, 0);
	assert_string_equal(d.notes, "nothing is lost\n");
	(void)ask("x", 1);
	d = describe();
	assert_int_equal(d.refused, 1);
	assert_int_equal(d.requests, 3);
	serve_start_engine(serve, 1);
	d = describe();
	assert_int_equal(d.engines, 2);
	assert_int_equal(d.refused, 0);
}

/* What the engine's end asks is what the keeper's end understands. */
static void test_the_ends_agree(void **state)
{
	struct keeper_debug wanted = {.place = KEEPER_DEBUG_BESIDE, .path = "/a", .name = "b"};
	struct perf_event_attr a = clock_event();
	struct keeper_description d;
	const uint8_t *bytes;
	int sockets[2];
	char text[8192];
	pid_t pid;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets), 0);
	pid = fork();
	if (pid == 0) {
		struct pollfd wait = {.fd = sockets[0], .events = POLLIN};

		close(sockets[1]);
		while (poll(&wait, 1, -1) == 1 && serve_socket(serve, sockets[0]) == 0)
			;
		_exit(0);
	}
	close(sockets[0]);
	assert_int_equal(keeper_new_remote(sockets[1], &remote), 0);
#define OPENS(call)                                                                                \
	do {                                                                                       \
		int fd = call;                                                                     \
		assert_true(fd >= 0);                                                              \
		assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);                                  \
		close(fd);                                                                         \
	} while (0)
	OPENS(keeper_open_file(remote, getpid(), KEEPER_MAPS));
	OPENS(keeper_open_machine(remote, KEEPER_KALLSYMS));
	OPENS(keeper_open_program(remote, getpid()));
	OPENS(keeper_open_mapped(remote, getpid(), 0, 0, "/bin/true"));
	OPENS(keeper_open_process(remote, getpid()));
#undef OPENS
	assert_true(keeper_read_file(remote, getpid(), KEEPER_STAT, text, sizeof(text)) > 10);
	assert_int_equal(keeper_read_file(remote, getpid(), KEEPER_STAT, text, 2), 2);
	assert_true(keeper_read_file(remote, getpid(), KEEPER_SMAPS_ROLLUP, text, 100) == 100);
	assert_true(keeper_read_thread(remote, getpid(), getpid(), KEEPER_THREAD_COMM, text, 99) >
		    5);
	assert_int_equal(keeper_open_debug(remote, &wanted), -ENOENT);
	assert_int_equal(keeper_open_table(remote, getpid(), 1, 2), -ENOENT);
	assert_int_equal(keeper_open_perf_map(remote, getpid(), getpid(), getuid(), 9), -ENOENT);
	assert_int_equal(keeper_open_tracepoint(remote, "../a", "b"), -EINVAL);
	assert_int_equal(keeper_read_stack(remote, getpid(), getpid(), 8, &bytes), -EAGAIN);
	assert_int_equal(keeper_open_event(remote, &a, 1, -1, 0), -EPERM);
	assert_int_equal(keeper_lend_ring(remote, 1, 4096), -EPERM);
	keeper_rest(remote);
	assert_int_equal(keeper_describe(remote, &d), 0);
	assert_int_equal(d.keeper, pid);
	assert_int_equal(keeper_add_debug_dir(remote, "/tmp"), -EPERM);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(keeper_open_file(remote, getpid(), KEEPER_MAPS), -ECONNRESET);
	keeper_free(remote);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_one_length_is_right),	   T(test_strings_are_as_long_as_they_say),
		T(test_processes_that_are_none),   T(test_each_file_in_its_way),
		T(test_events_of_the_machine),	   T(test_events_of_other_kinds),
		T(test_events_with_more),	   T(test_lends_rings_of_events),
		T(test_files_that_hold_no_code),   T(test_tracepoints_by_name),
		T(test_perf_maps_of_their_owners), T(test_stacks_from_their_pointer_on),
		T(test_counts_what_it_refuses),	   T(test_the_ends_agree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
