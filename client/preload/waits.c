/*
 * Measuring a wait, and who is to blame for it.
 *
 * The waiter reads the clock before and after, and that is all that the block profile
 * needs. A wait of d ns is taken with the probability p = min(1, d / rate), and counts
 * as 1/p waits of d/p ns: for a short one that is the rate itself, whatever d was.
 *
 * The mutex profile is of the stack that released a lock which others waited for. So
 * a waiter says that it waits, in a table by the lock's address, and a release looks
 * there. An entry is one word, changed by compare-and-swap alone:
 *
 *     tag 8 | waiters 12 | the sum of the moments at which they came 44 (16 ns each)
 *
 * n waiters have waited n * now - sum in all, which is charged; then the sum becomes
 * n * now, so that each moment is charged once, and what comes after this release to
 * the next. Sums are taken modulo 2^44, as only differences matter. A waiter that
 * leaves takes its moment out again: when it came, or the last release if that was
 * later, which is kept beside the word. Releases and those leaves that hold the lock
 * come one after the other, for the lock sees to that; what a leave that timed out gets
 * wrong holds until the next release, which sets the sum anew.
 *
 * The entry is found by the lock's hash and has no other place. Another lock with the
 * same hash meets a foreign tag there and is not charged, which is counted; only one
 * in 256 of those would be taken for the lock itself. Nothing of the lock is ever
 * read by way of the table, so a lock that is freed, or forgotten, is no danger.
 *
 * A waiter that is cancelled, ends, or jumps out of a signal handler leaves its entry
 * by the old kind of cleanup handler, of which the C library keeps a list and which a
 * longjmp, too, runs. Where there is none, no holder is charged.
 */
#include "client/preload/waits.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>

#include "client/preload/record.h"
#include "client/preload/session.h"
#include "client/preload/weight.h"
#include "profd/limits.h"

#define MOMENT_SHIFT 4 /* 16 ns */
#define SUM_BITS     44
#define SUM_MASK     ((1ULL << SUM_BITS) - 1)
#define MAX_WAITERS  4095u
#define TAG_AT	     56

#define CALLS_OF_MANY 128

/* Not every C library has versions, and a name that is not found keeps a program from
 * starting. */
#pragma weak dlvsym

struct waits_next waits_next;
const uint32_t *waits_word;

static void (*push)(struct _pthread_cleanup_buffer *buffer, void (*run)(void *), void *argument);
static void (*pop)(struct _pthread_cleanup_buffer *buffer, int run);
struct waits_entry waits_entries[WAITS_ENTRIES];
static bool entries_used; /* atomic */
static __thread uint64_t random_state;

/* ---- the next functions */

static int missing(void)
{
	errno = ENOSYS;
	return ENOSYS;
}

/* Before glibc 2.36 dlsym() finds the oldest of several versions. */
static void look_up(void **next, const char *name, const char *version)
{
	void *found = version && dlvsym ? dlvsym(RTLD_NEXT, name, version) : NULL;

	if (!found)
		found = dlsym(RTLD_NEXT, name);
	if (!found)
		found = (void *)missing;
	__atomic_store_n(next, found, __ATOMIC_RELEASE);
}

static const struct {
	const char *name, *version;
} functions[] = {
#define NAMED(name, version, parameters) {#name, version},
	WAITS_FUNCTIONS(NAMED)
#undef NAMED
};

/* A program that locks often is worth the search for all, also if it has one thread. */
void **waits_find(void **next, const char *name)
{
	static uint32_t calls;
	size_t i = (size_t)(next - (void **)&waits_next);

	if (unlikely(!__atomic_load_n(next, __ATOMIC_ACQUIRE)))
		look_up(next, name, functions[i].version);
	else if (unlikely(!__atomic_load_n(&waits_word, __ATOMIC_RELAXED)) &&
		 __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED) % CALLS_OF_MANY == 0)
		waits_init();
	return next;
}

void waits_init(void)
{
	static const uint32_t never;
	enum session_state state = __atomic_load_n(&session.state, __ATOMIC_ACQUIRE);
	void **next = (void **)&waits_next;

	if (__atomic_load_n(&waits_word, __ATOMIC_ACQUIRE) || state < SESSION_ACTIVE)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(functions); i++)
		if (!__atomic_load_n(&next[i], __ATOMIC_ACQUIRE))
			look_up(&next[i], functions[i].name, functions[i].version);
	*(void **)&pop = dlsym(RTLD_NEXT, "_pthread_cleanup_pop");
	*(void **)&push = dlsym(RTLD_NEXT, "_pthread_cleanup_push");
	__atomic_store_n(&waits_word, session.table ? &session.table->waits.on : &never,
			 __ATOMIC_RELEASE);
}

void waits_begin(uint64_t block_rate_ns, uint64_t mutex_fraction)
{
	struct heap_waits *w = &session.table->waits;

	if (block_rate_ns == 0 && mutex_fraction == 0)
		return;
	w->always = 1;
	w->block_rate_ns = block_rate_ns;
	w->mutex_fraction = mutex_fraction;
	__atomic_store_n(&w->on, 1, __ATOMIC_RELEASE);
	waits_init();
}

void waits_after_fork(void)
{
	if (!session.table->waits.always)
		session.table->waits.on = 0;
	if (entries_used)
		memset(waits_entries, 0, sizeof(waits_entries));
}

/* ---- what is asked for */

/* profd may change these at any time: they are read once. */
static uint64_t asked(const uint64_t *what)
{
	return __atomic_load_n(what, __ATOMIC_RELAXED);
}

bool waits_are_measured(void)
{
	const uint32_t *word = __atomic_load_n(&waits_word, __ATOMIC_ACQUIRE);

	return word && __atomic_load_n(word, __ATOMIC_ACQUIRE) != 0 && session.has_clock &&
	       session_is_recording();
}

