#include "daemon/cpu/tracepoint.h"

#include <errno.h>
#include <stdlib.h>

#include "profd/base.h"

int tracepoint_find(struct keeper *keeper, const char *system, const char *name, uint64_t *ret_id)
{
	_cleanup_close_ int fd = keeper_open_tracepoint(keeper, system, name);
	char text[32] = "";
	char *end;
	uint64_t id;

	if (fd < 0)
		return fd;
	if (read(fd, text, sizeof(text) - 1) <= 0)
		return -EIO;
	id = strtoull(text, &end, 10);
	if (end == text)
		return -EIO;
	*ret_id = id;
	return 0;
}
