/*
 * The C++ library's operators call malloc and free, and so come to interpose.c
 * by themselves. Those of jemalloc, tcmalloc and mimalloc do not. So an operator
 * is counted here if and only if the next one lives in the object that the next
 * malloc lives in; any other is passed through. Whether such an operator comes
 * back to us through malloc nevertheless, and would be counted twice, is tried
 * once.
 *
 * As these names are ours in every program, a plugin in C++ that a program in C
 * loads finds them, too, and behind them nothing: its C++ library is not among
 * those that every object sees. It gets what the C++ library does, malloc and
 * free; where that fails, the library itself is asked, for a new_handler and
 * the exception are its own business.
 *
 * Exceptions pass through these frames. Every form is taken for a function of
 * three words, of which the shorter ones ignore the last: they travel in
 * registers. Functions of allocators that are neither C's nor C++'s (mallocx,
 * sdallocx, tc_malloc, mi_malloc) are not counted.
 */
#include "client/preload/operators.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/auxv.h>

#include "client/preload/early.h"
#include "client/preload/fast.h"
#include "client/preload/live.h"
#include "client/preload/objects.h"
#include "client/preload/sampler.h"
#include "client/preload/session.h"

#define EXPORT	    __attribute__((visibility("default")))
#define PROBE_ALIGNMENT 64
#define PROBE_BYTES (1ULL << 40) /* a countdown that one small object leaves above 0 */

/* symbol, what stands in for it */
#define FORMS_OF_NEW(form)                                       \
	form(_Znwm, plain_new)                                   \
	form(_Znam, plain_new)                                   \
	form(_ZnwmRKSt9nothrow_t, nothrow_new)                   \
	form(_ZnamRKSt9nothrow_t, nothrow_new)                   \
	form(_ZnwmSt11align_val_t, aligned_new)                  \
	form(_ZnamSt11align_val_t, aligned_new)                  \
	form(_ZnwmSt11align_val_tRKSt9nothrow_t, nothrow_aligned_new) \
	form(_ZnamSt11align_val_tRKSt9nothrow_t, nothrow_aligned_new)

#define FORMS_OF_DELETE(form)                    \
	form(_ZdlPv)                             \
	form(_ZdaPv)                             \
	form(_ZdlPvm)                            \
	form(_ZdaPvm)                            \
	form(_ZdlPvRKSt9nothrow_t)               \
	form(_ZdaPvRKSt9nothrow_t)               \
	form(_ZdlPvSt11align_val_t)              \
	form(_ZdaPvSt11align_val_t)              \
	form(_ZdlPvmSt11align_val_t)             \
	form(_ZdaPvmSt11align_val_t)             \
	form(_ZdlPvSt11align_val_tRKSt9nothrow_t) \
	form(_ZdaPvSt11align_val_tRKSt9nothrow_t)

typedef void *(*new_function)(size_t size, uint64_t a, uint64_t b);
typedef void (*delete_function)(void *p, uint64_t a, uint64_t b);

struct next_new {
	new_function call; /* NULL: not looked up yet */
	bool counts;
};

struct next_delete {
	delete_function call;
	bool counts;
};

#define NAME_INDEX(symbol, ...) index##symbol,
enum { FORMS_OF_NEW(NAME_INDEX) N_NEW };
enum { FORMS_OF_DELETE(NAME_INDEX) N_DELETE };

static struct next_new next_new[N_NEW];
static struct next_delete next_delete[N_DELETE];

/* ---- where there is no C++ library, or not for all to see */

/* Memory is short: the C++ library that the caller has decides what then. */
static FAST_COLD void *ask_library(const char *symbol, size_t size, uint64_t alignment)
{
	void *library = dlopen("libstdc++.so.6", RTLD_LAZY | RTLD_NOLOAD);
	new_function found = NULL;

	if (library)
		*(void **)&found = dlsym(library, symbol);
	if (!found)
		abort(); /* as for an exception that nobody catches */
	return found(size, alignment, 0);
}

static void *nothrow_new(size_t size, uint64_t a, uint64_t b)
{
	return malloc(size ? size : 1);
}

static void *plain_new(size_t size, uint64_t a, uint64_t b)
{
	void *p = nothrow_new(size, a, b);

	return p ? p : ask_library("_Znwm", size, 0);
}

static void *nothrow_aligned_new(size_t size, uint64_t alignment, uint64_t b)
{
	size_t bytes = size ? size : 1;

	if (alignment == 0 || bytes > SIZE_MAX - alignment)
		return NULL;
	return aligned_alloc(alignment, (bytes + alignment - 1) & -alignment);
}

static void *aligned_new(size_t size, uint64_t alignment, uint64_t b)
{
	void *p = nothrow_aligned_new(size, alignment, b);

	return p ? p : ask_library("_ZnwmSt11align_val_t", size, alignment);
}

static void plain_delete(void *p, uint64_t a, uint64_t b)
{
	free(p);
}

/* ---- finding them */

static bool is_in_object(void *function, const struct object *object)
{
	struct object found;

	return objects_find((uint64_t)function, &found) && found.identity == object->identity;
}

static void find_new(struct next_new *ret, const char *symbol, new_function substitute,
		     const struct object *allocator)
{
	void *found = dlsym(RTLD_NEXT, symbol);

	ret->counts = found && allocator && is_in_object(found, allocator);
	if (!found)
		found = (void *)substitute;
	__atomic_store_n((void **)&ret->call, found, __ATOMIC_RELEASE);
}

