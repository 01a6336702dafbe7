/*
 * A reader of these texts takes one off each address, since it expects return
 * addresses, and scales by the rate; profd's profiles hold addresses of calls
 * and scaled values. Both is undone here, so that what comes out at the other
 * end is what the profile says.
 */
#include "client/http/text.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "profd/base.h"

struct heap_values {
	int64_t alloc_objects, alloc_bytes, inuse_objects, inuse_bytes;
};

/* By what a sample of such objects was multiplied. */
static double weight(int64_t objects, int64_t bytes, int64_t rate)
{
	double size;

	if (objects <= 0 || bytes <= 0 || rate <= 1)
		return 1;
	size = (double)bytes / (double)objects;
	return 1 / (1 - exp(-size / (double)rate));
}

/* Bytes of no object are an error to readers. */
static void unscale(int64_t objects, int64_t bytes, int64_t rate, int64_t *ret_objects,
		    int64_t *ret_bytes)
{
	double by = weight(objects, bytes, rate);

	*ret_bytes = (int64_t)llround((double)bytes / by);
	*ret_objects = (int64_t)llround((double)objects / by);
	if (*ret_objects == 0 && *ret_bytes != 0)
		*ret_objects = 1;
}

static struct heap_values unscaled(const int64_t *v, int64_t rate)
{
	struct heap_values ret;

	unscale(v[0], v[1], rate, &ret.alloc_objects, &ret.alloc_bytes);
	unscale(v[2], v[3], rate, &ret.inuse_objects, &ret.inuse_bytes);
	return ret;
}

static void put_addresses(FILE *to, const struct pprof *p, const struct pprof_sample *s)
{
	for (size_t i = 0; i < s->n_locations; i++) {
		struct pprof_location l;

		pprof_location(p, s->locations[i], &l);
		fprintf(to, " %#" PRIx64, l.address + 1);
	}
	fputc('\n', to);
}

void text_put_name(FILE *to, const char *name)
{
	for (; *name; name++)
		fputc((unsigned char)*name < 0x20 ? '?' : *name, to);
}

static void put_frames(FILE *to, const struct pprof *p, const struct pprof_sample *s)
{
	for (size_t i = 0; i < s->n_locations; i++) {
		struct pprof_location l;

		pprof_location(p, s->locations[i], &l);
		for (size_t j = 0; j < l.n_lines; j++) {
			struct pprof_line line;

			pprof_location_line(p, s->locations[i], j, &line);
			fprintf(to, "#\t%#" PRIx64 "\t", l.address);
			text_put_name(to, line.name);
			if (*line.file) {
				fputc('\t', to);
				text_put_name(to, line.file);
				fprintf(to, ":%" PRId64, line.line);
			}
			fputc('\n', to);
		}
	}
	fputc('\n', to);
}

void text_put_comments(FILE *to, const struct pprof *p)
{
	for (size_t i = 0; i < pprof_n_comments(p); i++) {
		fputs("# ", to);
		text_put_name(to, pprof_comment(p, i));
		fputc('\n', to);
	}
}

static void put_mappings(FILE *to, const struct pprof *p)
{
	fputs("\nMAPPED_LIBRARIES:\n", to);
	for (uint64_t id = 1; id <= pprof_n_mappings(p); id++) {
		struct pprof_mapping m;

		pprof_mapping(p, id, &m);
		fprintf(to, "%08" PRIx64 "-%08" PRIx64 " r-xp %08" PRIx64 " 00:00 0 ", m.start,
			m.limit, m.file_offset);
		text_put_name(to, m.path);
		fputc('\n', to);
	}
}

static int compare_samples(size_t a, size_t b)
{
	return a < b ? -1 : a > b;
}

struct place {
	int64_t by;
	size_t sample;
};

static int compare(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	if (x->by != y->by)
		return x->by < y->by ? 1 : -1;
	return compare_samples(x->sample, y->sample);
}

/* Samples by their value @index, the largest first. NULL: no memory. */
static struct place *sort(const struct pprof *p, size_t index)
{
	size_t n = pprof_n_samples(p);
	struct place *places = calloc(n + 1, sizeof(*places));

	for (size_t i = 0; places && i < n; i++) {
		struct pprof_sample s;

		pprof_sample(p, i, &s);
		places[i] = (struct place){.by = s.values[index], .sample = i};
	}
	if (places)
		qsort(places, n, sizeof(*places), compare);
	return places;
}

