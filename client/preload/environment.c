#include "client/preload/environment.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/preload/session.h"
#include "proto/heap_name.h"

#define MAX_RATE   (1ULL << 40)
#define MAX_CPU_HZ 10000

/* "524288", "512K", "512KiB", "1M": 1024s. False: anything else. */
static bool parse_bytes(const char *text, uint64_t *ret_bytes)
{
	static const char *const units[][4] = {
		{"", "B", "b", ""},
		{"k", "K", "KB", "KiB"},
		{"m", "M", "MB", "MiB"},
		{"g", "G", "GB", "GiB"},
	};
	uint64_t n = 0;
	const char *at = text;

	for (; *at >= '0' && *at <= '9'; at++) {
		n = n * 10 + (uint64_t)(*at - '0');
		if (n > MAX_RATE)
			return false;
	}
	if (at == text)
		return false;
	for (unsigned i = 0; i < 4; i++) {
		for (unsigned j = 0; j < 4; j++) {
			if (strcmp(at, units[i][j]) != 0)
				continue;
			if (n << 10 * i > MAX_RATE)
				return false;
			*ret_bytes = n << 10 * i;
			return true;
		}
	}
	return false;
}

/* Decimal digits only; 0: anything else. */
static uint64_t read_number(const char *name)
{
	const char *text = getenv(name);
	uint64_t n = 0;

	for (; text && *text >= '0' && *text <= '9' && n <= MAX_RATE; text++)
		n = n * 10 + (uint64_t)(*text - '0');
	return text && *text == '\0' && n <= MAX_RATE ? n : 0;
}

static void read_all(struct environment *e)
{
	const char *text;
	uint64_t hz;

	*e = (struct environment){.rate_bytes = SESSION_DEFAULT_RATE};
	text = getenv("PROFD_DISABLE");
	e->disabled = text && strcmp(text, "1") == 0;
	text = getenv("PROFD_TRIM");
	e->no_trim = text && strcmp(text, "0") == 0;
	text = getenv("PROFD_RATE");
	if (text && *text && !parse_bytes(text, &e->rate_bytes))
		e->rate_invalid = true;
	if (e->rate_bytes == 0)
		e->rate_bytes = 1;
	text = getenv("PROFD_SOCKET");
	e->socket_path = text && *text ? text : DEFAULT_SOCKET_PATH;
	text = getenv("PROFD_CPU");
	if (text && parse_bytes(text, &hz) && hz <= MAX_CPU_HZ)
		e->cpu_hz = (uint32_t)hz;
	e->block_rate_ns = read_number("PROFD_BLOCK");
	e->mutex_fraction = read_number("PROFD_MUTEX");
}

/* Of two threads that come first at once, each writes what the other does. */
const struct environment *environment_get(void)
{
	static struct environment environment;
	static bool known;

	if (__atomic_load_n(&known, __ATOMIC_ACQUIRE))
		return &environment;
	if (!environ)
		return NULL;
	read_all(&environment);
	__atomic_store_n(&known, true, __ATOMIC_RELEASE);
	return &environment;
}
