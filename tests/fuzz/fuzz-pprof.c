/*
 * Any bytes as a pprof file. What decodes must encode, decode again and come to
 * the same bytes, gzip'd or not; and sums over it must hold.
 */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/pprof.h"
#include "proto/pprof_top.h"

#define LIMIT_BYTES (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every id in range: a wrong one trips an assertion or the sanitizer. */
static void look_at_all(const struct pprof *p)
{
	for (size_t i = 0; i < pprof_n_samples(p); i++) {
		struct pprof_sample s;
		struct pprof_label label;

		pprof_sample(p, i, &s);
		for (size_t j = 0; j < s.n_labels; j++)
			pprof_sample_label(p, i, j, &label);
		for (size_t j = 0; j < s.n_locations; j++) {
			struct pprof_location l;
			struct pprof_mapping m;
			struct pprof_line line;

			pprof_location(p, s.locations[j], &l);
			if (l.mapping)
				pprof_mapping(p, l.mapping, &m);
			for (size_t k = 0; k < l.n_lines; k++)
				pprof_location_line(p, s.locations[j], k, &line);
		}
	}
}

static void sum_up(const struct pprof *p)
{
	size_t type;
	struct pprof_top *top;

	if (pprof_find_type(p, NULL, &type) < 0)
		abort();
	if (pprof_top_new(p, p, type, &top) < 0)
		abort();
	pprof_top_free(top);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pprof *p, *again;
	uint8_t *bytes, *second;
	size_t n, n_second;
	int r = pprof_decode(data, size, LIMIT_BYTES, &p);

	if (r < 0) {
		assert(r == -EBADMSG || r == -EFBIG);
		return 0;
	}
	look_at_all(p);
	sum_up(p);
	if (pprof_encode(p, &bytes, &n) < 0 || pprof_decode(bytes, n, n, &again) < 0 ||
	    pprof_encode(again, &second, &n_second) < 0)
		abort();
	if (n != n_second || memcmp(bytes, second, n))
		abort();
	pprof_free(p);
	pprof_free(again);
	free(bytes);
	free(second);
	return 0;
}