static void find_delete(struct next_delete *ret, const char *symbol,
			const struct object *allocator)
{
	void *found = dlsym(RTLD_NEXT, symbol);

	ret->counts = found && allocator && is_in_object(found, allocator);
	if (!found)
		found = (void *)plain_delete;
	__atomic_store_n((void **)&ret->call, found, __ATOMIC_RELEASE);
}

/* A form that comes back to us through malloc or another form is counted there.
 * Each is tried, as some of jemalloc's do. Any words will do for an alignment
 * and for std::nothrow. Frees are found once anyhow. */
static void try_for_twice(struct next_new *next)
{
	struct fast_thread *t = &fast_thread;
	uint64_t countdown = t->countdown;
	void *p;

	t->countdown = PROBE_BYTES;
	p = next->call(1, PROBE_ALIGNMENT, PROBE_ALIGNMENT);
	if (t->countdown != PROBE_BYTES)
		next->counts = false;
	t->countdown = countdown;
	fast_next.free(p);
}

#define SET_NEW(symbol, substitute)                                \
	__atomic_store_n((void **)&next_new[index##symbol].call,   \
			 (void *)substitute, __ATOMIC_RELEASE);
#define SET_DELETE(symbol)                                         \
	__atomic_store_n((void **)&next_delete[index##symbol].call, \
			 (void *)plain_delete, __ATOMIC_RELEASE);
#define FIND_NEW(symbol, substitute) \
	find_new(&next_new[index##symbol], #symbol, substitute, allocator);
#define FIND_DELETE(symbol) find_delete(&next_delete[index##symbol], #symbol, allocator);

/* What finds nothing is dear, for dlsym() composes a message about it. A small program
 * in C has nobody to ask. */
static bool has_operators(void)
{
	return objects_are_more((uint64_t)getauxval) && dlsym(RTLD_NEXT, "_ZdlPv");
}

static void find_all(const struct object *allocator)
{
	if (!has_operators()) {
		FORMS_OF_DELETE(SET_DELETE)
		FORMS_OF_NEW(SET_NEW)
		return;
	}
	FORMS_OF_DELETE(FIND_DELETE)
	FORMS_OF_NEW(FIND_NEW)
	for (unsigned i = 0; i < N_NEW; i++)
		if (next_new[i].counts)
			try_for_twice(&next_new[i]);
}

void operators_init(void)
{
	static uint32_t begun;
	struct object allocator;

	if (!early_next_is_ready())
		return;
	session_begin(); /* which learns how objects are found */
	if (__atomic_load_n(&session.state, __ATOMIC_ACQUIRE) < SESSION_ACTIVE ||
	    __atomic_exchange_n(&begun, 1, __ATOMIC_ACQUIRE))
		return;
	find_all(objects_find((uint64_t)fast_next.malloc, &allocator) ? &allocator : NULL);
}

/* ---- calling them */

/* While they are being looked up, or cannot be yet, the substitute serves: its
 * memory is the next malloc's, as the operator's is. */
static FAST_COLD void *cold_new(struct next_new *next, size_t size, uint64_t a, uint64_t b,
				new_function substitute)
{
	new_function call;
	void *p;

	if (!__atomic_load_n(&next->call, __ATOMIC_ACQUIRE))
		operators_init();
	call = __atomic_load_n(&next->call, __ATOMIC_ACQUIRE);
	if (!call)
		return substitute(size, a, b);
	p = call(size, a, b);
	if (next->counts)
		sampler_note(p, size);
	return p;
}

static FAST_COLD void cold_delete(struct next_delete *next, void *p, uint64_t a, uint64_t b)
{
	delete_function call;
	size_t bytes;
	uint32_t slot;

	if (early_owns(p, &bytes))
		return;
	if (!__atomic_load_n(&next->call, __ATOMIC_ACQUIRE))
		operators_init();
	call = __atomic_load_n(&next->call, __ATOMIC_ACQUIRE);
	if (!call || !next->counts) {
		(call ? call : plain_delete)(p, a, b);
		return;
	}
	if (session_is_recording()) {
		slot = live_take(p);
		if (slot != LIVE_NONE)
			live_drop(slot);
	}
	call(p, a, b);
}

#define DEFINE_NEW(symbol, substitute)                                                      \
	EXPORT void *symbol(size_t size, uint64_t a, uint64_t b);                           \
	EXPORT void *symbol(size_t size, uint64_t a, uint64_t b)                            \
	{                                                                                   \
		struct next_new *next = &next_new[index##symbol];                           \
		new_function call = next->call;                                             \
                                                                                            \
		if (likely(call != NULL) && (!next->counts || likely(fast_skip(size))))     \
			return call(size, a, b);                                            \
		return cold_new(next, size, a, b, substitute);                              \
	}

#define DEFINE_DELETE(symbol)                                                               \
	EXPORT void symbol(void *p, uint64_t a, uint64_t b);                                \
	EXPORT void symbol(void *p, uint64_t a, uint64_t b)                                 \
	{                                                                                   \
		struct next_delete *next = &next_delete[index##symbol];                     \
		delete_function call = next->call;                                          \
                                                                                            \
		if (likely(call != NULL) && (!next->counts || !fast_maybe_sampled(p))) {    \
			call(p, a, b);                                                      \
			return;                                                             \
		}                                                                           \
		cold_delete(next, p, a, b);                                                 \
	}

FORMS_OF_NEW(DEFINE_NEW)
FORMS_OF_DELETE(DEFINE_DELETE)