static bool is_over(uint64_t now_ns)
{
	const struct heap_waits *w = &session.table->waits;

	return !w->always && now_ns > asked(&w->until_mono_ns);
}

static uint64_t mono_ns(void)
{
	struct timespec now = {0};

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NSEC_PER_SEC + (uint64_t)now.tv_nsec;
}

/* True with the probability @part / @whole, for @part < @whole. */
static bool draw(uint64_t part, uint64_t whole)
{
	if (unlikely(random_state == 0))
		random_state = weight_mix(session.seed + (uint64_t)&random_state + mono_ns()) | 1;
	return (uint64_t)((unsigned __int128)weight_random(&random_state) * whole >> 64) < part;
}

/* ---- the waiter's side */

/* @ns, if it is taken, as @times as much. */
static void record(enum heap_kind kind, uint64_t ns, uint64_t rate, uint64_t times)
{
	if (ns == 0)
		ns = 1;
	if (ns >= rate)
		record_note(kind, times << HEAP_OBJECT_SHIFT, times * ns << HEAP_BYTE_SHIFT);
	else if (draw(ns, rate))
		record_note(kind, times * ((rate << HEAP_OBJECT_SHIFT) / ns),
			    times * rate << HEAP_BYTE_SHIFT);
}

static void record_block(uint64_t ns)
{
	uint64_t rate = asked(&session.table->waits.block_rate_ns);

	if (rate > 0)
		record(HEAP_KIND_BLOCK, ns, rate, 1);
}

static struct waits_entry *entry_of(const void *lock, uint64_t *ret_tag)
{
	uint64_t hash = waits_hash(lock);

	*ret_tag = hash >> TAG_AT;
	return &waits_entries[(hash >> 32) % WAITS_ENTRIES];
}

static uint64_t waiters_of(uint64_t word)
{
	return word >> SUM_BITS & MAX_WAITERS;
}

static uint64_t make_word(uint64_t tag, uint64_t n, uint64_t sum)
{
	return n == 0 ? 0 : tag << TAG_AT | n << SUM_BITS | (sum & SUM_MASK);
}

/* False: the entry is another lock's, or there are as many waiters as it holds. */
static bool enter(const void *lock, uint64_t moment)
{
	uint64_t tag, word, n;
	struct waits_entry *e = entry_of(lock, &tag);

	__atomic_store_n(&entries_used, true, __ATOMIC_RELAXED);
	word = __atomic_load_n(&e->word, __ATOMIC_RELAXED);
	do {
		n = waiters_of(word);
		if ((n > 0 && word >> TAG_AT != tag) || n == MAX_WAITERS)
			return false;
	} while (!__atomic_compare_exchange_n(&e->word, &word, make_word(tag, n + 1, word + moment),
					      true, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
	return true;
}

static void leave(const void *lock, uint64_t moment)
{
	uint64_t tag, word, n, release;
	struct waits_entry *e = entry_of(lock, &tag);

	word = __atomic_load_n(&e->word, __ATOMIC_RELAXED);
	do {
		n = waiters_of(word);
		if (n == 0 || word >> TAG_AT != tag)
			return; /* of before a fork */
		release = __atomic_load_n(&e->release, __ATOMIC_RELAXED);
	} while (!__atomic_compare_exchange_n(
		&e->word, &word,
		make_word(tag, n - 1, word - (release > moment ? release : moment)), true,
		__ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
}

static void on_abandoned(void *wait)
{
	struct wait *w = wait;

	leave(w->lock, w->start_ns >> MOMENT_SHIFT);
}

void waits_start(struct wait *w, const void *lock)
{
	w->start_ns = mono_ns();
	w->lock = NULL;
	if (!lock || asked(&session.table->waits.mutex_fraction) == 0 || !push || !pop)
		return;
	if (!enter(lock, w->start_ns >> MOMENT_SHIFT)) {
		session_count_lost(HEAP_LOST_WAITS);
		return;
	}
	w->lock = lock;
	push(&w->cleanup, on_abandoned, w);
}

void waits_end(struct wait *w)
{
	uint64_t now_ns = mono_ns();

	if (w->lock) {
		pop(&w->cleanup, 0);
		leave(w->lock, w->start_ns >> MOMENT_SHIFT);
	}
	if (session_is_recording() && !is_over(now_ns))
		record_block(now_ns - w->start_ns);
}

/* ---- the holder's side */

bool waits_release(const void *lock, uint64_t *ret_ns)
{
	uint64_t tag, word, n, moment;
	struct waits_entry *e = entry_of(lock, &tag);

	word = __atomic_load_n(&e->word, __ATOMIC_RELAXED);
	if (likely(word == 0) || word >> TAG_AT != tag)
		return false;
	moment = mono_ns() >> MOMENT_SHIFT;
	do {
		n = waiters_of(word);
		if (n == 0 || word >> TAG_AT != tag)
			return false;
	} while (!__atomic_compare_exchange_n(&e->word, &word, make_word(tag, n, n * moment), true,
					      __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
	__atomic_store_n(&e->release, moment, __ATOMIC_RELAXED);
	*ret_ns = ((n * moment - word) & SUM_MASK) << MOMENT_SHIFT;
	return true;
}

void waits_charge(uint64_t ns)
{
	uint64_t fraction = asked(&session.table->waits.mutex_fraction);
	uint64_t rate = asked(&session.table->waits.block_rate_ns);

	if (fraction == 0 || (fraction > 1 && !draw(1, fraction)) ||
	    (!session.table->waits.always && is_over(mono_ns())))
		return;
	record(HEAP_KIND_MUTEX, ns, rate > 0 ? rate : PROFD_BLOCK_RATE_NS, fraction);
}
