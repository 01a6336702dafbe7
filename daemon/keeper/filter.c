#include "daemon/keeper/filter.h"

#include <errno.h>

int filter_add(scmp_filter_ctx filter, uint32_t action, const int *calls, size_t n)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = seccomp_rule_add(filter, action, calls[i], 0);
	return r;
}

int filter_load(uint32_t otherwise, int (*add_rules)(scmp_filter_ctx filter))
{
	scmp_filter_ctx filter = FILTER_SANITIZED ? NULL : seccomp_init(otherwise);
	int r;

	if (!filter)
		return FILTER_SANITIZED ? 0 : -ENOMEM;
	/* the kernel's own words for what it refuses */
	r = seccomp_attr_set(filter, SCMP_FLTATR_API_SYSRAWRC, 1);
	if (r == 0)
		r = add_rules(filter);
	if (r == 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r;
}