void text_put_heap(FILE *to, const struct pprof *p)
{
	_cleanup_free_ struct place *places = NULL;
	struct heap_values total = {};
	struct pprof_sample s;

	if (pprof_n_sample_types(p) != 4)
		return;
	places = sort(p, 3);
	for (size_t i = 0; i < pprof_n_samples(p); i++) {
		struct heap_values v;

		pprof_sample(p, i, &s);
		v = unscaled(s.values, pprof_period(p));
		total.alloc_objects += v.alloc_objects;
		total.alloc_bytes += v.alloc_bytes;
		total.inuse_objects += v.inuse_objects;
		total.inuse_bytes += v.inuse_bytes;
	}
	fprintf(to,
		"heap profile: %" PRId64 ": %" PRId64 " [%" PRId64 ": %" PRId64
		"] @ heap_v2/%" PRId64 "\n",
		total.inuse_objects, total.inuse_bytes, total.alloc_objects, total.alloc_bytes,
		pprof_period(p));
	for (size_t i = 0; places && i < pprof_n_samples(p); i++) {
		struct heap_values v;

		pprof_sample(p, places[i].sample, &s);
		v = unscaled(s.values, pprof_period(p));
		fprintf(to, "%" PRId64 ": %" PRId64 " [%" PRId64 ": %" PRId64 "] @",
			v.inuse_objects, v.inuse_bytes, v.alloc_objects, v.alloc_bytes);
		put_addresses(to, p, &s);
		put_frames(to, p, &s);
	}
	text_put_comments(to, p);
	put_mappings(to, p);
}

/* ---- the others: stacks that differ in their labels alone are one */

struct group {
	int64_t values[2];
	size_t sample; /* the first of them */
};

static int compare_stacks(const struct pprof_sample *a, const struct pprof_sample *b)
{
	size_t n = min(a->n_locations, b->n_locations);
	int r = memcmp(a->locations, b->locations, n * sizeof(*a->locations));

	if (r != 0 || a->n_locations == b->n_locations)
		return r;
	return a->n_locations < b->n_locations ? -1 : 1;
}

static int by_stack(const void *left, const void *right, void *userdata)
{
	const struct group *a = left, *b = right;
	struct pprof_sample x, y;
	int r;

	pprof_sample(userdata, a->sample, &x);
	pprof_sample(userdata, b->sample, &y);
	r = compare_stacks(&x, &y);
	return r != 0 ? r : compare_samples(a->sample, b->sample);
}

static int by_value(const void *left, const void *right)
{
	const struct group *a = left, *b = right;

	if (a->values[0] != b->values[0])
		return a->values[0] < b->values[0] ? 1 : -1;
	return compare_samples(a->sample, b->sample);
}

static bool same_stack(const struct pprof *p, size_t a, size_t b)
{
	struct pprof_sample x, y;

	pprof_sample(p, a, &x);
	pprof_sample(p, b, &y);
	return compare_stacks(&x, &y) == 0;
}

/* Those with the largest first value first. NULL: no memory. */
static struct group *group(const struct pprof *p, size_t n_values, size_t *ret_n)
{
	size_t n = pprof_n_samples(p), used = 0;
	struct group *groups = calloc(n + 1, sizeof(*groups));

	if (!groups)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		struct pprof_sample s;

		pprof_sample(p, i, &s);
		groups[i].sample = i;
		memcpy(groups[i].values, s.values, n_values * sizeof(*s.values));
	}
	qsort_r(groups, n, sizeof(*groups), by_stack, (void *)p);
	for (size_t i = 0; i < n; i++) {
		if (used > 0 && same_stack(p, groups[used - 1].sample, groups[i].sample)) {
			groups[used - 1].values[0] += groups[i].values[0];
			groups[used - 1].values[1] += groups[i].values[1];
		} else {
			groups[used++] = groups[i];
		}
	}
	qsort(groups, used, sizeof(*groups), by_value);
	*ret_n = used;
	return groups;
}

void text_put_counts(FILE *to, const struct pprof *p, const char *name)
{
	size_t n_types = min(pprof_n_sample_types(p), (size_t)2), n = 0;
	_cleanup_free_ struct group *groups = group(p, n_types, &n);
	struct pprof_sample s;
	int64_t total = 0;

	for (size_t i = 0; i < n; i++)
		total += groups[i].values[0];
	/* As Go: waits have a head of their own, and then a time before the count. */
	if (n_types < 2)
		fprintf(to, "%s profile: total %" PRId64 "\n", name, total);
	else if (strcmp(name, "mutex") == 0)
		fputs("--- mutex:\ncycles/second=1000000000\nsampling period=1\n", to);
	else
		fputs("--- contention:\ncycles/second=1000000000\n", to);
	for (size_t i = 0; i < n; i++) {
		pprof_sample(p, groups[i].sample, &s);
		if (n_types == 2)
			fprintf(to, "%" PRId64 " ", groups[i].values[1]);
		fprintf(to, "%" PRId64 " @", groups[i].values[0]);
		put_addresses(to, p, &s);
		put_frames(to, p, &s);
	}
	text_put_comments(to, p);
	put_mappings(to, p);
}
