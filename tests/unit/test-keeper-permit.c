/*
 * What an engine has no business with is refused, whatever the kernel would say; what it
 * lives on is not.
 */
#include "tests/unit/serve-harness.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "daemon/keeper/permit.h"

#define NOBODY	 5000000 /* above the kernel's largest pid_max */
#define STRANGER 4999999

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

		assert_int_equal(ask(&m, sizeof(m)),
				 exists && (!is_read[i] || i == KEEPER_STATUS) ? 1 : -EPERM);
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

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_processes_that_are_none),   T(test_each_file_in_its_way),
		T(test_events_of_the_machine),	   T(test_events_of_other_kinds),
		T(test_events_with_more),	   T(test_lends_rings_of_events),
		T(test_files_that_hold_no_code),   T(test_tracepoints_by_name),
		T(test_perf_maps_of_their_owners), T(test_stacks_from_their_pointer_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
