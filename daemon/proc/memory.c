/*
 * A thread's stack is the mapping that its stack pointer lies in. The kernel
 * tells the pointer of a thread that waits; one that runs has none to tell, so
 * it is asked a few times, and a thread that always runs is not found. Stacks
 * that lie inside of what malloc handed out (coroutines) belong to the heap.
 *
 * Where glibc's malloc keeps memory is known by its shape: the program break is
 * called [heap]; an arena starts at a multiple of 64 MiB, and what it does not use
 * yet is a mapping without any permission, up to the next such multiple. Large
 * objects have mappings of their own, which nothing distinguishes from others:
 * malloc itself tells their sum.
 *
 * All pages are counted in one reading of smaps, so that the parts add up to its
 * RSS. Lines are the kernel's but for the path, which cannot hold a newline.
 */
#include "daemon/proc/memory.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "daemon/proc/identity.h"
#include "daemon/proc/maps.h"
#include "daemon/proc/pids.h"
#include "profd/base.h"
#include "proto/heap_name.h"
#include "profd/limits.h"

#define ARENA_BYTES    (64ULL << 20) /* HEAP_MAX_SIZE of glibc's malloc */
#define POINTER_ROUNDS 3

/* ---- mappings */

struct area {
	uint64_t start, end;
	uint64_t rss, anonymous;
	bool nameless, reserved; /* no file and no name; no permission at all */
	bool heap, stack, table;
};

struct smaps {
	const uint64_t *pointers;
	size_t n;
	struct area last; /* end 0: none */
	struct process_memory memory;
};

static size_t count_pointers(const struct smaps *s, const struct area *a)
{
	size_t low = 0, high = s->n, n = 0;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (s->pointers[middle] < a->start)
			low = middle + 1;
		else
			high = middle;
	}
	while (low + n < s->n && s->pointers[low + n] < a->end)
		n++;
	return n;
}

/* @next: the mapping that follows; NULL: none. */
static bool is_arena(const struct area *a, const struct area *next)
{
	uint64_t limit = (a->end + ARENA_BYTES - 1) & ~(ARENA_BYTES - 1);

	if (!a->nameless || a->reserved || a->start % ARENA_BYTES != 0)
		return false;
	return a->end == limit || (next && next->nameless && next->reserved &&
				   next->start == a->end && next->end >= limit);
}

static void finish_area(struct smaps *s, const struct area *next)
{
	const struct area *a = &s->last;
	struct process_memory *m = &s->memory;
	size_t n;

	if (a->end == 0)
		return;
	m->rss += a->rss;
	m->anonymous += a->anonymous;
	if (a->table) {
		m->table += a->rss - min(a->rss, a->anonymous);
	} else if (a->heap || is_arena(a, next)) {
		m->glibc_areas += a->anonymous;
	} else if (a->stack || a->nameless) {
		n = count_pointers(s, a);
		if (n == 0 && !a->stack)
			return;
		m->stacks += a->anonymous;
		m->threads_found += (unsigned)max(n, (size_t)1);
	}
}

/* maps_parse_line() leaves the permissions to whoever needs them. */
static bool start_area(char *line, struct area *ret)
{
	const char *permissions = strchr(line, ' ');
	bool reserved = permissions && strncmp(permissions + 1, "---", 3) == 0;
	struct maps_entry e;

	if (maps_parse_line(line, &e) < 0)
		return false;
	*ret = (struct area){
		.start = e.start,
		.end = e.end,
		.reserved = reserved,
		/* a mapping may carry a name that the program gave it */
		.nameless = e.inode == 0 && (*e.path == '\0' || strncmp(e.path, "[anon:", 6) == 0),
		.heap = strcmp(e.path, "[heap]") == 0,
		.stack = strcmp(e.path, "[stack]") == 0,
		.table = heap_name_is_mapped(e.path, NULL),
	};
	return true;
}

static bool take_kib(const char *line, const char *key, uint64_t *sum)
{
	uint64_t kib;

	if (strncmp(line, key, strlen(key)) != 0)
		return false;
	if (sscanf(line + strlen(key), " %" SCNu64 " kB", &kib) == 1 && kib < UINT64_MAX >> 20)
		*sum += kib * 1024;
	return true;
}

static void take_line(struct smaps *s, char *line)
{
	struct area next;

	if (take_kib(line, "Rss:", &s->last.rss) ||
	    take_kib(line, "Anonymous:", &s->last.anonymous) ||
	    take_kib(line, "Swap:", &s->memory.swap))
		return;
	if (*line >= 'A' && *line <= 'Z') /* a key; addresses are in lower case */
		return;
	line[strcspn(line, "\n")] = '\0';
	if (!start_area(line, &next))
		return;
	finish_area(s, &next);
	s->last = next;
}

