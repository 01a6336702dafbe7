/*
 * The client makes its table before main, in a file in memory of some 70 MiB or, if
 * that is refused, of a sixteenth of it. What refused it is not noted anywhere, so
 * the likely causes are looked at, the certain ones first.
 */
#include "daemon/control/passive.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "daemon/proc/identity.h"
#include "profd/base.h"
#include "profd/heap_table.h"
#include "profd/limits.h"

#define WORD "PROFD_DISABLE=1"

bool passive_is_disabled(const char *text, size_t n)
{
	for (size_t at = 0; at < n; at += strnlen(text + at, n - at) + 1)
		if (n - at >= sizeof(WORD) && memcmp(text + at, WORD, sizeof(WORD)) == 0)
			return true;
	return false;
}

bool passive_parse_limit(const char *limits, const char *name, uint64_t *ret)
{
	const char *line = strstr(limits, name);

	return line && sscanf(line + strlen(name), " %" SCNu64, ret) == 1;
}

/* As the environment was at exec, which is when the client read it. */
static bool is_disabled(struct keeper *keeper, pid_t pid)
{
	char text[IDENTITY_MAX_BYTES];
	ssize_t n = keeper_read_file(keeper, pid, KEEPER_ENVIRON, text, sizeof(text));

	return n > 0 && passive_is_disabled(text, (size_t)n);
}

/* Only these can be in a table's way, and only when they are low. */
static bool describe_limit(struct keeper *keeper, pid_t pid, char *ret, size_t size)
{
	static const struct {
		const char *name, *text;
		uint64_t low;
	} limits[] = {
		{"Max file size", "bytes of file size (ulimit -f)", HEAP_TABLE_MAX_BYTES},
		{"Max address space", "bytes of address space (ulimit -v)",
		 2 * HEAP_TABLE_MAX_BYTES},
		{"Max open files", "open files (ulimit -n)", 16},
	};
	char text[IDENTITY_MAX_BYTES];
	uint64_t value;

	if (identity_read_text(keeper, pid, KEEPER_LIMITS, text) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		if (!passive_parse_limit(text, limits[i].name, &value) || value >= limits[i].low)
			continue;
		snprintf(ret, size, "its limit of %" PRIu64 " %s was in the way", value,
			 limits[i].text);
		return true;
	}
	return false;
}

void passive_describe(struct keeper *keeper, pid_t pid, char *ret, size_t size)
{
	bool filtered;
	char why[160];

	if (is_disabled(keeper, pid))
		snprintf(why, sizeof(why), "switched off by " WORD " in its environment");
	else if (describe_limit(keeper, pid, why, sizeof(why)))
		;
	else if (process_read_filtered(keeper, pid, &filtered) == 0 && filtered)
		snprintf(why, sizeof(why), "a filter of system calls (seccomp) was in the way");
	else
		snprintf(why, sizeof(why), "memory was refused to it, or it is still starting");
	snprintf(ret, size, "has the client, but no table: %s; CPU only", why);
}
