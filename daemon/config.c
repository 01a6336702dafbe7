/*
 * A table of settings: where each is kept, how it is written, how two are
 * compared. The file's syntax is inih's; it tells no line numbers and cuts long
 * lines in two, so the lines are counted, and the long ones refused, by the
 * function that hands them to it.
 */
#include "daemon/config.h"

#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "profd/base.h"
#include "proto/duration.h"

#define MAX_FREQUENCY_HZ 10000
#define MAX_LINE	 200 /* bytes; inih's own limit, which it keeps silent about */

struct config_override {
	struct config_override *next;
	const char *name; /* the table's */
	char *value;
};

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

static void clear_debug_dirs(struct config *c)
{
	while (c->n_debug_dirs > 0)
		free(c->debug_dirs[--c->n_debug_dirs]);
}

void config_done(struct config *c)
{
	free(c->state_dir);
	free(c->runtime_dir);
	free(c->event);
	free(c->file);
	clear_debug_dirs(c);
	while (c->overrides) {
		struct config_override *o = c->overrides;

		c->overrides = o->next;
		free(o->value);
		free(o);
	}
	profd_closep(&c->ready_fd);
}

/* ---- values, by kind */

static int set_string(void *to, const char *value)
{
	char **string = to, *copy = strdup(value);

	if (!copy)
		return -ENOMEM;
	free(*string);
	*string = copy;
	return 0;
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

static int set_count(void *to, const char *value)
{
	return set_number(to, value, UINT32_MAX);
}

static int set_frequency(void *to, const char *value)
{
	uint64_t n;
	int r = set_number(&n, value, MAX_FREQUENCY_HZ);

	if (r < 0 || n == 0)
		return -EINVAL;
	*(unsigned *)to = (unsigned)n;
	return 0;
}

/* "512M": binary units, as everywhere in configuration files. */
static int set_bytes(void *to, const char *value)
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
	*(uint64_t *)to = n;
	return 0;
}

static int set_duration(void *to, const char *value)
{
	uint64_t *ns = to;

	if (strcmp(value, "0") == 0) {
		*ns = 0;
		return 0;
	}
	return duration_parse(value, 0, ns) < 0 ? -EINVAL : 0;
}

static int set_bool(void *to, const char *value)
{
	bool *flag = to;

	if (strcmp(value, "yes") == 0 || strcmp(value, "true") == 0 || strcmp(value, "1") == 0)
		*flag = true;
	else if (strcmp(value, "no") == 0 || strcmp(value, "false") == 0 || strcmp(value, "0") == 0)
		*flag = false;
	else
		return -EINVAL;
	return 0;
}

/* One more each time. */
static int add_debug_dir(void *to, const char *value)
{
	struct config *c = to;
	int r;

	if (value[0] != '/' || c->n_debug_dirs == PROFD_MAX_DEBUG_DIRS)
		return -EINVAL;
	c->debug_dirs[c->n_debug_dirs] = NULL;
	r = set_string(&c->debug_dirs[c->n_debug_dirs], value);
	c->n_debug_dirs += r == 0;
	return r;
}

/* ---- settings */

struct setting {
	const char *name;
	int (*set)(void *to, const char *value);
	size_t offset, bytes; /* in struct config; 0 bytes: the list of directories */
	const char *form;
};

#define AT(member) offsetof(struct config, member), sizeof(((struct config *)NULL)->member)

static const char bytes_form[] = "bytes, like 512M or 4G";

static const struct setting settings[] = {
	{"state-dir", set_string, AT(state_dir), "a directory"},
	{"runtime-dir", set_string, AT(runtime_dir), "a directory"},
	{"event", set_string, AT(event), "an event"},
	{"frequency", set_frequency, AT(frequency_hz),
	 "a whole number of samples a second, 1 to 10000"},
	{"ring", set_bytes, AT(ring_bytes), bytes_form},
	{"rotate", set_duration, AT(rotate_ns), DURATION_FORMS},
	{"rotate-trim", set_bool, AT(rotate_trim), "yes or no"},
	{"keep-age", set_duration, AT(limits.max_age_ns), DURATION_FORMS},
	{"keep-files", set_count, AT(limits.max_files), "a whole number"},
	{"keep-bytes", set_bytes, AT(limits.max_bytes), bytes_form},
	{"keep-free", set_bytes, AT(limits.min_free_bytes), bytes_form},
	{"debug-dir", add_debug_dir, 0, 0, "a directory from / on, 16 at most"},
};

static const struct setting *find_setting(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
		if (strcmp(settings[i].name, name) == 0)
			return &settings[i];
	return NULL;
}

const char *config_setting_name(size_t i)
{
	return i < ARRAY_SIZE(settings) ? settings[i].name : NULL;
}

static void *where(const struct config *c, const struct setting *s)
{
	return (char *)c + s->offset;
}