int memory_read_smaps(int fd, const uint64_t *pointers, size_t n, struct process_memory *ret_memory)
{
	struct smaps s = {.pointers = pointers, .n = n, .memory = {.by_mapping = true}};
	_cleanup_free_ char *line = NULL;
	int own = dup(fd);
	FILE *f = own < 0 ? NULL : fdopen(own, "re");
	size_t room = 0, bytes = 0;
	ssize_t got;

	if (!f) {
		profd_closep(&own);
		return -ENOMEM;
	}
	while (bytes <= PROFD_MAX_SMAPS_BYTES && (got = getline(&line, &room, f)) > 0) {
		bytes += (size_t)got;
		take_line(&s, line);
	}
	fclose(f);
	if (bytes > PROFD_MAX_SMAPS_BYTES)
		return -EFBIG;
	if (s.last.end == 0) /* it has no memory any more */
		return -ESRCH;
	finish_area(&s, NULL);
	s.memory.threads = (unsigned)n;
	*ret_memory = s.memory;
	return 0;
}

/* ---- threads */

int memory_parse_stack_pointer(const char *text, uint64_t *ret_pointer)
{
	const char *last, *at;
	char *end;
	uint64_t pointer;

	if (strncmp(text, "running", 7) == 0)
		return -EAGAIN;
	/* a number, perhaps its six arguments, then the stack pointer and the pc */
	last = strrchr(text, ' ');
	if (!last)
		return -EBADMSG;
	for (at = last; at > text && at[-1] != ' '; at--)
		;
	if (strncmp(at, "0x", 2) != 0)
		return -EBADMSG;
	pointer = strtoull(at, &end, 16);
	if (end != last)
		return -EBADMSG;
	*ret_pointer = pointer;
	return 0;
}

struct threads {
	struct keeper *keeper;
	pid_t pid;
	unsigned n, n_pointers, n_running;
	uint64_t pointers[PROFD_MAX_STACK_THREADS];
	pid_t running[PROFD_MAX_STACK_THREADS];
};

static void take_thread(struct threads *t, pid_t tid)
{
	uint64_t pointer;
	char text[256];
	ssize_t n = keeper_read_thread(t->keeper, t->pid, tid, KEEPER_THREAD_SYSCALL, text,
				       sizeof(text) - 1);
	int r;

	if (n < 0)
		return;
	text[n] = '\0';
	r = memory_parse_stack_pointer(text, &pointer);
	if (r == 0)
		t->pointers[t->n_pointers++] = pointer;
	else if (r == -EAGAIN)
		t->running[t->n_running++] = tid;
}

static bool on_thread(pid_t tid, void *userdata)
{
	struct threads *t = userdata;

	if (t->n++ < PROFD_MAX_STACK_THREADS)
		take_thread(t, tid);
	return true;
}

static int order_pointers(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return a < b ? -1 : a > b;
}

static struct threads *threads_new(struct keeper *keeper, pid_t pid)
{
	struct threads *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->keeper = keeper;
	t->pid = pid;
	(void)process_each_thread(keeper, pid, on_thread, t);
	for (int round = 1; round < POINTER_ROUNDS && t->n_running > 0; round++) {
		unsigned n = t->n_running;

		t->n_running = 0;
		for (unsigned i = 0; i < n; i++)
			take_thread(t, t->running[i]);
	}
	qsort(t->pointers, t->n_pointers, sizeof(t->pointers[0]), order_pointers);
	return t;
}

int process_read_memory(struct keeper *keeper, pid_t pid, struct process_memory *ret_memory)
{
	_cleanup_free_ struct threads *t = threads_new(keeper, pid);
	_cleanup_close_ int fd = -1;
	struct process_memory memory;
	int r;

	if (!t)
		return -ENOMEM;
	fd = keeper_open_file(keeper, pid, KEEPER_SMAPS);
	if (fd < 0)
		return fd;
	r = memory_read_smaps(fd, t->pointers, t->n_pointers, &memory);
	if (r == -EFBIG) /* the sums alone, then */
		return identity_read_rollup(keeper, pid, ret_memory);
	if (r < 0)
		return r;
	memory.threads = t->n;
	memory.threads_found = min(memory.threads_found, t->n);
	*ret_memory = memory;
	return 0;
}
