#include "daemon/config.h"

#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <string.h>

#include "profd/base.h"
#include "proto/duration.h"

#define MAX_FREQUENCY_HZ 10000

void config_init(struct config *c)
{
	*c = (struct config){
		.state_dir = strdup("/var/lib/profd"),
		.runtime_dir = strdup("/run/profd"),
		.frequency_hz = 99,
		.rotate_ns = 60 * NSEC_PER_SEC,
		.rotate_trim = true,
		.limits =
			{
				.max_age_ns = 7 * 24 * 3600 * NSEC_PER_SEC,
				.max_files = 20000,
				.max_bytes = 4ULL << 30,
				.min_free_bytes = 256ULL << 20,
			},
		.ready_fd = -1,
	};
}

void config_done(struct config *c)
{
	free(c->state_dir);
	free(c->runtime_dir);
	free(c->event);
	for (unsigned i = 0; i < c->n_debug_dirs; i++)
		free(c->debug_dirs[i]);
	profd_closep(&c->ready_fd);
}

static int set_string(char **to, const char *value)
{
	char *copy = strdup(value);

	if (!copy)
		return -ENOMEM;
	free(*to);
	*to = copy;
	return 0;
}

/* One more each time. */
static int add_debug_dir(struct config *c, const char *value)
{
	int r;

	if (value[0] != '/' || c->n_debug_dirs == PROFD_MAX_DEBUG_DIRS)
		return -EINVAL;
	r = set_string(&c->debug_dirs[c->n_debug_dirs], value);
	c->n_debug_dirs += r == 0;
	return r;
}

static int set_number(uint64_t *to, const char *value, uint64_t most)
{
	char *end;
	unsigned long long n;

	errno = 0;
	n = strtoull(value, &end, 10);
	if (errno || end == value || *end || *value == '-' || n > most)
		return -EINVAL;
	*to = n;
	return 0;
}

/* "512M": binary units, as everywhere in configuration files. */
static int set_bytes(uint64_t *to, const char *value)
{
	static const char units[] = "KMGT";
	char *end;
	unsigned long long n;
	const char *unit;

	errno = 0;
	n = strtoull(value, &end, 10);
	if (errno || end == value || *value == '-')
		return -EINVAL;
	if (*end) {
		unit = strchr(units, *end);
		if (!unit || end[1])
			return -EINVAL;
		for (const char *u = units; u <= unit; u++)
			if (__builtin_mul_overflow(n, 1024ULL, &n))
				return -EINVAL;
	}
	*to = n;
	return 0;
}

static int set_duration(uint64_t *to, const char *value)
{
	if (strcmp(value, "0") == 0) {
		*to = 0;
		return 0;
	}
	return duration_parse(value, 0, to) < 0 ? -EINVAL : 0;
}

static int set_bool(bool *to, const char *value)
{
	if (strcmp(value, "yes") == 0 || strcmp(value, "true") == 0 || strcmp(value, "1") == 0)
		*to = true;
	else if (strcmp(value, "no") == 0 || strcmp(value, "false") == 0 || strcmp(value, "0") == 0)
		*to = false;
	else
		return -EINVAL;
	return 0;
}

int config_set(struct config *c, const char *name, const char *value, const char **ret_form)
{
	static const char number[] = "a whole number", bytes[] = "bytes, like 512M or 4G";
	uint64_t n;
	int r;

	*ret_form = DURATION_FORMS;
	if (strcmp(name, "state-dir") == 0)
		return set_string(&c->state_dir, value);
	if (strcmp(name, "runtime-dir") == 0)
		return set_string(&c->runtime_dir, value);
	if (strcmp(name, "event") == 0)
		return set_string(&c->event, value);
	if (strcmp(name, "rotate") == 0)
		return set_duration(&c->rotate_ns, value);
	if (strcmp(name, "keep-age") == 0)
		return set_duration(&c->limits.max_age_ns, value);
	*ret_form = "a directory from / on, 16 at most";
	if (strcmp(name, "debug-dir") == 0)
		return add_debug_dir(c, value);
	*ret_form = "yes or no";
	if (strcmp(name, "rotate-trim") == 0)
		return set_bool(&c->rotate_trim, value);
	*ret_form = bytes;
	if (strcmp(name, "keep-bytes") == 0)
		return set_bytes(&c->limits.max_bytes, value);
	if (strcmp(name, "keep-free") == 0)
		return set_bytes(&c->limits.min_free_bytes, value);
	if (strcmp(name, "ring") == 0)
		return set_bytes(&c->ring_bytes, value);
	*ret_form = number;
	if (strcmp(name, "keep-files") == 0)
		return set_number(&c->limits.max_files, value, UINT32_MAX);
	if (strcmp(name, "frequency") == 0) {
		*ret_form = "a whole number of samples a second, 1 to 10000";
		r = set_number(&n, value, MAX_FREQUENCY_HZ);
		if (r < 0 || n == 0)
			return -EINVAL;
		c->frequency_hz = (unsigned)n;
		return 0;
	}
	return -ENOENT;
}

struct reading {
	struct config *config;
	char *why;
	size_t why_size;
};

static int on_line(void *userdata, const char *section, const char *name, const char *value)
{
	struct reading *reading = userdata;
	const char *form;
	int r;

	if (strcmp(section, "profd") != 0) {
		snprintf(reading->why, reading->why_size, "[%s]: no such section: there is [profd]",
			 section);
		return 0;
	}
	r = config_set(reading->config, name, value, &form);
	if (r == -ENOENT)
		snprintf(reading->why, reading->why_size, "%s: no such setting", name);
	else if (r < 0)
		snprintf(reading->why, reading->why_size, "%s: %s: %s", name, value, form);
	return r >= 0;
}

int config_read(struct config *c, const char *path, bool optional, char *why, size_t why_size)
{
	struct reading reading = {.config = c, .why = why, .why_size = why_size};
	char line[32], *said;
	int r;

	why[0] = '\0';
	r = access(path, R_OK) < 0 ? -errno : 0;
	if (r < 0)
		return r == -ENOENT && optional ? 0 : r;
	r = ini_parse(path, on_line, &reading);
	if (r == 0)
		return 0;
	if (r < 0)
		return -EIO;
	snprintf(line, sizeof(line), "line %d: ", r);
	if (asprintf(&said, "%s%s", line, *why ? why : "not `key = value`") >= 0) {
		snprintf(why, why_size, "%s", said);
		free(said);
	}
	return -EBADMSG;
}
