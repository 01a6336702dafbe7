/*
 * A set of labels is built from the thread's present one and a new pair, in a buffer on
 * the stack, and looked up by its hash, as stacks are (intern.c): sets are few, and
 * taking one that is known is a hash and a comparison. Being sorted by key, the same
 * labels are the same set in whatever order they were given.
 *
 * Changing sets is one store for what samples in the thread itself, the heap's and our
 * own timers'; so a signal may come at any moment. For the kernel's samples it is also
 * a word in the thread's history, which profd reads later. A history belongs to a
 * thread until it ends, and is reused as late as there are enough of them: the samples
 * of the thread that had it may not have been looked at yet.
 *
 * All this is called by the program, in its own thread. A thread's first label asks the
 * kernel for the thread's id, once, unless the program has confined itself.
 */
#include "client/preload/labels.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "client/preload/api.h"
#include "client/preload/fast.h"
#include "client/preload/service.h"
#include "client/preload/session.h"
#include "client/preload/table.h"
#include "client/preload/weight.h"
#include "profd/base.h"

#define EXPORT	   __attribute__((visibility("default")))
#define MAX_PROBES 512
#define MAX_SLOTS  1024
#define MIN_SLOTS  64 /* used before one is used again; more if there are more threads */
#define SLOT_NONE  UINT32_MAX

__thread struct labels_thread labels_thread;

static uint32_t taken[MAX_SLOTS]; /* atomic, as the two below */
static uint32_t n_taken, next_slot;
static pthread_key_t thread_end;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool has_key;

/* ---- sets */

struct draft {
	char text[HEAP_LABELS_MAX_BYTES];
	uint32_t bytes, n_pairs;
};

struct pair {
	const char *key, *value;
	size_t key_bytes, value_bytes;
};

static bool append(struct draft *d, const struct pair *p)
{
	if (d->n_pairs == HEAP_LABELS_MAX_PAIRS ||
	    p->key_bytes + p->value_bytes + 2 > sizeof(d->text) - d->bytes)
		return false;
	memcpy(d->text + d->bytes, p->key, p->key_bytes);
	d->bytes += (uint32_t)p->key_bytes;
	d->text[d->bytes++] = '\0';
	memcpy(d->text + d->bytes, p->value, p->value_bytes);
	d->bytes += (uint32_t)p->value_bytes;
	d->text[d->bytes++] = '\0';
	d->n_pairs++;
	return true;
}

/* The next string of the *left bytes at *at. False: there is none. */
static bool next_string(const char **at, size_t *left, const char **ret, size_t *ret_bytes)
{
	const char *end = memchr(*at, '\0', *left);

	if (!end)
		return false;
	*ret = *at;
	*ret_bytes = (size_t)(end - *at);
	*left -= *ret_bytes + 1;
	*at = end + 1;
	return true;
}

static bool next_pair(const char **at, size_t *left, struct pair *ret)
{
	return next_string(at, left, &ret->key, &ret->key_bytes) &&
	       next_string(at, left, &ret->value, &ret->value_bytes);
}

static int compare_keys(const struct pair *a, const struct pair *b)
{
	size_t n = a->key_bytes < b->key_bytes ? a->key_bytes : b->key_bytes;
	int r = memcmp(a->key, b->key, n);

	return r ? r : a->key_bytes < b->key_bytes ? -1 : a->key_bytes > b->key_bytes;
}

/* The text of a set; that others may have changed it must not lead us astray. */
static const char *text_of(uint32_t set, size_t *ret_bytes)
{
	const struct heap_label_set *s;
	uint32_t offset, bytes;

	*ret_bytes = 0;
	if (set == 0)
		return "";
	s = &session.label_sets[set - 1];
	offset = __atomic_load_n(&s->text_offset, __ATOMIC_RELAXED);
	bytes = __atomic_load_n(&s->text_bytes, __ATOMIC_RELAXED);
	if (offset > session.label_text_capacity || bytes > session.label_text_capacity - offset)
		return "";
	*ret_bytes = bytes;
	return session.label_text + offset;
}

/* The labels of @set with @pair, which takes the place of one with its key. */
static bool make_draft(uint32_t set, const struct pair *pair, struct draft *ret)
{
	size_t left;
	const char *at = text_of(set, &left);
	struct pair other;
	bool placed = false;

	ret->bytes = ret->n_pairs = 0;
	while (next_pair(&at, &left, &other)) {
		int order = compare_keys(&other, pair);

		if (order >= 0 && !placed) {
			placed = true;
			if (!append(ret, pair))
				return false;
		}
		if (order != 0 && !append(ret, &other))
			return false;
	}
	return placed || append(ret, pair);
}