/* Values are taken from a fresh set of settings; strings change hands. */
static int set_default(struct config *c, const struct setting *s)
{
	_cleanup_(config_done) struct config fresh;
	uint8_t held[sizeof(uint64_t)];

	config_init(&fresh);
	if (s->bytes == 0)
		clear_debug_dirs(c);
	memcpy(held, where(c, s), s->bytes);
	memcpy(where(c, s), where(&fresh, s), s->bytes);
	memcpy(where(&fresh, s), held, s->bytes);
	return 0;
}

int config_set(struct config *c, const char *name, const char *value, const char **ret_form)
{
	const struct setting *s = find_setting(name);

	if (!s)
		return -ENOENT;
	*ret_form = s->form;
	return *value ? s->set(where(c, s), value) : set_default(c, s);
}

int config_override(struct config *c, const char *name, const char *value, const char **ret_form)
{
	int r = config_set(c, name, value, ret_form);
	struct config_override *o, **end = &c->overrides;

	if (r < 0)
		return r;
	o = calloc(1, sizeof(*o));
	if (!o)
		return -ENOMEM;
	o->name = find_setting(name)->name;
	o->value = strdup(value);
	while (*end)
		end = &(*end)->next;
	*end = o;
	return o->value ? 0 : -ENOMEM;
}

int config_copy_overrides(struct config *c, const struct config *from)
{
	const char *form;
	int r = 0;

	for (const struct config_override *o = from->overrides; r == 0 && o; o = o->next)
		r = o->value ? config_override(c, o->name, o->value, &form) : -ENOMEM;
	return r;
}

static bool same_string(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

bool config_differs(const struct config *a, const struct config *b, size_t i)
{
	const struct setting *s = &settings[i];

	if (s->set == set_string)
		return !same_string(*(char **)where(a, s), *(char **)where(b, s));
	if (s->bytes > 0)
		return memcmp(where(a, s), where(b, s), s->bytes) != 0;
	if (a->n_debug_dirs != b->n_debug_dirs)
		return true;
	for (unsigned d = 0; d < a->n_debug_dirs; d++)
		if (!same_string(a->debug_dirs[d], b->debug_dirs[d]))
			return true;
	return false;
}

/* ---- a file */

struct reading {
	struct config *config;
	const char *path;
	FILE *file;
	unsigned line;
	config_complaint_t complain;
	void *userdata;
};

__attribute__((format(printf, 2, 3))) static void complain(struct reading *reading,
							   const char *format, ...)
{
	char what[2 * MAX_LINE], text[PROFD_MAX_PATH + sizeof(what)];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	snprintf(text, sizeof(text), "%s:%u: %s", reading->path, reading->line, what);
	reading->complain(text, reading->userdata);
}

static int on_line(void *userdata, const char *section, const char *name, const char *value)
{
	struct reading *reading = userdata;
	const char *form = "";
	int r;

	if (!value) {
		complain(reading, "%s: not `key = value`", name);
		return 1;
	}
	if (strcmp(section, "profd") != 0) {
		complain(reading, "[%s]: no such section: there is [profd]", section);
		return 1;
	}
	r = config_set(reading->config, name, value, &form);
	if (r == -ENOENT)
		complain(reading, "%s: no such setting", name);
	else if (r < 0)
		complain(reading, "%s: %s: %s", name, value, form);
	return 1;
}

/* As fgets(); what is too long for inih is complained about and read as nothing. */
static char *next_line(char *to, int room, void *stream)
{
	struct reading *reading = stream;
	int c = 0;

	if (!fgets(to, room, reading->file))
		return NULL;
	reading->line++;
	if (strchr(to, '\n') || strlen(to) + 1 < (size_t)room)
		return to;
	while (c != '\n' && c != EOF)
		c = getc(reading->file);
	complain(reading, "longer than %d characters", room - 2);
	snprintf(to, (size_t)room, "\n");
	return to;
}

int config_read(struct config *c, const char *path, config_complaint_t complaint, void *userdata)
{
	struct reading reading = {
		.config = c, .path = path, .complain = complaint, .userdata = userdata};
	struct stat st;
	int r;

	reading.file = fopen(path, "re");
	if (!reading.file)
		return -errno;
	/* continuation lines are a trap that other files of this kind do not have */
	ini_allow_multiline = false;
	ini_allow_no_value = true;
	r = fstat(fileno(reading.file), &st) == 0 && S_ISDIR(st.st_mode) ? -EISDIR : 0;
	if (r == 0)
		r = ini_parse_stream(next_line, &reading, on_line, &reading);
	if (r > 0) { /* what it stumbled over and told no one of: a section without end */
		reading.line = (unsigned)r;
		complain(&reading, "not understood");
	}
	if (ferror(reading.file))
		r = -EIO;
	fclose(reading.file);
	return r == -EISDIR || r == -EIO ? r : r < 0 ? -ENOMEM : 0;
}
