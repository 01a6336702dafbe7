/*
 * Start and end.
 *
 * The first allocation that comes through when the C library is up starts the
 * session, at the latest our constructor does: libraries allocate in theirs,
 * which may run before it. Of two that try one does it, the other passes
 * through. All system calls are made here, before main.
 */
#include "client/preload/session.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <unistd.h>

#include "client/preload/aside.h"
#include "client/preload/cpu.h"
#include "client/preload/early.h"
#include "client/preload/environment.h"
#include "client/preload/fast.h"
#include "client/preload/fork.h"
#include "client/preload/objects.h"
#include "client/preload/operators.h"
#include "client/preload/service.h"
#include "client/preload/table.h"
#include "client/preload/trim.h"
#include "client/preload/waits.h"
#include "client/preload/weight.h"

#define STACK_LIMIT_MIN (8ULL << 20)
#define STACK_LIMIT_MAX (1ULL << 30)

#define SCRIPT_ARGUMENTS 3 /* where a script's name is: at most an option comes before it */

struct session session;

static void set_state(enum session_state state)
{
	__atomic_store_n(&session.state, state, __ATOMIC_RELEASE);
}

static void learn_stack(void)
{
	void *const *end = dlsym(RTLD_DEFAULT, "__libc_stack_end");
	struct rlimit limit;

	session.main_stack_top = end ? (uint64_t)*end : 0;
	session.stack_limit_bytes = STACK_LIMIT_MIN;
	if (getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur > STACK_LIMIT_MIN &&
	    limit.rlim_cur <= STACK_LIMIT_MAX)
		session.stack_limit_bytes = limit.rlim_cur;
}

/* The kernel gives each process 16 random bytes. */
static void learn_seed(void)
{
	const void *random = (const void *)getauxval(AT_RANDOM);

	session.seed = (uint64_t)getauxval(AT_PHDR);
	if (random)
		memcpy(&session.seed, random, sizeof(session.seed));
	session.seed = weight_mix(session.seed);
}

/* A script's name is what its interpreter was started as, and then one of the
 * first arguments, too. Where in doubt, yes. */
static bool is_script(const char *name)
{
	const uint64_t *argc = (const uint64_t *)session.main_stack_top;
	char *const *argv = (char *const *)(argc + 1);

	if (!argc)
		return true;
	for (uint64_t i = 1; i < *argc && i <= SCRIPT_ARGUMENTS; i++)
		if (!argv[i] || strcmp(argv[i], name) == 0)
			return true;
	return false;
}

/*
 * The name that the program was started by lies above its environment, and is as
 * good as the link in /proc, reading which costs a tenth of what it takes to start
 * a small program: profd knows the file better while the process lives, and
 * compares build-ids when it opens it by name.
 */
static void learn_program(void)
{
	static char link[PATH_MAX];
	const char *name = (const char *)getauxval(AT_EXECFN);

	if (name && name[0] == '/' && strncmp(name, "/dev/", 5) != 0 &&
	    strncmp(name, "/proc/", 6) != 0 && !is_script(name)) {
		session.program = name;
		return;
	}
	session.program = link;
	if (readlink("/proc/self/exe", link, sizeof(link) - 1) < 0)
		link[0] = '\0';
}

static void begin(const struct environment *environment)
{
	int fd;

	if (environment->disabled) {
		set_state(SESSION_OFF);
		return;
	}
	session.rate_bytes = environment->rate_bytes;
	session.has_clock = getauxval(AT_SYSINFO_EHDR) != 0;
	learn_stack();
	learn_seed();
	learn_program();
	objects_init();
	if (table_new(environment->socket_path, &fd) < 0) {
		set_state(SESSION_OFF);
		return;
	}
	if (environment->rate_invalid)
		session.table->notes |= HEAP_NOTE_RATE_INVALID;
	__atomic_store_n(&session.table->state, HEAP_STATE_ACTIVE, __ATOMIC_RELEASE);
	set_state(SESSION_ACTIVE);
	service_attach(environment->socket_path, fd);
	close(fd);
}

void session_begin(void)
{
	const struct environment *environment = environment_get();
	uint32_t fresh = SESSION_NEW;
	int saved = errno;

	if (!environment || !__atomic_compare_exchange_n(&session.state, &fresh, SESSION_STARTING,
							 false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		return;
	begin(environment);
	errno = saved;
}

/* What needs the C library to be up. */
static void complete(const struct environment *environment)
{
	trim_init();
	/* An allocator may register its fork handlers at its first use. The C library's
	 * has none, and a program that never allocates is spared that one's start. */
	if (!trim_is_glibc()) {
		fast_next.free(fast_next.malloc(1));
		waits_init(); /* it takes locks by these names, and our thread may be in it */
	}
	waits_begin(environment->block_rate_ns, environment->mutex_fraction);
	fork_init(environment->socket_path);
	operators_init();
	cpu_init();
	cpu_begin_thread();
	if (environment->no_trim)
		service_do_without();
	else
		service_start();
}

/* What it allocates is no part of the program's heap. */
__attribute__((constructor)) static void session_start(void)
{
	uint64_t countdown;
	int saved = errno;

	aside_init();
	cpu_hooks_init();
	if (!early_next_is_ready())
		return;
	session_begin();
	if (session_is_recording()) {
		countdown = fast_thread.countdown;
		fast_thread.countdown = UINT64_MAX;
		complete(environment_get());
		fast_thread.countdown = countdown;
	}
	errno = saved;
}

/* Sampling may go on: later destructors still allocate and free. */
__attribute__((destructor)) static void session_end(void)
{
	cpu_end_thread();
	if (session_is_recording())
		__atomic_store_n(&session.table->state, HEAP_STATE_EXITED, __ATOMIC_RELEASE);
}