static uint64_t hash_draft(const struct draft *d)
{
	uint64_t hash = d->bytes;

	for (uint32_t i = 0; i < d->bytes; i++)
		hash = weight_mix(hash ^ (uint8_t)d->text[i]);
	return hash;
}

/* The number of a new set, or 0. */
static uint32_t add_set(const struct draft *d, uint64_t hash)
{
	uint32_t index, text;

	text = table_take_label_text(d->bytes);
	if (text == TABLE_FULL)
		return 0;
	index = table_take_label_set();
	if (index == TABLE_FULL)
		return 0;
	memcpy(session.label_text + text, d->text, d->bytes);
	session.label_sets[index].text_offset = text;
	session.label_sets[index].text_bytes = d->bytes;
	session.label_sets[index].hash = hash;
	__atomic_store_n(&session.label_sets[index].ready, 1, __ATOMIC_RELEASE);
	return index + 1;
}

static uint32_t intern_set(const struct draft *d)
{
	uint32_t mask = session.label_set_capacity * 2 - 1, added = 0;
	uint64_t hash = hash_draft(d);

	for (uint32_t i = 0; i < MAX_PROBES; i++) {
		uint32_t *place = &session.label_index[(hash + i) & mask];
		uint32_t found = __atomic_load_n(place, __ATOMIC_ACQUIRE);

		if (found == 0) {
			if (added == 0)
				added = add_set(d, hash);
			if (added == 0 ||
			    __atomic_compare_exchange_n(place, &found, added, false,
							__ATOMIC_RELEASE, __ATOMIC_ACQUIRE))
				return added;
		}
		if (session.label_sets[found - 1].hash == hash)
			return found;
	}
	return 0;
}

/* ---- histories */

static void note(uint32_t slot, uint32_t set)
{
	struct heap_label_history *h = &session.label_histories[slot];
	uint64_t count = __atomic_load_n(&h->count, __ATOMIC_RELAXED);
	struct timespec now = {0};
	uint64_t ns;

	clock_gettime(CLOCK_MONOTONIC, &now);
	ns = (uint64_t)now.tv_sec * NSEC_PER_SEC + (uint64_t)now.tv_nsec;
	__atomic_store_n(&h->changes[count % HEAP_LABEL_CHANGES], HEAP_LABEL_CHANGE(ns, set),
			 __ATOMIC_RELAXED);
	__atomic_store_n(&h->count, count + 1, __ATOMIC_RELEASE);
}

/* What was written stays until another thread takes the place. */
static void on_thread_end(void *value)
{
	uint32_t slot = labels_thread.slot;

	labels_thread = (struct labels_thread){0};
	if (slot == 0 || slot == SLOT_NONE || !session_is_recording())
		return;
	note(slot - 1, 0);
	__atomic_store_n(&taken[slot - 1], 0, __ATOMIC_RELEASE);
	__atomic_sub_fetch(&n_taken, 1, __ATOMIC_RELAXED);
}

static void make_key(void)
{
	has_key = pthread_key_create(&thread_end, on_thread_end) == 0;
}

/* The C library may allocate for it, which is no part of the program's heap. */
static bool ask_for_end(void)
{
	uint64_t countdown = fast_thread.countdown;
	bool done;

	pthread_once(&once, make_key);
	fast_thread.countdown = UINT64_MAX;
	done = has_key && pthread_setspecific(thread_end, &once) == 0;
	fast_thread.countdown = countdown;
	return done;
}

static uint32_t claim_slot(void)
{
	uint32_t room = session.label_thread_capacity;
	uint32_t wanted = 2 * __atomic_add_fetch(&n_taken, 1, __ATOMIC_RELAXED);
	uint32_t first = __atomic_fetch_add(&next_slot, 1, __ATOMIC_RELAXED);

	if (room > MAX_SLOTS)
		room = MAX_SLOTS;
	if (wanted < MIN_SLOTS)
		wanted = MIN_SLOTS;
	if (room > wanted)
		room = wanted;
	for (uint32_t i = 0; i < room; i++) {
		uint32_t at = (first + i) % room, no = 0;

		if (__atomic_compare_exchange_n(&taken[at], &no, 1, false, __ATOMIC_ACQUIRE,
						__ATOMIC_RELAXED))
			return at;
	}
	__atomic_sub_fetch(&n_taken, 1, __ATOMIC_RELAXED);
	return SLOT_NONE;
}

