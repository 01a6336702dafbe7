#include "daemon/heap/refused.h"

#include <stdio.h>

#include "profd/base.h"
#include "profd/heap_table.h"

static struct heap_refusal *find(struct heap_refusals *refusals, pid_t pid)
{
	for (size_t i = 0; pid > 0 && i < PROFD_MAX_REFUSED; i++)
		if (refusals->list[i].pid == pid)
			return &refusals->list[i];
	return NULL;
}

void heap_refusals_forget(struct heap_refusals *refusals, pid_t pid)
{
	struct heap_refusal *known = find(refusals, pid);

	if (known)
		*known = (struct heap_refusal){0};
}

const struct heap_refusal *heap_refusals_find(struct heap_refusals *refusals, struct keeper *keeper,
					      pid_t pid)
{
	struct heap_refusal *known = find(refusals, pid);
	uint64_t start_ticks;

	if (!known)
		return NULL;
	if (process_read_start(keeper, pid, &start_ticks) == 0 && start_ticks == known->start_ticks)
		return known;
	*known = (struct heap_refusal){0};
	return NULL;
}

bool heap_refusals_add(struct heap_refusals *refusals, struct keeper *keeper, pid_t pid, uid_t uid,
		       uint32_t version)
{
	const struct heap_refusal *known = heap_refusals_find(refusals, keeper, pid);
	struct heap_refusal refusal = {.pid = pid, .uid = uid, .version = version};

	if (known && known->version == version)
		return false;
	heap_refusals_forget(refusals, pid);
	if (process_read_start(keeper, pid, &refusal.start_ticks) == 0 &&
	    process_read_comm(keeper, pid, refusal.comm) == 0) {
		refusals->list[refusals->next] = refusal;
		refusals->next = (refusals->next + 1) % PROFD_MAX_REFUSED;
	}
	return true;
}

void heap_refusal_describe(const struct heap_refusal *refusal, char *ret, size_t size)
{
	snprintf(ret, size,
		 "its client speaks table version %u, this profd version %u: restart %s after the "
		 "upgrade; until then CPU only",
		 refusal->version, HEAP_TABLE_VERSION,
		 refusal->version > HEAP_TABLE_VERSION ? "profd" : "the program");
}
