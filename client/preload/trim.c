/*
 * An allocator is known by a function that only it has, in the same object that
 * the next malloc is in; a library that is loaded but not in use is not purged.
 * "Free" is what the allocator holds without having handed it out.
 */
#include "client/preload/trim.h"

#include <dlfcn.h>
#include <malloc.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include "client/preload/fast.h"
#include "client/preload/objects.h"

struct allocator {
	const char *name;
	const char *symbols[2]; /* the purge, and the numbers */
	void (*purge)(void);
	void (*measure)(struct heap_usage *ret_usage);
};

static const struct allocator *allocator; /* NULL: none that is known */
static void *functions[2];		  /* its symbols */

/* ---- glibc */

static void glibc_purge(void)
{
	((int (*)(size_t))functions[0])(0);
}

static void glibc_measure(struct heap_usage *ret_usage)
{
	struct mallinfo2 info = ((struct mallinfo2(*)(void))functions[1])();

	*ret_usage = (struct heap_usage){
		.in_use = info.uordblks + info.hblkhd,
		.free = info.fordblks,
		.mapped = info.hblkhd,
	};
}

/* ---- jemalloc */

static int je_mallctl(const char *name, void *old, size_t *old_bytes, void *new, size_t new_bytes)
{
	return ((int (*)(const char *, void *, size_t *, void *, size_t))functions[0])(
		name, old, old_bytes, new, new_bytes);
}

/* 4096 is MALLCTL_ARENAS_ALL. */
static void jemalloc_purge(void)
{
	je_mallctl("arena.4096.purge", NULL, NULL, NULL, 0);
}

static uint64_t je_read(const char *name)
{
	size_t value = 0, bytes = sizeof(value);

	return je_mallctl(name, &value, &bytes, NULL, 0) == 0 ? value : 0;
}

/* Its numbers are as of the last change of the epoch. */
static void jemalloc_measure(struct heap_usage *ret_usage)
{
	uint64_t epoch = 1, allocated, resident;

	je_mallctl("epoch", NULL, NULL, &epoch, sizeof(epoch));
	allocated = je_read("stats.allocated");
	resident = je_read("stats.resident");
	*ret_usage = (struct heap_usage){
		.in_use = allocated,
		.free = resident > allocated ? resident - allocated : 0,
	};
}

/* ---- tcmalloc */

static void tcmalloc_purge(void)
{
	((void (*)(void))functions[0])();
}

static uint64_t tc_read(const char *name)
{
	size_t value = 0;

	return ((int (*)(const char *, size_t *))functions[1])(name, &value) ? value : 0;
}

static void tcmalloc_measure(struct heap_usage *ret_usage)
{
	uint64_t in_use = tc_read("generic.current_allocated_bytes");
	uint64_t gone = tc_read("tcmalloc.pageheap_unmapped_bytes");
	uint64_t heap = tc_read("generic.heap_size");

	*ret_usage = (struct heap_usage){
		.in_use = in_use,
		.free = heap > in_use + gone ? heap - in_use - gone : 0,
	};
}

/* ---- mimalloc */

/* Gives back what threads that have ended left. What is free in a living thread's
 * heap is that thread's alone. */
static void mimalloc_purge(void)
{
	((void (*)(bool))functions[0])(true);
}

/* It tells what it has committed, and not how much of that is free. */
static void mimalloc_measure(struct heap_usage *ret_usage)
{
	size_t ignored, committed = 0;

	((void (*)(size_t *, size_t *, size_t *, size_t *, size_t *, size_t *, size_t *,
		   size_t *))functions[1])(&ignored, &ignored, &ignored, &ignored, &ignored,
					   &committed, &ignored, &ignored);
	*ret_usage = (struct heap_usage){.in_use = committed};
}

static const struct allocator known[] = {
	{"glibc", {"malloc_trim", "mallinfo2"}, glibc_purge, glibc_measure},
	{"jemalloc", {"mallctl", "mallctl"}, jemalloc_purge, jemalloc_measure},
	{"tcmalloc",
	 {"MallocExtension_ReleaseFreeMemory", "MallocExtension_GetNumericProperty"},
	 tcmalloc_purge,
	 tcmalloc_measure},
	{"mimalloc", {"mi_collect", "mi_process_info"}, mimalloc_purge, mimalloc_measure},
};

/* Where the object is that holds it, which dladdr() would tell as well, after a
 * search through all names of the C library. */
static bool is_in_object(const void *function, const struct object *object)
{
	struct object found;

	return function && objects_find((uint64_t)function, &found) &&
	       found.identity == object->identity;
}

void trim_init(void)
{
	struct object next;

	if (!fast_next.malloc || !objects_find((uint64_t)fast_next.malloc, &next))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(functions); j++)
			functions[j] = dlsym(RTLD_DEFAULT, known[i].symbols[j]);
		if (is_in_object(functions[0], &next) && is_in_object(functions[1], &next)) {
			allocator = &known[i];
			return;
		}
	}
}

bool trim_is_glibc(void)
{
	return allocator == &known[0];
}

static uint64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NSEC_PER_SEC + (uint64_t)now.tv_nsec;
}

void trim_run(uint64_t budget_bytes, struct heap_reply *ret_reply)
{
	uint64_t start = monotonic_ns();
	const char *name = allocator ? allocator->name : "unknown";

	memset(ret_reply->allocator, 0, sizeof(ret_reply->allocator));
	memcpy(ret_reply->allocator, name, strnlen(name, sizeof(ret_reply->allocator) - 1));
	ret_reply->before = ret_reply->after = (struct heap_usage){0};
	ret_reply->result = HEAP_TRIM_UNSUPPORTED;
	if (allocator) {
		allocator->measure(&ret_reply->before);
		ret_reply->after = ret_reply->before;
		ret_reply->result = HEAP_TRIM_OVER_BUDGET;
		if (ret_reply->before.free <= budget_bytes) {
			allocator->purge();
			allocator->measure(&ret_reply->after);
			ret_reply->result = HEAP_TRIM_DONE;
		}
	}
	ret_reply->duration_ns = monotonic_ns() - start;
}
