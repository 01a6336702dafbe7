/*
 * A target is cut at '/' before anything in it is decoded, so that a name may
 * hold an encoded '/', and no decoded byte can make a segment of its own. A
 * path that is not clean ("//", ".", "..", as they are or encoded) is answered
 * with a redirection to the clean one, as Go's multiplexer does. No path ever
 * becomes a file's name.
 */
#include "client/http/path.h"

#include <errno.h>
#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profd/base.h"

#define PATH_MAX_SEGMENTS 16

struct segment {
	const char *raw; /* in the target */
	size_t n_raw;
	char text[PATH_MAX_NAME]; /* decoded */
};

struct segments {
	struct segment items[PATH_MAX_SEGMENTS];
	size_t n;
	bool slash;   /* there is one at the end */
	bool unclean; /* something was taken out */
	bool bad;     /* too many, too long, or an escape that is none */
};

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Decodes @n bytes. False: too long, a bad escape, or a NUL. */
static bool decode(const char *from, size_t n, bool plus, char *ret, size_t size)
{
	size_t out = 0;

	for (size_t i = 0; i < n; i++) {
		char c = from[i];

		if (c == '%') {
			if (i + 2 >= n || hex(from[i + 1]) < 0 || hex(from[i + 2]) < 0)
				return false;
			c = (char)(hex(from[i + 1]) * 16 + hex(from[i + 2]));
			i += 2;
		} else if (c == '+' && plus) {
			c = ' ';
		}
		if (c == '\0' || out + 1 >= size)
			return false;
		ret[out++] = c;
	}
	ret[out] = '\0';
	return true;
}

static void add_segment(struct segments *s, const char *raw, size_t n)
{
	struct segment *to;

	if (s->n == PATH_MAX_SEGMENTS) {
		s->bad = true;
		return;
	}
	to = &s->items[s->n];
	if (!decode(raw, n, false, to->text, sizeof(to->text))) {
		s->bad = true;
		return;
	}
	to->raw = raw;
	to->n_raw = n;
	if (strcmp(to->text, ".") == 0 || strcmp(to->text, "..") == 0) {
		s->unclean = true;
		if (to->text[1] == '.' && s->n > 0)
			s->n--;
		return;
	}
	s->n++;
}

static void cut(const char *path, size_t n, struct segments *s)
{
	const char *end = path + n, *p = path + 1;

	while (p < end && !s->bad) {
		size_t length = strcspn(p, "/?");

		if (length == 0)
			s->unclean = true;
		else
			add_segment(s, p, length);
		p += length;
		if (p < end)
			p++; /* the slash */
	}
	s->slash = n > 1 && end[-1] == '/';
}

/* What may stand in a Location as it is; '\' may not: browsers take it for '/'. */
static bool is_safe(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c != '\0' && strchr("-._~!$&'()*+,;=:@%", c));
}

static char *put_safe(char *out, const char *bytes, size_t n, const char *also)
{
	for (size_t i = 0; i < n; i++) {
		if (is_safe(bytes[i]) || strchr(also, bytes[i]))
			*out++ = bytes[i];
		else
			out += sprintf(out, "%%%02X", (unsigned char)bytes[i]);
	}
	return out;
}

static int redirect(const struct segments *s, bool slash, struct path *ret)
{
	size_t n = 4 + 3 * strlen(ret->query);
	char *out;

	for (size_t i = 0; i < s->n; i++)
		n += 1 + 3 * s->items[i].n_raw;
	out = ret->location = malloc(n);
	if (!out)
		return -ENOMEM;
	ret->kind = PATH_REDIRECT;
	for (size_t i = 0; i < s->n; i++) {
		*out++ = '/';
		out = put_safe(out, s->items[i].raw, s->items[i].n_raw, "");
	}
	if (s->n == 0 || slash)
		*out++ = '/';
	if (*ret->query) {
		*out++ = '?';
		out = put_safe(out, ret->query, strlen(ret->query), "/?");
	}
	*out = '\0';
	return 0;
}

static bool parse_pid(const char *text, uint32_t *ret)
{
	int64_t value;

	if (*text < '1' || *text > '9' || query_number(text, &value) < 0 || value > INT32_MAX)
		return false;
	*ret = (uint32_t)value;
	return true;
}

/* How many segments name the scope; -1: they name none. */
static int parse_scope(const struct segments *s, struct scope *ret)
{
	const char *first = s->n > 0 ? s->items[0].text : "";
	const char *second = s->n > 1 ? s->items[1].text : "";

	*ret = (struct scope){.kind = SCOPE_MACHINE};
	if (strcmp(first, "pid") == 0)
		ret->kind = SCOPE_PID;
	else if (strcmp(first, "comm") == 0)
		ret->kind = SCOPE_COMM;
	else if (strcmp(first, "unit") == 0)
		ret->kind = SCOPE_UNIT;
	else
		return 0;
	if (s->n < 2 || (ret->kind == SCOPE_PID && !parse_pid(second, &ret->pid)))
		return -1;
	snprintf(ret->name, sizeof(ret->name), "%s", second);
	return 2;
}

