#include "client/preload/early.h"

#include <dlfcn.h>
#include <stdint.h>

#include "client/preload/fast.h"

#define ARENA_BYTES	65536
#define ARENA_ALIGNMENT 16

struct fast_next fast_next;

static uint8_t arena[ARENA_BYTES];
static size_t arena_used; /* atomic */

/* Holds its own address as soon as this library has been relocated. */
static void *const volatile relocated = (void *)&relocated;

static void look_up(void *ret_function, const char *name)
{
	void *found = dlsym(RTLD_NEXT, name);

	__atomic_store_n((void **)ret_function, found, __ATOMIC_RELEASE);
}

static FAST_COLD bool resolve(void)
{
	static uint32_t resolving;

	if (relocated != (void *)&relocated)
		return false;
	if (__atomic_exchange_n(&resolving, 1, __ATOMIC_ACQUIRE))
		return false;
	/* Frees first, and malloc last: whoever finds that one finds all. */
	look_up(&fast_next.free, "free");
	look_up(&fast_next.calloc, "calloc");
	look_up(&fast_next.realloc, "realloc");
	look_up(&fast_next.memalign, "memalign");
	look_up(&fast_next.posix_memalign, "posix_memalign");
	look_up(&fast_next.aligned_alloc, "aligned_alloc");
	look_up(&fast_next.valloc, "valloc");
	look_up(&fast_next.pvalloc, "pvalloc");
	look_up(&fast_next.malloc, "malloc");
	return fast_next.malloc != NULL;
}

bool early_next_is_ready(void)
{
	return likely(__atomic_load_n(&fast_next.malloc, __ATOMIC_ACQUIRE) != NULL) || resolve();
}

/* Each piece has its size in the word before it. */
void *early_alloc(size_t size, size_t alignment)
{
	size_t used, start;
	uint8_t *p;

	if (alignment < ARENA_ALIGNMENT)
		alignment = ARENA_ALIGNMENT;
	if (size > ARENA_BYTES || alignment > sizeof(arena) || (alignment & (alignment - 1)))
		return NULL;
	used = __atomic_load_n(&arena_used, __ATOMIC_RELAXED);
	do {
		start = used + sizeof(size_t);
		start += -(size_t)(arena + start) & (alignment - 1);
		if (start + size > ARENA_BYTES)
			return NULL;
	} while (!__atomic_compare_exchange_n(&arena_used, &used, start + size, false,
					      __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	p = arena + start;
	((size_t *)p)[-1] = size;
	fast_filter[fast_filter_slot(p)] = FAST_FILTER_STUCK;
	return p;
}

bool early_owns(const void *p, size_t *ret_bytes)
{
	if ((uint64_t)p - (uint64_t)arena >= ARENA_BYTES)
		return false;
	*ret_bytes = ((const size_t *)p)[-1];
	return true;
}