/* Readers find nothing under this index while it changes hands. */
static void begin_history(uint32_t slot)
{
	struct heap_labels *labels = &session.table->labels;
	uint32_t used = __atomic_load_n(&labels->threads.used, __ATOMIC_RELAXED);

	__atomic_store_n(&session.label_threads[slot], 0, __ATOMIC_RELEASE);
	__atomic_store_n(&session.label_histories[slot].count, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&session.label_threads[slot], (uint32_t)syscall(SYS_gettid),
			 __ATOMIC_RELEASE);
	while (used <= slot &&
	       !__atomic_compare_exchange_n(&labels->threads.used, &used, slot + 1, false,
					    __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		;
}

static void find_history(void)
{
	uint32_t slot = SLOT_NONE;

	if (session.has_clock && !service_is_confined() && ask_for_end())
		slot = claim_slot();
	if (slot == SLOT_NONE) {
		__atomic_fetch_add(&session.table->labels.threads_lost, 1, __ATOMIC_RELAXED);
		labels_thread.slot = SLOT_NONE;
		return;
	}
	begin_history(slot);
	labels_thread.slot = slot + 1;
}

static void change(uint32_t set)
{
	if (labels_thread.set == set)
		return;
	if (labels_thread.slot == 0)
		find_history();
	if (labels_thread.slot != SLOT_NONE)
		note(labels_thread.slot - 1, set);
	labels_thread.set = set;
	if (!session.table->labels.on)
		__atomic_store_n(&session.table->labels.on, 1, __ATOMIC_RELEASE);
}

void labels_after_fork(void)
{
	uint32_t set = labels_thread.set;

	if (__atomic_load_n(&next_slot, __ATOMIC_RELAXED) == 0)
		return;
	memset(taken, 0, sizeof(taken));
	n_taken = 0;
	labels_thread = (struct labels_thread){0};
	change(set);
}

/* ---- what include/profd.h calls */

static bool is_reserved(const char *key)
{
	static const char *const names[] = {HEAP_LABEL_RESERVED};

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(key, names[i]) == 0)
			return true;
	return strncmp(key, HEAP_LABEL_PREFIX, sizeof(HEAP_LABEL_PREFIX) - 1) == 0;
}

/* Not in the middle of a UTF-8 character. */
static size_t cut(const char *value)
{
	size_t n = strnlen(value, HEAP_LABEL_MAX_VALUE + 1);

	if (n <= HEAP_LABEL_MAX_VALUE)
		return n;
	n = HEAP_LABEL_MAX_VALUE;
	while (n > 0 && ((uint8_t)value[n] & 0xc0) == 0x80)
		n--;
	return n;
}

static int push(const char *key, const char *value)
{
	struct pair pair = {.key = key, .value = value};
	struct draft draft;
	uint32_t set;

	if (!session_is_recording())
		return -ENOSYS;
	if (!key || !value || is_reserved(key))
		return -EINVAL;
	pair.key_bytes = strnlen(key, HEAP_LABEL_MAX_KEY + 1);
	pair.value_bytes = cut(value);
	if (pair.key_bytes == 0 || pair.key_bytes > HEAP_LABEL_MAX_KEY || pair.value_bytes == 0)
		return -EINVAL;
	set = make_draft(labels_thread.set, &pair, &draft) ? intern_set(&draft) : 0;
	if (set == 0) {
		__atomic_fetch_add(&session.table->labels.refused, 1, __ATOMIC_RELAXED);
		return -ENOSPC;
	}
	change(set);
	return 0;
}

EXPORT int profd_client_label_push(const char *key, const char *value, unsigned *ret_former)
{
	unsigned former = labels_thread.set;
	int saved = errno, r = push(key, value);

	*ret_former = former;
	errno = saved;
	return r;
}

EXPORT unsigned profd_client_labels_get(void)
{
	return labels_thread.set;
}

EXPORT int profd_client_labels_set(unsigned set)
{
	int saved = errno;

	if (!session_is_recording())
		return -ENOSYS;
	if (set > session.label_set_capacity ||
	    (set > 0 && !__atomic_load_n(&session.label_sets[set - 1].ready, __ATOMIC_ACQUIRE)))
		return -EINVAL;
	change(set);
	errno = saved;
	return 0;
}
