/*
 * The names of profiles, and only those: what retention may delete is decided
 * here, so a name has to be one that store_name() could have given, to the
 * letter.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "daemon/store/store.h"
#include "profd/base.h"
#include "proto/publish.h"

#define SUFFIX	   ".pb.gz"
#define TRACE	   "trace" /* the one type that is no pprof file */
#define TRACE_END  ".json.gz"
#define STAMP_FORM "ddddddddTdddddd.dddZ" /* as publish_stamp() writes it; d: a digit */
#define COMM_MAX   31			  /* what store_name() cuts at */
#define PID_DIGITS 10

static const struct {
	const char *name;
	bool of_process; /* <comm>_<pid> follows */
} types[] = {
	{"heap", true},		{"block", true}, {"mutex", true},
	{"threadcreate", true}, {"cpu", false},	 {"offcpu", false}, {TRACE, false},
};

void store_name(const char *type, const char *comm, pid_t pid, int64_t unix_ns, char *ret,
		size_t size)
{
	char stamp[PUBLISH_STAMP_BYTES], clean[COMM_MAX + 1];

	publish_stamp(unix_ns, stamp, sizeof(stamp));
	if (!pid) {
		snprintf(ret, size, "%s_%s%s", type, stamp,
			 strcmp(type, TRACE) == 0 ? TRACE_END : SUFFIX);
		return;
	}
	publish_clean(comm, clean, sizeof(clean));
	snprintf(ret, size, "%s_%s_%d_%s" SUFFIX, type, clean, (int)pid, stamp);
}

static unsigned two_digits(const char *p)
{
	return (unsigned)(p[0] - '0') * 10 + (unsigned)(p[1] - '0');
}

/* A moment that there is, not only digits. */
static bool is_stamp(const char *p)
{
	const char *at = p;

	for (const char *f = STAMP_FORM; *f; f++, at++)
		if (*f == 'd' ? !isdigit((unsigned char)*at) : *at != *f)
			return false;
	return two_digits(p + 4) >= 1 && two_digits(p + 4) <= 12 && two_digits(p + 6) >= 1 &&
	       two_digits(p + 6) <= 31 && two_digits(p + 9) <= 23 && two_digits(p + 11) <= 59 &&
	       two_digits(p + 13) <= 60;
}

/* The pid at the end of @name's first @n bytes, behind a '_', as "%d" writes one. */
static bool parse_pid(const char *name, size_t n, size_t *ret_before, pid_t *ret_pid)
{
	size_t at = n;
	long long pid = 0;

	while (at > 0 && isdigit((unsigned char)name[at - 1]))
		at--;
	if (at == n || n - at > PID_DIGITS || name[at] == '0' || at == 0 || name[at - 1] != '_')
		return false;
	for (size_t i = at; i < n; i++)
		pid = 10 * pid + (name[i] - '0');
	if (pid > INT32_MAX)
		return false;
	*ret_before = at - 1;
	*ret_pid = (pid_t)pid;
	return true;
}

/* What publish_clean() leaves as it is. */
static bool is_clean(const char *comm, size_t n)
{
	char copy[COMM_MAX + 1], clean[COMM_MAX + 1];

	if (n == 0 || n > COMM_MAX)
		return false;
	memcpy(copy, comm, n);
	copy[n] = '\0';
	publish_clean(copy, clean, sizeof(clean));
	return strcmp(copy, clean) == 0;
}

static bool parse_target(const char *name, size_t n, struct store_parts *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		size_t type = strlen(types[i].name), before;
		pid_t pid;

		if (n < type || memcmp(name, types[i].name, type) != 0)
			continue;
		if (n == type && !types[i].of_process) {
			*ret = (struct store_parts){.program_bytes = n, .target_bytes = n};
			return true;
		}
		if (types[i].of_process && name[type] == '_' && parse_pid(name, n, &before, &pid) &&
		    before > type && is_clean(name + type + 1, before - type - 1)) {
			*ret = (struct store_parts){
				.program_bytes = before, .target_bytes = n, .pid = pid};
			return true;
		}
	}
	return false;
}

bool store_parse_name(const char *name, struct store_parts *ret_parts)
{
	bool trace = strncmp(name, TRACE "_", strlen(TRACE "_")) == 0;
	const char *end = trace ? TRACE_END : SUFFIX;
	const size_t suffix = strlen(end), tail = strlen(STAMP_FORM) + suffix;
	size_t n = strlen(name);

	if (n <= tail + 1 || n >= STORE_NAME_BYTES || strcmp(name + n - suffix, end) != 0)
		return false;
	if (name[n - tail - 1] != '_' || !is_stamp(name + n - tail))
		return false;
	return parse_target(name, n - tail - 1, ret_parts);
}
