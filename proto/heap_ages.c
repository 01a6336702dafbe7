/*
 * How long the live sampled objects have lived, for the stacks with most bytes in
 * use. A stack has a bucket for each size class, and medians cannot be added, so
 * the objects themselves are sorted into stacks here.
 *
 * The slots are copied after the buckets. Nothing in them is trusted but as a
 * number: an object of a bucket that the copy does not have is left out, and an
 * age beyond the table's own is 0.
 */
#include <errno.h>
#include <string.h>

#include "profd/base.h"
#include "proto/heap_table.h"

struct slots {
	uint64_t *keys;
	struct heap_live *live;
	size_t n;
};

static int read_slots(int fd, const struct heap_copy *copy, struct slots *ret)
{
	size_t n_keys, n_live;
	void *keys, *live;
	int r = heap_table_region(fd, &copy->header, HEAP_REGION_KEYS, &keys, &n_keys);

	if (r < 0)
		return r;
	r = heap_table_region(fd, &copy->header, HEAP_REGION_LIVE, &live, &n_live);
	if (r < 0) {
		free(keys);
		return r;
	}
	*ret = (struct slots){.keys = keys, .live = live, .n = min(n_keys, n_live)};
	return 0;
}

static void fill_addresses(const struct heap_copy *copy, const struct heap_copy_bucket *b,
			   struct heap_age *age)
{
	age->n_addresses = min((unsigned)b->n_frames, (unsigned)HEAP_AGE_ADDRESSES);
	for (unsigned i = 0; i < age->n_addresses; i++) {
		uint64_t frame = copy->frames[b->first_frame + i];
		uint32_t module = HEAP_FRAME_MODULE(frame);

		age->addresses[i] = HEAP_FRAME_ADDRESS(frame) - 1 +
				    (module < copy->n_modules ? copy->modules[module].bias : 0);
	}
}

/* Takes the stacks with most bytes. On return bytes[stack] is what a stack had, or
 * -1-rank of one that was taken. */
static size_t choose(const struct heap_copy *copy, int64_t *bytes, size_t n_stacks,
		     struct heap_age *ages, size_t most)
{
	size_t n = 0;

	for (size_t i = 0; i < copy->n_buckets; i++) {
		const struct heap_copy_bucket *b = &copy->buckets[i];

		if (b->kind == HEAP_KIND_HEAP &&
		    __builtin_add_overflow(bytes[b->stack], b->inuse_bytes, &bytes[b->stack]))
			bytes[b->stack] = INT64_MAX;
	}
	for (; n < most; n++) {
		size_t best = 0;

		for (size_t i = 1; i < n_stacks; i++)
			if (bytes[i] > bytes[best])
				best = i;
		if (n_stacks == 0 || bytes[best] <= 0)
			break;
		ages[n] = (struct heap_age){.inuse_bytes = bytes[best]};
		bytes[best] = -1 - (int64_t)n;
	}
	return n;
}

/* The rank of a table's bucket, by its index, plus one; 0: not chosen. */
static void rank_buckets(const struct heap_copy *copy, const int64_t *bytes, uint8_t *ranks,
			 struct heap_age *ages)
{
	for (size_t i = 0; i < copy->n_buckets; i++) {
		const struct heap_copy_bucket *b = &copy->buckets[i];
		int64_t mark = bytes[b->stack];

		if (b->kind != HEAP_KIND_HEAP || mark >= 0)
			continue;
		ranks[b->index] = (uint8_t)-mark;
		fill_addresses(copy, b, &ages[-1 - mark]);
	}
}

static int order_ages(const void *left, const void *right)
{
	uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;

	return a < b ? -1 : a > b;
}

static uint8_t rank_of(const struct slots *s, size_t i, const uint8_t *ranks, size_t n_ranks)
{
	if (s->keys[i] == 0 || s->keys[i] % 2 || s->live[i].bucket >= n_ranks)
		return 0; /* free, claimed, or of a bucket that came later */
	return ranks[s->live[i].bucket];
}

/* @list has room for every slot. */
static void measure(const struct slots *s, const uint8_t *ranks, size_t n_ranks, uint8_t rank,
		    uint64_t run_ms, uint32_t *list, struct heap_age *age)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++) {
		uint64_t birth_ms = s->live[i].birth_ms;

		if (rank_of(s, i, ranks, n_ranks) == rank)
			list[n++] = birth_ms < run_ms ? (uint32_t)(run_ms - birth_ms) : 0;
	}
	if (n == 0)
		return;
	qsort(list, n, sizeof(*list), order_ages);
	age->n_live = n;
	age->youngest_ms = list[0];
	age->median_ms = list[n / 2];
	age->oldest_ms = list[n - 1];
}

int heap_table_ages(int fd, const struct heap_copy *copy, uint64_t now_mono_ms,
		    struct heap_age *ret_ages, size_t most, size_t *ret_n)
{
	uint64_t start_ms = copy->header.start_mono_ms;
	uint64_t run_ms = now_mono_ms > start_ms ? now_mono_ms - start_ms : 0;
	_cleanup_free_ int64_t *bytes = NULL;
	_cleanup_free_ uint8_t *ranks = NULL;
	_cleanup_free_ uint32_t *list = NULL;
	size_t n_stacks = 0, n_ranks = 0, n;
	struct slots slots;
	int r;

	for (size_t i = 0; i < copy->n_buckets; i++) {
		n_stacks = max(n_stacks, (size_t)copy->buckets[i].stack + 1);
		n_ranks = max(n_ranks, (size_t)copy->buckets[i].index + 1);
	}
	r = read_slots(fd, copy, &slots);
	if (r < 0)
		return r;
	bytes = calloc(n_stacks + 1, sizeof(*bytes));
	ranks = calloc(n_ranks + 1, sizeof(*ranks));
	list = calloc(slots.n + 1, sizeof(*list));
	if (bytes && ranks && list) {
		n = choose(copy, bytes, n_stacks, ret_ages, min(most, (size_t)HEAP_AGES_MAX));
		rank_buckets(copy, bytes, ranks, ret_ages);
		for (size_t i = 0; i < n; i++)
			measure(&slots, ranks, n_ranks, (uint8_t)(i + 1), run_ms, list,
				&ret_ages[i]);
		*ret_n = n;
	} else {
		r = -ENOMEM;
	}
	free(slots.keys);
	free(slots.live);
	return r;
}