static bool is(const struct segments *s, size_t i, const char *text)
{
	return i < s->n && strcmp(s->items[i].text, text) == 0;
}

static int resolve(const struct segments *s, struct path *ret)
{
	int at = parse_scope(s, &ret->scope);
	size_t left = s->n - (size_t)max(at, 0);

	if (at < 0)
		return 0;
	if (at == 0 && left == 0)
		ret->kind = PATH_HOME;
	else if (at == 0 && left == 1 && !s->slash && is(s, 0, "metrics"))
		ret->kind = PATH_METRICS;
	else if (at == 0 && left == 1 && !s->slash && is(s, 0, "targets"))
		ret->kind = PATH_TARGETS;
	else if (at > 0 && left == 0)
		return 0;
	if (left < 2 || !is(s, (size_t)at, "debug") || !is(s, (size_t)at + 1, "pprof"))
		return 0;
	if (left == 2 && !s->slash)
		return redirect(s, true, ret);
	if (left == 2) {
		ret->kind = PATH_INDEX;
		return 0;
	}
	/* More segments, or a slash, are of a name that nothing has. */
	ret->kind = PATH_PROFILE;
	snprintf(ret->name, sizeof(ret->name), "%s",
		 left == 3 && !s->slash ? s->items[at + 2].text : "?");
	return 0;
}

int path_parse(const char *target, struct path *ret_path)
{
	struct path path = {.kind = PATH_NOTHING, .query = ""};
	size_t n = strcspn(target, "?");
	struct segments *s;
	int r = 0;

	if (target[n] == '?')
		path.query = target + n + 1;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	if (*target != '/')
		s->bad = true;
	else
		cut(target, n, s);
	if (s->bad)
		path.kind = PATH_BAD;
	else if (s->unclean)
		r = redirect(s, s->slash, &path);
	else
		r = resolve(s, &path);
	free(s);
	if (r >= 0)
		*ret_path = path;
	return r;
}

void path_done(struct path *path)
{
	free(path->location);
	path->location = NULL;
}

/* The first value of @key, of @n bytes, as it stands there; NULL: there is none. */
static const char *find_value(const char *query, const char *key, size_t *ret_n)
{
	char name[PATH_MAX_NAME];

	while (*query) {
		size_t n = strcspn(query, "&"), n_name = strcspn(query, "=&");
		const char *value = query + min(n_name + 1, n);

		/* As in Go: what holds a ';' does not count. */
		if (!memchr(query, ';', n) && decode(query, n_name, true, name, sizeof(name)) &&
		    strcmp(name, key) == 0) {
			*ret_n = n - (size_t)(value - query);
			return value;
		}
		query += n;
		if (*query)
			query++;
	}
	return NULL;
}

bool query_get(const char *query, const char *key, char *ret, size_t size)
{
	size_t n = 0;
	const char *value = find_value(query, key, &n);

	return value && decode(value, n, true, ret, size);
}

bool query_has(const char *query, const char *key)
{
	size_t n;

	return find_value(query, key, &n) != NULL;
}

int query_number(const char *text, int64_t *ret)
{
	bool negative = *text == '-', over = false;
	const char *p = text + (*text == '-' || *text == '+');
	int64_t value = 0;

	*ret = 0;
	if (!*p)
		return -EINVAL;
	for (; *p; p++) {
		int digit = *p - '0';

		if (digit < 0 || digit > 9)
			return -EINVAL;
		over = over || __builtin_mul_overflow(value, 10, &value) ||
		       __builtin_sub_overflow(value, digit, &value);
	}
	if (!negative && !over)
		over = __builtin_sub_overflow(0, value, &value);
	if (over)
		value = negative ? INT64_MIN : INT64_MAX;
	*ret = value;
	return over ? -ERANGE : 0;
}

/* As strconv.ParseFloat takes decimal numbers: neither space nor hexadecimal. */
double query_fraction(const char *text)
{
	char *end;
	double value;

	if (text[strspn(text, "+-.0123456789eE")] != '\0')
		return 0;
	value = strtod(text, &end);
	return end == text || *end || value > DBL_MAX ? 0 : value;
}

int64_t query_number_of(const char *query, const char *key)
{
	int64_t value = 0;
	char text[32];

	if (query_get(query, key, text, sizeof(text)))
		(void)query_number(text, &value);
	return value;
}
