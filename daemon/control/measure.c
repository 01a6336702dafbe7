#include "daemon/control/measure.h"

#include <errno.h>
#include <stdlib.h>

struct measure {
	struct measure *next;
	struct heap_client *client; /* a reference */
	struct heap_waits_mark *mark;
};

int measure_add(struct measure **measures, struct heap_client *client, uint64_t until_mono_ns)
{
	struct measure *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return -ENOMEM;
	r = heap_waits_start(client, until_mono_ns, &m->mark);
	if (r < 0) {
		free(m);
		return r;
	}
	m->client = heap_client_ref(client);
	m->next = *measures;
	*measures = m;
	return 0;
}

const struct heap_waits_mark *measure_find(const struct measure *measures,
					   const struct heap_client *client)
{
	for (const struct measure *m = measures; m; m = m->next)
		if (m->client == client)
			return m->mark;
	return NULL;
}

void measure_end(struct measure **measures)
{
	while (*measures) {
		struct measure *m = *measures;

		*measures = m->next;
		heap_waits_stop(m->client);
		heap_waits_mark_free(m->mark);
		heap_client_unref(m->client);
		free(m);
	}
}
