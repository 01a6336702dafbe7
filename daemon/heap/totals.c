#include "daemon/heap/totals.h"

#include "profd/base.h"

#define MOST (1ULL << 40) /* that one table is believed; the sum of all tables fits */

static void look(uint64_t *count, uint64_t now)
{
	now = min(now, MOST);
	*count = max(*count, now);
}

void heap_totals_look(struct heap_totals *t, const struct heap_header *header)
{
	look(&t->samples, header->samples);
	for (int i = 0; i < HEAP_LOST_N; i++)
		look(&t->lost[i], header->lost[i]);
	look(&t->labels_refused, header->labels.refused);
}

void heap_totals_add(struct heap_totals *to, const struct heap_totals *t)
{
	to->samples += t->samples;
	for (int i = 0; i < HEAP_LOST_N; i++)
		to->lost[i] += t->lost[i];
	to->labels_refused += t->labels_refused;
}
